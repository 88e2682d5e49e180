//! Live sources: whatever a camera, a server or a network does, frames come back, times rise, and
//! what went wrong is said.

mod common;

#[path = "common/rtsp.rs"]
mod rtsp;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gradcast::video::live::{
    Address, Broadcast, Credentials, EncoderOptions, Health, Keep, LiveEncoder, LiveOptions, LiveSource, Reason,
    RtspServer, Transport, now,
};
use gradcast::video::{Description, ErrorKind, Frame, PixelFormat};
use rtsp::{H264, H265, MJPEG, Rtsp, Serving, clip, free_port, within};

const SOON: Duration = Duration::from_secs(10);

fn options() -> LiveOptions {
    LiveOptions::new().unwrap()
}

fn start(address: &str, options: LiveOptions) -> LiveSource {
    LiveSource::start(address.parse().unwrap(), options).unwrap()
}

/// The next frames, each within the limit; their times must rise, and lie in the present.
fn frames(source: &LiveSource, count: usize) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    for n in 0..count {
        let frame = source
            .frames()
            .recv_timeout(SOON)
            .unwrap_or_else(|e| panic!("{n} of {count} frames: {e}, {:?}", source.health()));
        assert!(frames.last().is_none_or(|last| frame.pts() > last.pts()));
        assert!(frame.pts() <= now() + Duration::from_millis(50), "{:?} {:?}", frame.pts(), now());
        frames.push(frame);
    }
    frames
}

fn stop(source: LiveSource) {
    let begun = Instant::now();
    source.stop();
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?} to stop", begun.elapsed());
}

/// Waits until the source has failed for this reason, and returns what it says.
fn fails_for(source: &LiveSource, reason: Reason, limit: Duration) -> String {
    let said = |health: &Health| match health {
        Health::Connecting { last: Some((r, said)), .. } if *r == reason => Some(said.clone()),
        Health::Away { reason: r, said, .. } if *r == reason => Some(said.clone()),
        _ => None,
    };
    let mut words = None;
    let took = within(limit, || {
        words = said(&source.health());
        words.is_some()
    });
    println!("{reason:?} after {took:?}: {words:?}");
    let words = words.unwrap_or_else(|| panic!("{:?}", source.health()));
    assert!(source.counters().failures[&reason] >= 1);
    words
}

#[test]
fn the_test_picture_goes_on_over_its_end() {
    let source = start("test", options());
    assert_eq!(frames(&source, 1)[0].format().width(), 1280);
    let begun = Instant::now();
    // The clip lasts 16.6 s.
    let mut last = frames(&source, 1)[0].clone();
    let (mut widest, mut count) = (Duration::ZERO, 0);
    while begun.elapsed() < Duration::from_secs(19) {
        let frame = frames(&source, 1)[0].clone();
        widest = widest.max(frame.pts() - last.pts());
        last = frame;
        count += 1;
    }
    println!("{count} frames, widest step {widest:?}, {:?}", source.counters());
    assert!(widest < Duration::from_secs(1), "{widest:?}");
    assert!(count > 19 * 10, "{count} frames");
    assert!(matches!(source.health(), Health::Up { .. }));
    assert!(source.counters().failures.is_empty());
    stop(source);
}

#[test]
fn a_server_that_comes_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let source = start(&server.url(), options());
    let mut last = frames(&source, 10).pop().unwrap();
    assert_eq!((last.format().width(), last.format().height()), (320, 180));
    for _ in 0..3 {
        server.kill();
        fails_for(&source, Reason::Refused, SOON);
        assert!(matches!(source.health(), Health::Away { .. }));
        while source.frames().try_recv().is_ok() {}
        server.restart();
        let back = Instant::now();
        let mut next = frames(&source, 1);
        println!("back after {:?} ({:?})", back.elapsed(), source.counters().failures);
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
        next.extend(frames(&source, 9));
        assert!(next[0].pts() > last.pts() && next[0].seq() > last.seq());
        last = next.last().unwrap().clone();
    }
    assert!(source.counters().bytes > 1000);
    stop(source);
}

