//! Is anybody there? GStreamer would not say why a connection failed.

use std::io::{ErrorKind, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use super::reason::{self, Failure, Reason};

/// How long a host that is there takes to accept a connection. A knock is a first packet and, should
/// it be lost, the one sent again after a second.
const REACH: Duration = Duration::from_secs(2);

/// Pause between questions that go unanswered, and between looks for an answer.
const ASK_AGAIN: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(10);

/// Connects to an address and lets go again. An RTSP server is asked a question, and must answer within `patience`.
///
/// A camera that hangs still accepts connections, and one that was switched off and on knows nothing of those that were open
/// before. So the question is asked on a new connection each second, while a slow camera may still answer the first.
///
/// # Errors
/// Why nobody can be reached there.
pub(super) fn knock(url: &Url, patience: Duration, is_stopped: impl Fn() -> bool) -> Result<(), Failure> {
    if url.scheme() != "rtsp" {
        return reach(url).map(drop);
    }
    let (begun, mut asked, mut last) = (Instant::now(), Vec::new(), None::<Instant>);
    while begun.elapsed() < patience && !is_stopped() {
        if last.is_none_or(|last| last.elapsed() >= ASK_AGAIN) {
            asked.push(ask(reach(url)?, url));
            last = Some(Instant::now());
        }
        // One that hangs up is alive as well: what it wants to say is for GStreamer to hear.
        if asked.iter().any(|stream| stream.as_ref().is_none_or(has_news)) {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
    Err(Failure::new(Reason::Timeout, "connections are accepted, and nothing is answered"))
}

/// Asks what the server can do; `None` where it does not even listen.
fn ask(mut stream: TcpStream, url: &Url) -> Option<TcpStream> {
    let mut target = url.clone();
    let _ = (target.set_username(""), target.set_password(None));
    let question = format!("OPTIONS {target} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: gradcast\r\n\r\n");
    stream.set_nonblocking(true).and_then(|()| stream.write_all(question.as_bytes())).ok().map(|()| stream)
}

fn has_news(stream: &TcpStream) -> bool {
    !matches!(stream.peek(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock)
}

fn reach(url: &Url) -> Result<TcpStream, Failure> {
    let (host, port) = (url.host_str().unwrap_or_default(), port_of(url));
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = (bare, port)
        .to_socket_addrs()
        .map_err(|_| Failure::new(Reason::Network, format!("the name {host} cannot be resolved")))?;
    let mut failed = None;
    for at in found.take(4) {
        match TcpStream::connect_timeout(&at, REACH) {
            Ok(stream) => return Ok(stream),
            Err(e) => failed = Some(e),
        }
    }
    let (reason, said) = match failed {
        Some(e) => (reason::of_system(&e), format!("{host}:{port}: {e}")),
        None => (Reason::Network, format!("{host} has no address")),
    };
    Err(Failure::new(reason, said))
}

fn port_of(url: &Url) -> u16 {
    const PORTS: [(&str, u16); 4] = [("rtsp", 554), ("rtsps", 322), ("http", 80), ("https", 443)];
    let usual = PORTS.iter().find(|(scheme, _)| *scheme == url.scheme()).map(|(_, port)| *port);
    url.port().or(usual).unwrap_or(554)
}
