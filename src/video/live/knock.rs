//! Is anybody there? GStreamer would not say why a connection failed.

use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use url::Url;

use super::reason::{self, Failure, Reason};

/// How long a host that is there takes to accept a connection. A knock is a first packet and, should
/// it be lost, the one sent again after a second.
const REACH: Duration = Duration::from_secs(2);

/// Pause between knocks that go unanswered, and between looks for an answer.
const AGAIN: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);

/// Of the addresses that a name has, so many are tried, and so many connections are open at most.
const MOST_ADDRESSES: usize = 4;
const MOST_OPEN: usize = 16;

/// Nobody answers.
#[derive(Debug)]
pub(super) struct Closed {
    pub failure: Failure,
    /// Whether the host is there: it refused, or accepted and then said nothing. `None`: nothing was learned of it, its name
    /// is not known now.
    pub alive: Option<bool>,
}

/// Somebody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// To the first connection.
    AtOnce,
    /// To a later one, and the first is still without: it has just come back.
    Later,
}

/// Connects to an address and lets go again. An RTSP server is asked a question, and must answer within `patience`.
///
/// A camera that hangs still accepts connections, and one that was switched off and on knows nothing of those that were open
/// before; a host that is off answers nothing at all. So a new connection is begun each second, to every address that the
/// name has, while a slow camera may still answer the first.
///
/// # Errors
/// Why nobody can be reached there.
pub(super) fn knock(url: &Url, patience: Duration, is_stopped: impl Fn() -> bool) -> Result<Answer, Closed> {
    let (host, port) = (url.host_str().unwrap_or_default(), port_of(url));
    let places = resolve(host, port)?;
    let question = (url.scheme() == "rtsp").then(|| question(url));
    let (begun, mut last) = (Instant::now(), None::<Instant>);
    let (mut open, mut accepted, mut error): (Vec<(Answer, Try)>, _, _) = (Vec::new(), false, None);
    while begun.elapsed() < if accepted { patience } else { REACH } && !is_stopped() {
        if last.is_none_or(|last| last.elapsed() >= AGAIN) {
            let round = if last.is_none() { Answer::AtOnce } else { Answer::Later };
            last = Some(Instant::now());
            for at in &places {
                match Try::begin(*at) {
                    Ok(new) => open.push((round, new)),
                    Err(e) => error = Some(e),
                }
            }
        }
        for (round, one) in std::mem::take(&mut open) {
            match one.go_on(question.as_deref()) {
                Step::Answered => return Ok(round),
                Step::Waits(one) => {
                    accepted |= matches!(one, Try::Asked(_));
                    open.push((round, one));
                }
                Step::Failed(e) => error = Some(e),
            }
        }
        // The first stays longest: it is the one that a slow camera answers.
        while open.len() > MOST_OPEN {
            open.remove(1);
        }
        // What the first connection was told counts for all.
        if open.is_empty()
            && !accepted
            && let Some(e) = error.take()
        {
            let alive = Some(e.kind() == ErrorKind::ConnectionRefused);
            return Err(Closed { failure: Failure::new(reason::of_system(&e), format!("{host}:{port}: {e}")), alive });
        }
        thread::sleep(LOOK);
    }
    let said = match accepted {
        true => "connections are accepted, and nothing is answered".to_owned(),
        false => format!("{host}:{port}: no answer to a connection"),
    };
    Err(Closed { failure: Failure::new(Reason::Timeout, said), alive: Some(accepted) })
}

/// A connection that is under way.
enum Try {
    Connecting(Socket),
    /// The question has been asked.
    Asked(TcpStream),
}

enum Step {
    Waits(Try),
    Answered,
    Failed(io::Error),
}

impl Try {
    fn begin(at: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        match socket.connect(&at.into()) {
            Err(e) if e.raw_os_error() != Some(libc::EINPROGRESS) && e.kind() != ErrorKind::WouldBlock => Err(e),
            _ => Ok(Self::Connecting(socket)),
        }
    }

    fn go_on(self, question: Option<&str>) -> Step {
        let stream = match self {
            Self::Asked(stream) => stream,
            Self::Connecting(socket) => {
                match socket.take_error() {
                    Ok(None) => {}
                    Ok(Some(e)) | Err(e) => return Step::Failed(e),
                }
                if socket.peer_addr().is_err() {
                    return Step::Waits(Self::Connecting(socket));
                }
                let mut stream = TcpStream::from(socket);
                // One that hangs up is alive as well: what it wants to say is for GStreamer to hear.
                match question.map(|question| stream.write_all(question.as_bytes())) {
                    Some(Ok(())) => stream,
                    None | Some(Err(_)) => return Step::Answered,
                }
            }
        };
        match stream.peek(&mut [0]) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => Step::Waits(Self::Asked(stream)),
            _ => Step::Answered,
        }
    }
}

/// Asks what the server can do.
fn question(url: &Url) -> String {
    let mut target = url.clone();
    let _ = (target.set_username(""), target.set_password(None));
    format!("OPTIONS {target} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: gradcast\r\n\r\n")
}

fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Closed> {
    let unknown = |said| Closed { failure: Failure::new(Reason::Network, said), alive: None };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = (bare, port).to_socket_addrs().map_err(|_| unknown(format!("the name {host} cannot be resolved")))?;
    let places: Vec<_> = found.take(MOST_ADDRESSES).collect();
    if places.is_empty() {
        return Err(unknown(format!("{host} has no address")));
    }
    Ok(places)
}

fn port_of(url: &Url) -> u16 {
    const PORTS: [(&str, u16); 4] = [("rtsp", 554), ("rtsps", 322), ("http", 80), ("https", 443)];
    let usual = PORTS.iter().find(|(scheme, _)| *scheme == url.scheme()).map(|(_, port)| *port);
    url.port().or(usual).unwrap_or(554)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn url(listener: &TcpListener) -> Url {
        Url::parse(&format!("rtsp://{}/x", listener.local_addr().unwrap())).unwrap()
    }

    /// A camera that takes one connection at a time, and its time over the answer.
    #[test]
    fn only_the_first_connection_may_be_refused() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = url(&listener);
        let serving = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            thread::sleep(AGAIN + AGAIN / 2);
            stream.write_all(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n").unwrap();
            stream
        });
        knock(&url, Duration::from_secs(8), || false).unwrap();
        serving.join().unwrap();
        let closed = knock(&url, Duration::from_secs(8), || false).unwrap_err();
        assert!(closed.alive == Some(true) && closed.failure.reason == Reason::Refused, "{closed:?}");
    }

    #[test]
    fn silence_is_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = knock(&url(&listener), Duration::from_millis(300), || false).unwrap_err();
        assert!(closed.alive == Some(true) && closed.failure.reason == Reason::Timeout, "{closed:?}");
        // A full queue of connections: what comes now is dropped as by a host that is off.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket.listen(0).unwrap();
        let listener = TcpListener::from(socket);
        let at = listener.local_addr().unwrap();
        let _held: Vec<_> = (0..4).map(|_| Try::begin(at).unwrap()).collect();
        thread::sleep(Duration::from_millis(50));
        let begun = Instant::now();
        let closed = knock(&url(&listener), Duration::from_secs(8), || false).unwrap_err();
        assert!(closed.alive == Some(false) && closed.failure.reason == Reason::Timeout, "{closed:?}");
        assert!(begun.elapsed() < 2 * REACH, "{:?}", begun.elapsed());
    }
}