#[test]
fn the_first_connection_may_fail() {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path(), "a.mkv", (320, 180), 25, H264);
    let port = free_port();
    let source = start(&format!("rtsp://127.0.0.1:{port}/clip"), options());
    assert!(fails_for(&source, Reason::Refused, SOON).contains("127.0.0.1"));
    let format = source.settle().unwrap();
    assert_eq!((format.width(), format.height()), (1280, 720));
    let server = Rtsp::start(Serving { clip, auth: None, tls: None }, port);
    let begun = Instant::now();
    frames(&source, 1);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // What comes is brought to the size that was settled meanwhile.
    assert_eq!(frames(&source, 5)[4].format().width(), 1280);
    drop(server);
    stop(source);
}

#[test]
fn another_size_codec_and_rate_on_return() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let source = start(&server.url(), options());
    let first = frames(&source, 5).pop().unwrap();
    let others = [
        clip(folder.path(), "b.mkv", (160, 120), 10, MJPEG),
        clip(folder.path(), "c.mkv", (648, 480), 30, H264),
        clip(folder.path(), "d.mkv", (640, 480), 15, H265),
    ];
    for other in others {
        server.kill();
        server.set_clip(&other);
        server.restart();
        thread::sleep(Duration::from_millis(500));
        let later = frames(&source, 10).pop().unwrap();
        assert_eq!(later.format().width(), first.format().width());
        assert_eq!(later.format().pixels(), PixelFormat::I420);
        let read = later.read().unwrap();
        let row = |y: usize| &read.plane(0).data[y * read.plane(0).stride..][..320];
        // 4:3 in 16:9: black at the sides.
        assert!(row(90)[0] <= 20 && row(90)[319] <= 20, "{:?}", row(90));
    }
    stop(source);
}

#[test]
fn a_stall_inside_an_open_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let source = start(
        &server.url(),
        LiveOptions { silence: Some(Duration::from_millis(1500)), open_within: Duration::from_secs(3), ..options() },
    );
    let patient = start(&server.url(), LiveOptions { silence: None, ..options() });
    frames(&source, 10);
    frames(&patient, 10);
    server.freeze();
    fails_for(&source, Reason::Stall, SOON);
    // The next attempt is accepted by the system and then hears nothing.
    fails_for(&source, Reason::Timeout, 2 * SOON);
    assert!(matches!(patient.health(), Health::Up { .. }), "{:?}", patient.health());
    server.thaw();
    while source.frames().try_recv().is_ok() {}
    frames(&source, 10);
    frames(&patient, 10);
    assert!(patient.counters().failures.is_empty());
    server.freeze();
    thread::sleep(Duration::from_millis(300));
    stop(source);
    stop(patient);
    server.thaw();
}

#[test]
fn a_black_hole_is_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    for scheme in ["rtsp", "http"] {
        let source = start(
            &format!("{scheme}://me:swordfish@127.0.0.1:{port}/x"),
            LiveOptions { open_within: Duration::from_secs(1), ..options() },
        );
        let said = fails_for(&source, Reason::Timeout, SOON);
        assert!(!said.contains("swordfish") && !said.contains("me:"), "{said}");
        thread::sleep(Duration::from_millis(1200));
        stop(source);
    }
}

/// Answers each connection with what `answer` says.
fn answering(answer: impl Fn(&mut TcpStream, u64) + Send + Sync + 'static) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (count, counted) = (Arc::new(AtomicU64::new(0)), Arc::new(answer));
    let asked = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (mut stream, asked, answer) = (stream, Arc::clone(&asked), Arc::clone(&counted));
            thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
                let mut request = [0; 4096];
                // A knock says nothing.
                if stream.read(&mut request).is_ok_and(|n| n > 0) {
                    let n = asked.fetch_add(1, Ordering::Relaxed);
                    answer(&mut stream, n);
                }
            });
        }
    });
    (port, count)
}

