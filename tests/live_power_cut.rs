//! Promise: a camera that hung, and was switched off and on so that nobody closed its old connections, is back within two
//! seconds of its return.

#[path = "common/rtsp.rs"]
mod rtsp;

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use gradcast::video::live::{LiveOptions, LiveSource};
use rtsp::{H264, Rtsp, clip};

/// Accepts connections in front of a server and holds them, without a word; those that come once it is `awake` reach it.
fn hung(port: u16, awake: &Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().port();
    let awake = Arc::clone(awake);
    thread::spawn(move || {
        let mut held = Vec::new();
        for client in listener.incoming().flatten() {
            if !awake.load(SeqCst) {
                held.push(client);
                continue;
            }
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for (mut from, mut to) in
                [(&client, &server), (&server, &client)].map(|(a, b)| (a.try_clone().unwrap(), b.try_clone().unwrap()))
            {
                thread::spawn(move || {
                    let _ = copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
    at
}

#[test]
fn old_connections_hold_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let awake = Arc::new(AtomicBool::new(false));
    let port = hung(server.port(), &awake);
    let mut options = LiveOptions::new().unwrap();
    options.transport = gradcast::video::live::Transport::Tcp;
    let source = LiveSource::start(format!("rtsp://127.0.0.1:{port}/clip").parse().unwrap(), options).unwrap();
    // The first attempt has most of its eight seconds before it.
    thread::sleep(Duration::from_millis(2800));
    awake.store(true, SeqCst);
    let back = Instant::now();
    source.frames().recv_timeout(Duration::from_secs(20)).expect("it comes back");
    println!("back after {:?}", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
    source.stop();
}
