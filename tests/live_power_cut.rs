//! Promise: a camera that hung or was off, and was switched off and on so that nobody closed its old connections, is back within two
//! seconds of its return.

#[path = "common/rtsp.rs"]
mod rtsp;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use gradcast::video::live::{LiveOptions, LiveSource, Reason, Transport};
use rtsp::{H264, Rtsp, clip};
use socket2::{Domain, Socket, Type};

/// How a camera that is not `awake` treats those that connect.
#[derive(Clone, Copy, PartialEq)]
enum Sleep {
    /// It accepts them and says nothing.
    Hung,
    /// Nothing answers, as where no machine is.
    Off,
}

/// Stands in front of a server. Connections that come once it is `awake` reach the server, and while it was awake before;
/// nothing passes while it is not, and those that were open then never pass anything again.
fn sleeping(port: u16, sleep: Sleep, awake: &Arc<AtomicBool>) -> u16 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(if sleep == Sleep::Off { 0 } else { 128 }).unwrap();
    let listener = TcpListener::from(socket);
    let at = listener.local_addr().unwrap();
    let awake = Arc::clone(awake);
    thread::spawn(move || {
        let mut held = Vec::new();
        if sleep == Sleep::Off {
            // They fill the queue: what comes after them is dropped.
            for _ in 0..4 {
                let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                filler.set_nonblocking(true).unwrap();
                let _ = filler.connect(&at.into());
                held.push(TcpStream::from(filler));
            }
            while !awake.load(SeqCst) {
                thread::sleep(Duration::from_millis(5));
            }
        }
        for client in listener.incoming().flatten() {
            if !awake.load(SeqCst) {
                held.push(client);
                continue;
            }
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut from, mut to) in
                [(&client, &server), (&server, &client)].map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()))
            {
                let awake = Arc::clone(&awake);
                thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while let Ok(n) = from.read(&mut bytes)
                        && n > 0
                    {
                        // It has lost its power, and says no farewell.
                        if !awake.load(SeqCst) {
                            thread::sleep(Duration::from_secs(60));
                        }
                        if to.write_all(&bytes[..n]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    at.port()
}

fn start(port: u16, silence: Option<Duration>) -> LiveSource {
    let options = LiveOptions { transport: Transport::Tcp, silence, ..LiveOptions::new().unwrap() };
    LiveSource::start(format!("rtsp://127.0.0.1:{port}/clip").parse().unwrap(), options).unwrap()
}

#[test]
fn nothing_from_before_holds_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    for (sleep, time) in [(Sleep::Hung, 2800), (Sleep::Off, 3500)] {
        let awake = Arc::new(AtomicBool::new(false));
        let port = sleeping(server.port(), sleep, &awake);
        let source = start(port, Some(Duration::from_secs(5)));
        // The first attempt at one that hangs has most of its eight seconds before it.
        thread::sleep(Duration::from_millis(time));
        awake.store(true, SeqCst);
        let back = Instant::now();
        source.frames().recv_timeout(Duration::from_secs(20)).expect("it comes back");
        println!("back after {:?}, {:?}", back.elapsed(), source.counters().failures);
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
        source.stop();
    }
}

/// A camera that may be silent is asked from time to time whether it is still there.
#[test]
fn one_that_may_be_silent_comes_back_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let awake = Arc::new(AtomicBool::new(true));
    let port = sleeping(server.port(), Sleep::Hung, &awake);
    let source = start(port, None);
    source.frames().recv_timeout(Duration::from_secs(10)).expect("it comes");
    awake.store(false, SeqCst);
    thread::sleep(Duration::from_millis(7500));
    while source.frames().try_recv().is_ok() {}
    awake.store(true, SeqCst);
    let back = Instant::now();
    source.frames().recv_timeout(Duration::from_secs(20)).expect("it comes back");
    println!("back after {:?}, {:?}", back.elapsed(), source.counters());
    assert!(back.elapsed() < Duration::from_secs(5), "{:?}", back.elapsed());
    assert_eq!(source.counters().reconnects.into_keys().collect::<Vec<_>>(), [Reason::Stall]);
    source.stop();
}