#[test]
fn nonsense_is_survived() {
    let garbage: Vec<u8> = (0..4000_u32).map(|n| ((n * 7919) >> 3) as u8).collect();
    let answers: [&'static [u8]; 4] = [
        b"hello, this is no camera\r\n\r\n",
        garbage.leak(),
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 99999999999\r\n\r\nv=0",
        b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: DESCRIBE\r\n\r\n$\0\xff\xff",
    ];
    for answer in answers {
        let (port, asked) = answering(move |stream, _| {
            let _ = stream.write_all(answer);
        });
        let source = start(
            &format!("rtsp://127.0.0.1:{port}/x"),
            LiveOptions { open_within: Duration::from_secs(2), ..options() },
        );
        assert!(within(SOON, || source.counters().failures.values().sum::<u64>() >= 2).is_some());
        println!("{:?} {:?}", source.health(), source.counters().failures);
        assert!(asked.load(Ordering::Relaxed) >= 2);
        stop(source);
    }
}

#[test]
fn web_servers_are_told_apart() {
    let table = [
        ("404 Not Found", Reason::NotFound),
        ("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"", Reason::Unauthorised),
        ("200 OK\r\nContent-Type: text/plain", Reason::Nonsense),
    ];
    for (status, reason) in table {
        let (port, _) = answering(move |stream, _| {
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd");
        });
        let source = start(&format!("http://me:swordfish@127.0.0.1:{port}/x?token=tuna"), options());
        let said = fails_for(&source, reason, SOON);
        assert!(!said.contains("swordfish") && !said.contains("tuna"), "{said}");
        stop(source);
    }
}

/// A JPEG of 320×240.
fn jpeg() -> Vec<u8> {
    gstreamer::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jpg");
    let text = format!(
        "videotestsrc num-buffers=1 ! video/x-raw,width=320,height=240 ! jpegenc ! filesink location={}",
        path.display()
    );
    let pipeline = gstreamer::parse::launch(&text).unwrap();
    use gstreamer::prelude::*;
    pipeline.set_state(gstreamer::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    bus.timed_pop_filtered(gstreamer::ClockTime::from_seconds(10), &[gstreamer::MessageType::Eos]).unwrap();
    pipeline.set_state(gstreamer::State::Null).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn motion_jpeg_over_http() {
    let picture = jpeg();
    let (port, _) = answering(move |stream, _| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n");
        for _ in 0..40 {
            let _ = write!(stream, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
            let _ = stream.write_all(&picture).and_then(|()| stream.write_all(b"\r\n"));
            thread::sleep(Duration::from_millis(50));
        }
    });
    let source = start(&format!("http://127.0.0.1:{port}/x"), options());
    let begun = Instant::now();
    let all = frames(&source, 60);
    println!("{:?} for 60 frames, {:?}", begun.elapsed(), source.counters());
    assert_eq!(all[0].format().height(), 240);
    assert_eq!(source.counters().reconnects.into_iter().collect::<Vec<_>>(), [(Reason::Eos, 1)]);
    stop(source);
}

/// A slow camera's first picture is not held back to gather more of them.
#[test]
fn the_first_pictures_of_a_slow_motion_jpeg_camera_come_at_once() {
    let picture = jpeg();
    let (port, _) = answering(move |stream, _| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n");
        // The last picture is whole when the next one begins.
        for n in 0..5 {
            let _ = write!(stream, "--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
            let _ = stream.write_all(&picture).and_then(|()| stream.write_all(b"\r\n"));
            thread::sleep(Duration::from_millis(if n < 4 { 500 } else { 30_000 }));
        }
    });
    let source = start(&format!("http://127.0.0.1:{port}/x"), LiveOptions { silence: None, ..options() });
    frames(&source, 3);
    assert_eq!(source.counters().dropped, 0);
    assert!(source.counters().failures.is_empty(), "{:?}", source.counters());
    stop(source);
}

#[test]
fn passwords_right_and_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let clip = clip(folder.path(), "a.mkv", (320, 180), 25, H264);
    let server = Rtsp::start(Serving { clip: clip.clone(), auth: Some("basic-empty"), tls: None }, free_port());
    let empty = start(&server.url().replace("rtsp://", "rtsp://admin:@"), options());
    frames(&empty, 5);
    stop(empty);
    for auth in ["basic", "digest"] {
        let serving = Serving { clip: clip.clone(), auth: Some(auth), tls: None };
        let server = Rtsp::start(serving, free_port());
        let with = |who: &str| server.url().replace("rtsp://", &format!("rtsp://{who}"));
        let right = start(&with("admin:swordfish@"), options());
        frames(&right, 5);
        stop(right);
        let apart = LiveOptions { credentials: Some(Credentials::new(rtsp::USER, rtsp::PASSWORD)), ..options() };
        let apart = start(&server.url(), apart);
        frames(&apart, 5);
        stop(apart);
        for who in ["admin:catfish@", ""] {
            let wrong = start(&with(who), options());
            let said = fails_for(&wrong, Reason::Unauthorised, SOON);
            assert!(!said.contains("catfish") && !said.contains("admin"), "{said}");
            assert!(!format!("{:?} {:?}", wrong.health(), wrong.address()).contains("catfish"));
            stop(wrong);
        }
    }
}

/// Pictures that are sent out of order are not late.
#[test]
fn b_frames_all_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let encode = "x264enc bframes=3 b-adapt=false key-int-max=50 speed-preset=ultrafast bitrate=2000 ! h264parse";
    let server = Rtsp::serve(&clip(folder.path(), "b.mkv", (640, 480), 25, encode));
    let source = start(&server.url(), LiveOptions { keep: Keep::All(16), ..options() });
    frames(&source, 5);
    let (begun, before) = (Instant::now(), source.counters().received);
    while begun.elapsed() < Duration::from_secs(6) {
        let _ = source.frames().recv_timeout(Duration::from_millis(100));
    }
    let received = source.counters().received - before;
    println!("{received} of 150");
    assert!((135..=165).contains(&received), "{received} of 150 frames");
    assert_eq!((source.counters().damaged, source.counters().dropped), (0, 0));
    stop(source);
}

/// Cameras lock accounts after a handful of wrong passwords.
#[test]
fn a_wrong_password_is_tried_once_and_not_again_soon() {
    let tried = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&tried);
    let (port, _) = answering(move |stream, _| {
        // The first request has been read; the others follow on the same connection.
        let mut request = [0; 4096];
        for sequence in 1.. {
            let answer = format!(
                "RTSP/1.0 401 Unauthorized\r\nCSeq: {sequence}\r\n\
                 WWW-Authenticate: Digest realm=\"camera\", nonce=\"0123456789abcdef\"\r\n\r\n"
            );
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
            match stream.read(&mut request) {
                Ok(n) if n > 0 => {
                    let tries = String::from_utf8_lossy(&request[..n]).matches("Authorization: Digest").count();
                    counted.fetch_add(tries as u64, Ordering::Relaxed);
                }
                _ => return,
            }
        }
    });
    let source = start(&format!("rtsp://admin:catfish@127.0.0.1:{port}/x"), options());
    fails_for(&source, Reason::Unauthorised, SOON);
    thread::sleep(Duration::from_secs(4));
    assert_eq!(tried.load(Ordering::Relaxed), 1);
    stop(source);
}

/// What has a meaning in addresses may be in a password too.
#[test]
fn a_password_of_any_characters() {
    let broadcast = Broadcast::new();
    let table = [
        ("gardener%40home:p%40ss%2Fw%C3%B6rd%3A%20%23%3F%25", "gardener@home", "p@ss/wörd: #?%"),
        ("o'hara:it's", "o'hara", "it's"),
    ];
    let places = table.map(|(login, ..)| (login, format!("127.0.0.1:{}/cam", free_port())));
    let urls = places.clone().map(|(login, place)| format!("rtsp://{login}@{place}"));
    let description = Description::built_in().unwrap();
    let _mounts = urls.clone().map(|url| RtspServer::mount(&url, &broadcast, &description).unwrap());
    let test = start("test", LiveOptions { size: Some((320, 180)), ..LiveOptions::new().unwrap() });
    let format = test.settle().unwrap();
    let encoder = LiveEncoder::start_into(&broadcast, &format, &EncoderOptions::new().unwrap()).unwrap();
    let stopping = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stopping);
    let feeding = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            if let Ok(frame) = test.frames().recv_timeout(Duration::from_millis(100)) {
                encoder.push(frame);
            }
        }
    });
    for ((url, (_, place)), (_, user, password)) in urls.iter().zip(&places).zip(table) {
        let source = start(url, options());
        let credentials = Some(Credentials::new(user, password));
        let apart = start(&format!("rtsp://{place}"), LiveOptions { credentials, ..options() });
        frames(&source, 5);
        frames(&apart, 5);
        stop(source);
        stop(apart);
    }
    stopping.store(true, Ordering::Relaxed);
    feeding.join().unwrap();
}

#[test]
fn udp_and_a_server_that_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    for transport in [Transport::Udp, Transport::Auto] {
        let source = start(&server.url(), LiveOptions { transport, ..options() });
        frames(&source, 10);
        server.kill();
        thread::sleep(Duration::from_millis(700));
        while source.frames().try_recv().is_ok() {}
        server.restart();
        let back = Instant::now();
        frames(&source, 1);
        println!("{transport:?}: back after {:?}, {:?}", back.elapsed(), source.counters().failures);
        assert!(back.elapsed() < Duration::from_secs(2), "{:?}", back.elapsed());
        stop(source);
    }
}

#[test]
fn an_encrypted_stream() {
    let folder = tempfile::tempdir().unwrap();
    let pem = folder.path().join("server.pem");
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout"])
        .arg(&pem)
        .arg("-out")
        .arg(folder.path().join("cert.pem"))
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        eprintln!("skipped: no openssl to make a certificate with");
        return;
    }
    let cert = std::fs::read(folder.path().join("cert.pem")).unwrap();
    std::fs::OpenOptions::new().append(true).open(&pem).unwrap().write_all(&cert).unwrap();
    let clip = clip(folder.path(), "a.mkv", (320, 180), 25, H264);
    let server = Rtsp::start(Serving { clip, auth: None, tls: Some(pem) }, free_port());
    let careful = start(&server.url(), options());
    fails_for(&careful, Reason::Tls, SOON);
    stop(careful);
    let careless = start(&server.url(), LiveOptions { tls_insecure: true, ..options() });
    frames(&careless, 5);
    stop(careless);
}

#[test]
fn a_file_at_its_own_pace() {
    let folder = tempfile::tempdir().unwrap();
    let path = clip(folder.path(), "a.mkv", (160, 120), 25, H264);
    let once = LiveSource::start(Address::file(&path), LiveOptions { keep: Keep::All(4), ..options() }).unwrap();
    let begun = Instant::now();
    let count = once.frames().iter().count();
    assert_eq!(count, 100);
    assert!((3.5..8.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    assert_eq!(once.health(), Health::Ended);
    assert_eq!(once.counters().dropped, 0);
    stop(once);

    // As fast as it goes, and nothing is lost although nobody hurries.
    let fast = LiveOptions { keep: Keep::All(4), realtime: false, ..options() };
    let fast = LiveSource::start(Address::file(&path), fast).unwrap();
    thread::sleep(Duration::from_millis(700));
    assert_eq!((fast.frames().iter().count(), fast.counters().dropped), (100, 0));
    stop(fast);

    let over = LiveSource::start(Address::file(&path), LiveOptions { repeat: true, ..options() }).unwrap();
    let begun = Instant::now();
    frames(&over, 130);
    assert!(begun.elapsed() < 2 * SOON, "{:?}", begun.elapsed());
    assert!(over.counters().failures.is_empty());
    stop(over);
}

/// The built-in description with another key of `[live.source]`.
fn describing(folder: &std::path::Path, key: &str, launch: &str) -> Description {
    let path = folder.join("pipeline.toml");
    std::fs::write(&path, format!("[live.source]\n{key} = \"{launch}\"\n")).unwrap();
    Description::load(&path).unwrap()
}

/// All that comes until the end, and how it ended.
fn to_the_end(path: &std::path::Path, options: LiveOptions) -> (usize, Health, LiveSource) {
    let source = LiveSource::start(Address::file(path), options).unwrap();
    let (mut count, mut last) = (0, None);
    while let Ok(frame) = source.frames().recv_timeout(2 * SOON) {
        assert!(last.is_none_or(|last| frame.pts() > last), "{}", path.display());
        last = Some(frame.pts());
        count += 1;
    }
    let ended = within(Duration::from_secs(2), || matches!(source.health(), Health::Ended | Health::Failed { .. }));
    assert!(ended.is_some(), "{}: {count} frames, {:?}", path.display(), source.health());
    (count, source.health(), source)
}

/// A picture that stands is no stall, and what breaks off is not begun anew.
#[test]
fn files_that_stand_still_and_files_that_break_off() {
    let folder = tempfile::tempdir().unwrap();
    let brief = LiveOptions { keep: Keep::All(4), silence: Some(Duration::from_millis(300)), ..options() };
    let slides = clip(folder.path(), "slides.mkv", (160, 120), 1, H264);
    let (count, health, source) = to_the_end(&slides, brief.clone());
    assert_eq!((count, health), (4, Health::Ended));
    assert!(source.counters().failures.is_empty(), "{:?}", source.counters());

    let film = clip(folder.path(), "a.mkv", (160, 120), 25, H264);
    let launch = "filesrc name=input ! decodebin name=decode ! identity error-after=30";
    let broken = LiveOptions { description: describing(folder.path(), "file", launch), repeat: true, ..brief.clone() };
    let (count, health, source) = to_the_end(&film, broken);
    assert!((25..30).contains(&count), "{count}");
    assert!(matches!(&health, Health::Failed { said } if !said.is_empty()), "{health:?}");
    assert_eq!(source.counters().failures.values().sum::<u64>(), 1);

    let Some(videos) = common::material().map(|material| material.join("videos")) else {
        return;
    };
    for name in ["cockatoo_truncated_faststart.mp4", "cockatoo_bitflips.mkv", "cockatoo_vfr.mkv"] {
        let fast = LiveOptions { realtime: false, ..brief.clone() };
        let (count, health, source) = to_the_end(&videos.join(name), fast);
        println!("{name}: {count} frames, {health:?}, {:?}", source.counters());
        assert!(count > 20, "{name}: {count}");
    }
    // One picture, over and over: at the pace of a picture.
    let once = LiveOptions { repeat: true, ..options() };
    let source = LiveSource::start(Address::file(videos.join("single_frame.mp4")), once).unwrap();
    frames(&source, 2);
    let before = source.counters().received;
    thread::sleep(Duration::from_secs(2));
    let received = source.counters().received - before;
    println!("{received} times one picture in two seconds");
    assert!(received <= 150, "{received}");
    stop(source);
}

/// However slow the decoder is, what it is given is fresh, and what it is not given is counted.
#[test]
fn a_decoder_slower_than_the_camera() {
    let folder = tempfile::tempdir().unwrap();
    let built_in = "videoconvert ! capsfilter name=fit ! appsink name=frames sync=false max-buffers=1 drop=false";
    let slow = describing(folder.path(), "hand_over", &format!("identity sleep-time=80000 ! {built_in}"));
    let encodings = [("a.mkv", H264), ("b.mkv", MJPEG)];
    let servers = encodings.map(|(name, encode)| Rtsp::serve(&clip(folder.path(), name, (320, 180), 25, encode)));
    let begin = |server: &Rtsp| {
        let source = start(&server.url(), LiveOptions { description: slow.clone(), ..options() });
        frames(&source, 1);
        (source, Instant::now())
    };
    let sources = servers.each_ref().map(begin);
    thread::sleep(SOON);
    for (source, begun) in sources {
        let (came, counters) = (25.0 * begun.elapsed().as_secs_f64(), source.counters());
        let waiting = came - (counters.received + counters.skipped) as f64;
        println!("{came:.0} came, {waiting:.0} wait: {counters:?}");
        // Without any skipped, ten seconds leave 125 of them.
        assert!(waiting < 80.0 && counters.skipped > 40 && counters.received > 20, "{waiting} wait, {counters:?}");
        assert!(counters.failures.is_empty(), "{counters:?}");
        stop(source);
    }
}

/// A stream whose time jumps by three seconds, one without times, and a film.
#[test]
fn times_of_web_servers() {
    use gstreamer::prelude::*;
    gstreamer::init().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let make = |name: &str, fps: u32, mux: &str| {
        let path = folder.path().join(name);
        let text = format!(
            "videotestsrc num-buffers={} ! video/x-raw,format=I420,width=160,height=120,framerate={fps}/1 ! {H264} ! \
             identity name=jump ! {mux} ! filesink location=\"{}\"",
            6 * fps,
            path.display()
        );
        let pipeline = gstreamer::parse::launch(&text).unwrap().downcast::<gstreamer::Pipeline>().unwrap();
        let pad = pipeline.by_name("jump").unwrap().static_pad("src").unwrap();
        let jumps = name == "jump.mkv";
        pad.add_probe(gstreamer::PadProbeType::BUFFER, move |_, probe| {
            if let Some(gstreamer::PadProbeData::Buffer(buffer)) = &mut probe.data
                && jumps
                && buffer.pts().is_some_and(|pts| pts.seconds() >= 3)
            {
                let (pts, dts, jump) = (buffer.pts(), buffer.dts(), gstreamer::ClockTime::from_seconds(3));
                let buffer = buffer.make_mut();
                buffer.set_pts(pts.map(|t| t + jump));
                buffer.set_dts(dts.map(|t| t + jump));
            }
            gstreamer::PadProbeReturn::Ok
        });
        pipeline.set_state(gstreamer::State::Playing).unwrap();
        let bus = pipeline.bus().unwrap();
        bus.timed_pop_filtered(gstreamer::ClockTime::from_seconds(20), &[gstreamer::MessageType::Eos]).unwrap();
        pipeline.set_state(gstreamer::State::Null).unwrap();
        std::fs::read(path).unwrap()
    };
    // As it is made, or all at once with its length.
    let serve = |bytes: Vec<u8>, film: bool| {
        let (port, _) = answering(move |stream, _| {
            let length = if film { format!("Content-Length: {}\r\n", bytes.len()) } else { String::new() };
            let _ = write!(stream, "HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\n");
            for piece in bytes.chunks(bytes.len() / 300 + 1) {
                if stream.write_all(piece).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(if film { 0 } else { 20 }));
            }
        });
        start(&format!("http://127.0.0.1:{port}/x"), LiveOptions { keep: Keep::All(200), ..options() })
    };
    let jump = serve(make("jump.mkv", 25, "matroskamux streamable=true"), false);
    let bare = serve(make("bare.h264", 25, "h264parse ! video/x-h264,stream-format=byte-stream"), false);
    let film = serve(make("film.mkv", 25, "matroskamux"), true);
    let slides = serve(make("slides.mkv", 1, "matroskamux"), true);
    // (source, frames, the longest wait for one, how long all take)
    let table = [
        (jump, 140, 2.0, 4.5..8.0),
        (bare, 140, 2.0, 4.5..8.0),
        (film, 148, 2.0, 5.0..9.0),
        (slides, 6, 4.0, 4.5..9.0),
    ];
    thread::scope(|scope| {
        for (n, (source, count, longest, takes)) in table.into_iter().enumerate() {
            scope.spawn(move || {
                frames(&source, 1);
                let (begun, mut last, mut widest) = (Instant::now(), Instant::now(), Duration::ZERO);
                for _ in 1..count {
                    frames(&source, 1);
                    widest = widest.max(last.elapsed());
                    last = Instant::now();
                }
                let took = begun.elapsed().as_secs_f64();
                println!("{n}: {took:.1} s, no wait longer than {widest:?}, {:?}", source.counters());
                assert!(takes.contains(&took) && widest.as_secs_f64() < longest, "{n}: {took} {widest:?}");
                assert!(source.counters().failures.is_empty(), "{n}: {:?}", source.counters());
                stop(source);
            });
        }
    });
}

/// What is lost on the way damages pictures; times rise, and pictures go on.
#[test]
fn packets_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let server = Rtsp::serve_with_loss(&clip(folder.path(), "a.mkv", (320, 180), 25, H264), 0.05);
    let source = start(&server.url(), LiveOptions { transport: Transport::Udp, ..options() });
    frames(&source, 1);
    let begun = Instant::now();
    let count = frames(&source, 60).len();
    println!("{count} in {:?}, {:?}", begun.elapsed(), source.counters());
    assert!(source.counters().failures.is_empty() && begun.elapsed() < SOON, "{:?}", source.counters());
    stop(source);
}

/// A web camera that asks who is there.
#[test]
fn a_password_for_a_web_server() {
    let picture = jpeg();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let picture = picture.clone();
            thread::spawn(move || {
                let mut request = [0; 4096];
                let n = stream.read(&mut request).unwrap_or_default();
                let expected = "Authorization: Basic YWRtaW46c3dvcmRmaXNo\r\n";
                if !String::from_utf8_lossy(&request[..n]).contains(expected) {
                    let status = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"";
                    let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    return;
                }
                let kind = "multipart/x-mixed-replace; boundary=frame";
                let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n");
                let head = format!("--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len());
                let part = [head.as_bytes(), &picture, b"\r\n"].concat();
                while stream.write_all(&part).is_ok() {
                    thread::sleep(Duration::from_millis(50));
                }
            });
        }
    });
    let source = start(&format!("http://{}:{}@127.0.0.1:{port}/x", rtsp::USER, rtsp::PASSWORD), options());
    frames(&source, 5);
    assert!(source.counters().failures.is_empty(), "{:?}", source.counters());
    stop(source);
}

#[test]
fn the_newest_frame_wins() {
    let source = start("test", options());
    frames(&source, 1);
    thread::sleep(Duration::from_secs(2));
    let next = frames(&source, 2);
    let age = now() - next[1].pts();
    println!("age {age:?}, {:?}", source.counters());
    assert!(age < Duration::from_millis(600), "{age:?}");
    assert!(source.counters().dropped > 15);
    stop(source);
}

#[test]
fn a_camera_that_is_not_there() {
    let source = start("/dev/video97", options());
    assert!(fails_for(&source, Reason::Device, SOON).contains("--list"));
    stop(source);
    let source = start("No Such Camera", options());
    assert!(fails_for(&source, Reason::Device, SOON).contains("No Such Camera"));
    stop(source);
    let e = LiveSource::start("no/such/file.mp4".parse().unwrap(), options()).err().unwrap();
    assert_eq!(e.kind(), ErrorKind::Input);
}

/// A live source with the formats of a webcam in place of the camera.
#[test]
fn what_a_camera_delivers_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let raw = "videotestsrc name=input is-live=true ! video/x-raw,format=YUY2,framerate=30/1,width={640,320},height={480,240}";
    let jpeg =
        "videotestsrc name=input is-live=true ! video/x-raw,width={1280,640},height={720,360},framerate=30/1 ! jpegenc";
    let table = [
        (raw, None, (640, 480)),
        (raw, Some((320, 240)), (320, 240)),
        (jpeg, None, (1280, 720)),
        (jpeg, Some((640, 360)), (640, 360)),
        // It cannot do that: scaled here.
        (jpeg, Some((400, 300)), (400, 300)),
    ];
    for (stand_in, size, expected) in table {
        let path = folder.path().join("camera.toml");
        let text = format!("[live.source]\ncamera = \"{stand_in} ! capsfilter name=wish ! decodebin name=decode\"\n");
        std::fs::write(&path, text).unwrap();
        let description = Description::load(&path).unwrap();
        let source = start("0", LiveOptions { description, size, ..options() });
        let format = Arc::clone(frames(&source, 5)[4].format());
        assert_eq!((format.width(), format.height()), expected, "{stand_in}");
        stop(source);
    }
}

#[test]
fn options_change_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let source = start(&server.url(), options());
    frames(&source, 5);
    source.set_options(LiveOptions { transport: Transport::Udp, ..options() });
    assert!(within(SOON, || source.counters().failures.contains_key(&Reason::Changed)).is_some());
    assert!(within(SOON, || matches!(source.health(), Health::Up { .. })).is_some());
    frames(&source, 5);
    stop(source);
}
