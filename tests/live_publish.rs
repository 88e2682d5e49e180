//! One encoder, and an RTSP server that any player can read at any time.

mod common;
mod live_support;
#[path = "common/rtsp.rs"]
mod rtsp;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use common::cli::{Running, gradcast};
use gradcast::video::live::{Broadcast, EncoderOptions, LiveEncoder, OutputHealth, PushOptions, Pusher, RtspServer};
use gradcast::video::{Description, ErrorKind};
use gstreamer_rtsp_server as gst_rtsp_server;
use gstreamer_rtsp_server::gst;
use gstreamer_rtsp_server::prelude::*;
use live_support::{Live, Wire, held, look, pictures, pictures_seen, run, shapes, wait_for};
use rtsp::{H264, Rtsp, clip, free_port};

const SOON: Duration = Duration::from_secs(20);

fn description() -> Description {
    Description::built_in().unwrap()
}

/// Frames that ffprobe decodes in the first seconds of a stream.
fn ffprobe(url: &str, transport: &str, seconds: u32) -> (bool, String, String) {
    let interval = format!("%+{seconds}");
    let args = ["-v", "error", "-rtsp_transport", transport, "-read_intervals", &interval, "-count_frames"];
    let show = ["-show_entries", "stream=codec_name,profile,width,height,nb_read_frames", "-of", "csv=p=0", url];
    run("ffprobe", &[&args[..], &show[..]].concat(), SOON)
}

#[test]
fn packets_are_on_the_common_timeline_with_key_frames_by_time_and_by_wish() {
    let live = Live::start(shapes(30), 25);
    let first = live.broadcast.subscribe(100);
    let packet = first.next(SOON).expect("a first packet");
    assert!(packet.is_key());
    let delay = gradcast::video::live::now() - packet.pts();
    println!("from frame to packet: {delay:?}");
    assert!(delay < Duration::from_secs(1));
    let (mut last, mut keys, mut asked, mut second) = (packet.pts(), vec![packet.pts()], None, None);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        let packet = first.next(SOON).expect("packets flow");
        assert!(packet.pts() > last, "time rises");
        last = packet.pts();
        if packet.is_key() {
            keys.push(packet.pts());
        }
        if asked.is_none() && begin.elapsed() > Duration::from_secs(5) {
            asked = Some(Instant::now());
            second = Some(live.broadcast.subscribe(100));
        }
    }
    let gaps: Vec<_> = keys.windows(2).map(|w| w[1] - w[0]).collect();
    println!("key frames apart: {gaps:?}");
    assert!(gaps.iter().all(|gap| *gap < Duration::from_secs(3)), "{gaps:?}");
    let joined = second.unwrap().next(SOON).unwrap();
    assert!(joined.is_key(), "who joins begins with a key frame");
    assert!(keys.contains(&joined.pts()));
    // The wish was granted at once, and not with the next regular key frame.
    assert!(gaps.iter().any(|gap| *gap < Duration::from_millis(1900)), "{gaps:?}");
    assert_eq!(first.dropped(), 0);
    live.stop().finish();
    wait_for("the end", SOON, || first.next(Duration::ZERO).is_none() && first.ended());
}

#[test]
fn an_encoder_that_is_not_there_or_cannot_work_says_so() {
    let frames = shapes(1);
    let mut options = EncoderOptions::new().unwrap();
    options.encoder = Some("vp9".into());
    let e = LiveEncoder::start(frames[0].format(), &options).map(drop).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Usage);
    assert!(e.hint().contains("x264"), "{}", e.hint());
    // One that breaks at work, and one that stands still: both are said, and neither holds the end up.
    options.encoder = None;
    let dir = tempfile::tempdir().unwrap();
    for (fault, word) in [("error-after=5", "failed"), ("sleep-time=60000000", "nothing came out")] {
        let path = dir.path().join("broken.toml");
        let launch = format!("identity {fault} ! videoconvert ! x264enc name=encoder tune=zerolatency");
        std::fs::write(&path, format!("[live.encoders.x264]\nlaunch = \"{launch}\"\n")).unwrap();
        options.description = Description::load(&path).unwrap();
        let encoder = LiveEncoder::start(frames[0].format(), &options).unwrap();
        let mut error = None;
        wait_for("the failure", SOON, || {
            encoder.push(frames[0].at(gradcast::video::live::now(), None, 0));
            error = encoder.failed();
            error.is_some()
        });
        let error = error.unwrap();
        println!("{error}; {} frames dropped", encoder.dropped());
        assert!(error.to_string().contains(word), "{error}");
        let begin = Instant::now();
        encoder.finish();
        assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    }
}

#[test]
fn a_slow_encoder_gets_the_newest_frame_and_the_others_are_counted() {
    const ENCODES: Duration = Duration::from_millis(200);
    let frames = shapes(1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("slow.toml");
    let launch = format!(
        "identity sleep-time={} ! videoconvert ! x264enc name=encoder tune=zerolatency speed-preset=ultrafast",
        ENCODES.as_micros()
    );
    std::fs::write(&path, format!("[live.encoders.x264]\nlaunch = \"{launch}\"\n")).unwrap();
    let mut options = EncoderOptions::new().unwrap();
    options.description = Description::load(&path).unwrap();
    let encoder = LiveEncoder::start(frames[0].format(), &options).unwrap();
    let packets = encoder.broadcast().subscribe(100);
    let (delays, pushed, refused) = std::thread::scope(|s| {
        let taker = s.spawn(|| {
            let mut delays = Vec::new();
            while !packets.ended() {
                let Some(packet) = packets.next(Duration::from_millis(20)) else { continue };
                delays.push(gradcast::video::live::now() - packet.pts());
            }
            delays
        });
        let (mut pushed, mut refused) = (0, 0);
        for _ in 0..100 {
            pushed += 1;
            refused += u64::from(!encoder.push(frames[0].at(gradcast::video::live::now(), None, 0)));
            std::thread::sleep(Duration::from_millis(30));
        }
        assert_eq!(encoder.dropped(), refused);
        encoder.finish();
        (taker.join().unwrap(), pushed, refused)
    });
    let mut sorted = delays.clone();
    sorted.sort();
    let median = sorted[sorted.len() / 2];
    println!("{pushed} frames, {refused} dropped; {} packets, {median:?} old (median) of {delays:?}", delays.len());
    assert_eq!(delays.len() as u64, pushed - refused);
    assert!(delays.len() > 5);
    // Encoding, and one frame time of waiting; with a queue it would be two encodings at least.
    assert!(median < ENCODES + Duration::from_millis(100), "{median:?}");
}

#[test]
fn odd_sizes_and_other_encoders_make_packets() {
    let frames = shapes(1);
    for (encoder, width, height) in [("x264", 321, 241), ("x264", 322, 241), ("openh264", 321, 241)] {
        let format = std::sync::Arc::new(frames[0].format().with_size(width, height).unwrap());
        let pool = gradcast::video::FramePool::new(format.clone()).unwrap();
        let frame = pool.acquire().unwrap().finish(&frames[0]);
        let mut options = EncoderOptions::new().unwrap();
        options.encoder = Some(encoder.into());
        let encoder = LiveEncoder::start(&format, &options).unwrap();
        let live = Live::run(encoder, vec![frame], 25);
        let subscription = live.broadcast.subscribe(8);
        let packet = subscription.next(SOON).unwrap_or_else(|| panic!("{width}×{height}"));
        let caps = packet.caps().to_string();
        println!("{caps}");
        assert!(caps.contains("profile=(string)constrained-baseline"), "{caps}");
        assert!(caps.contains(&format!("width=(int){}", width - width % 2)), "{caps}");
    }
}

#[test]
fn several_players_read_a_stream_at_once_by_tcp_and_udp() {
    let live = Live::start(shapes(60), 30);
    let mount = RtspServer::mount("rtsp://127.0.0.1:0/cam", &live.broadcast, &description()).unwrap();
    let url = mount.url().to_owned();
    let (tcp, udp, gst) = std::thread::scope(|s| {
        let tcp = s.spawn(|| ffprobe(&url, "tcp", 3));
        let udp = s.spawn(|| ffprobe(&url, "udp", 3));
        let location = format!("location={url}");
        let gst = s.spawn(move || {
            let args = ["-v", "rtspsrc", &location, "latency=0", "!", "rtph264depay", "!", "avdec_h264", "!"];
            let end = ["identity", "name=seen", "silent=false", "eos-after=60", "!", "fakesink", "sync=false"];
            run("gst-launch-1.0", &[&args[..], &end[..]].concat(), SOON)
        });
        (tcp.join().unwrap(), udp.join().unwrap(), gst.join().unwrap())
    });
    for (name, (ok, out, err)) in [("tcp", &tcp), ("udp", &udp)] {
        println!("{name}: {out} {err}");
        assert!(ok, "{err}");
        let fields: Vec<&str> = out.trim().split(',').collect();
        assert_eq!(&fields[..2], ["h264", "Constrained Baseline"], "{out}");
        let frames: u64 = fields[4].parse().unwrap();
        assert!(frames >= 60, "{name}: {out}");
    }
    let seen = pictures_seen(&gst.1);
    println!("GStreamer: {seen} frames");
    assert!(gst.0 && seen >= 58, "{} {}", gst.1.len(), gst.2);
    if let Some(picture) = look("published.png") {
        let (ok, _, err) = run(
            "ffmpeg",
            &["-v", "error", "-y", "-rtsp_transport", "tcp", "-i", &url, "-frames:v", "1", &picture],
            SOON,
        );
        assert!(ok, "{err}");
    }
    drop(mount);
    let (ok, _, _) = ffprobe(&url, "tcp", 1);
    assert!(!ok, "the stream was taken away");
}

#[test]
fn a_client_that_stops_reading_holds_up_nobody() {
    // Snow at a high rate: what the system keeps for a connection is soon full.
    let folder = tempfile::tempdir().unwrap();
    let snow = folder.path().join("snow.mkv").display().to_string();
    let args = ["videotestsrc", "pattern=snow", "num-buffers=10", "!", "video/x-raw,format=I420,width=640,height=360"];
    let end = ["!", "x264enc", "!", "matroskamux", "!", "filesink", &format!("location={snow}")];
    assert!(run("gst-launch-1.0", &[&args[..], &end[..]].concat(), SOON).0);
    let frames = pictures(snow.as_ref(), 10);
    let options = EncoderOptions { quality: Some(90), bitrate: Some(20_000), ..EncoderOptions::new().unwrap() };
    let live = Live::run(LiveEncoder::start(frames[0].format(), &options).unwrap(), frames, 25);
    let mount = RtspServer::mount("rtsp://127.0.0.1:0/cam", &live.broadcast, &description()).unwrap();
    let url = mount.url().to_owned();
    wait_for("packets", SOON, || live.broadcast.flows(SOON));
    // Connected, and never heard of again.
    let stuck: Vec<Wire> = (0..2).map(|_| Wire::play(&url, Some(2048))).collect();
    std::thread::sleep(Duration::from_secs(4));
    let (tcp, udp) = std::thread::scope(|s| {
        let udp = s.spawn(|| ffprobe(&url, "udp", 5));
        let tcp = Wire::play(&url, None).pictures(Duration::from_secs(5));
        (tcp, udp.join().unwrap())
    });
    println!("{} pictures by TCP; by UDP: {udp:?}", tcp.len());
    let frames: usize = udp.1.trim().rsplit(',').next().unwrap().parse().unwrap_or(0);
    // Of 125 and a few.
    assert!(tcp.len() > 100 && frames > 100, "{} and {frames} pictures", tcp.len());
    drop(stuck);
    wait_for("the last client's end", SOON, || live.broadcast.subscribers() == 0);
}

#[test]
fn clients_that_hang_up_in_mid_stream_take_nothing_along() {
    let live = Live::start(shapes(8), 25);
    let mount = RtspServer::mount("rtsp://127.0.0.1:0/cam", &live.broadcast, &description()).unwrap();
    wait_for("packets", SOON, || live.broadcast.flows(SOON));
    // No farewell: the connection is closed while pictures are being sent.
    let visit = |time| drop(Wire::play(mount.url(), None).pictures(time));
    visit(Duration::from_millis(500));
    let alone = || live.broadcast.subscribers() == 0;
    wait_for("the first one's end", SOON, alone);
    let before = held();
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let mut random = fastrand::Rng::with_seed(seed);
            scope.spawn(move || (0..25).for_each(|_| visit(Duration::from_millis(random.u64(0..400)))));
        }
    });
    wait_for("the last one's end", SOON, alone);
    println!("threads and files before {before:?}, after {:?}", held());
    wait_for("threads and files to be given back", SOON, || held().0 <= before.0 && held().1 <= before.1);
    assert!(Wire::play(mount.url(), None).pictures(Duration::from_secs(1)).len() > 10);
}

#[test]
fn times_on_the_wire_are_those_of_the_pictures_also_with_another_encoder() {
    let frames = shapes(60);
    let broadcast = Broadcast::new();
    let encoder = || LiveEncoder::start_into(&broadcast, frames[0].format(), &EncoderOptions::new().unwrap()).unwrap();
    let live = Live::run(encoder(), frames.clone(), 25);
    let mount = RtspServer::mount("rtsp://127.0.0.1:0/cam", &broadcast, &description()).unwrap();
    let packets = broadcast.subscribe(1000);
    packets.next(SOON).expect("packets flow");
    let url = mount.url().to_owned();
    let wire = std::thread::spawn(move || Wire::play(&url, None).pictures(Duration::from_secs(6)));
    std::thread::sleep(Duration::from_secs(2));
    // It fails: another takes its place. Then pictures come as slowly as a still one is shown, then as before.
    drop(live.stop());
    std::thread::sleep(Duration::from_millis(700));
    let live = Live::run(encoder(), frames.clone(), 5);
    std::thread::sleep(Duration::from_millis(1500));
    let live = Live::run(live.stop(), frames.clone(), 30);
    let wire = wire.join().unwrap();
    drop(live);
    let sent: Vec<u64> = std::iter::from_fn(|| packets.next(Duration::ZERO))
        .map(|packet| (packet.pts().as_nanos() * 9).div_ceil(100_000) as u64)
        .collect();
    // The client came somewhere in between.
    let same = |from: usize| {
        let sent = &sent[from..];
        sent.len() >= wire.len()
            && wire.iter().zip(sent).all(|((ticks, _), sent_at)| ticks.abs_diff(sent_at - sent[0]) <= 2)
    };
    let begins = (0..sent.len()).find(|from| same(*from));
    println!("{} pictures, {} on the wire from number {begins:?} on", sent.len(), wire.len());
    assert!(begins.is_some() && wire.len() > 80, "sent {sent:?}, on the wire {wire:?}");
}

#[test]
fn times_on_the_wire_rise_with_the_clock_while_the_camera_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut camera = Rtsp::serve(&clip(folder.path(), "a.mkv", (320, 180), 25, H264));
    let url = format!("rtsp://127.0.0.1:{}/cam", free_port());
    let program = gradcast().args(["live", &camera.url(), "--no-window", "--publish", &url]).spawn().unwrap();
    let _program = Running(program);
    wait_for("the published stream", SOON, || ffprobe(&url, "tcp", 1).0);
    let wire = std::thread::spawn(move || Wire::play(&url, None).pictures(Duration::from_secs(9)));
    std::thread::sleep(Duration::from_secs(2));
    camera.kill();
    std::thread::sleep(Duration::from_secs(3));
    camera.restart();
    let wire = wire.join().unwrap();
    // How late each picture comes behind its own time, beside the first.
    let late = |(ticks, at): &(u64, Instant)| (*at - wire[0].1).as_secs_f64() - *ticks as f64 / 90_000.0;
    let (least, most) =
        wire.iter().map(late).fold((f64::MAX, f64::MIN), |(low, high), late| (low.min(late), high.max(late)));
    let longest = wire.windows(2).map(|w| w[1].0 - w[0].0).max().unwrap() as f64 / 90_000.0;
    println!("{} pictures, {least:.3} to {most:.3} s behind their times, at most {longest:.3} s apart", wire.len());
    assert!(wire.len() > 90 && most - least < 2.0 && longest < 2.0);
}

#[test]
fn who_joins_late_sees_a_picture_at_once() {
    let live = Live::start(shapes(30), 25);
    let mount = RtspServer::mount("rtsp://127.0.0.1:0/cam", &live.broadcast, &description()).unwrap();
    let url = mount.url().to_owned();
    std::thread::scope(|s| {
        let other = s.spawn(|| ffprobe(&url, "tcp", 8));
        std::thread::sleep(Duration::from_secs(2));
        for _ in 0..3 {
            let begin = Instant::now();
            let location = format!("location={url}");
            let args = ["-q", "rtspsrc", &location, "latency=0", "protocols=tcp", "!", "rtph264depay", "!"];
            let end = ["avdec_h264", "!", "fakesink", "num-buffers=1", "sync=false"];
            let (ok, _, err) = run("gst-launch-1.0", &[&args[..], &end[..]].concat(), SOON);
            println!("a late client's first picture after {:?}", begin.elapsed());
            assert!(ok && begin.elapsed() < Duration::from_secs(5), "{err}");
        }
        assert!(other.join().unwrap().0);
    });
}

#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let live = Live::start(shapes(30), 25);
    let mount = RtspServer::mount("rtsp://127.0.0.1:0/cam", &live.broadcast, &description()).unwrap();
    let visit = |transport: &str| {
        let (ok, out, err) = ffprobe(mount.url(), transport, 1);
        assert!(ok, "{out} {err}");
    };
    let empty = || wait_for("the last client's end", SOON, || live.broadcast.subscribers() == 0);
    visit("tcp");
    visit("udp");
    empty();
    let before = held();
    for i in 0..20 {
        visit(if i % 2 == 0 { "tcp" } else { "udp" });
    }
    empty();
    // Threads that GLib keeps for the next job go after some seconds of idleness.
    wait_for("the threads' end", Duration::from_secs(30), || held().0 <= before.0 && held().1 <= before.1);
    println!("threads and files before {before:?}, after {:?}", held());
}

#[test]
fn credentials_are_demanded_where_the_address_has_some() {
    let live = Live::start(shapes(10), 25);
    let mount = RtspServer::mount("rtsp://anna:s%40lt@127.0.0.1:0/cam", &live.broadcast, &description()).unwrap();
    assert!(!mount.url().contains("anna"), "{}", mount.url());
    let rest = mount.url().strip_prefix("rtsp://").unwrap();
    for (who, welcome) in [("", false), ("anna:wrong@", false), ("anna:s%40lt@", true)] {
        let (ok, out, err) = ffprobe(&format!("rtsp://{who}{rest}"), "tcp", 1);
        println!("{who}: {out} {err}");
        assert_eq!(ok, welcome, "{who}: {out} {err}");
        assert!(welcome || err.contains("401"), "{err}");
    }
    // One name has one password on a port, and all streams or none are open.
    let port = rest.split_once('/').unwrap().0;
    for other in [format!("rtsp://anna:x@{port}/b"), format!("rtsp://{port}/b")] {
        let e = RtspServer::mount(&other, &live.broadcast, &description()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Usage, "{e}");
    }
    // Another's stream is not his.
    let bob = RtspServer::mount(&format!("rtsp://bob:b@{port}/bob"), &live.broadcast, &description()).unwrap();
    let path = bob.url().strip_prefix("rtsp://").unwrap();
    assert!(ffprobe(&format!("rtsp://bob:b@{path}"), "tcp", 1).0);
    assert!(!ffprobe(&format!("rtsp://anna:s%40lt@{path}"), "tcp", 1).0);
}

#[test]
fn a_name_may_have_another_password_once_its_last_stream_is_gone() {
    let live = Live::start(shapes(10), 25);
    let mount = |at: &str| RtspServer::mount(&format!("rtsp://{at}"), &live.broadcast, &description());
    let bob = mount("bob:b@127.0.0.1:0/bob").unwrap();
    let port = bob.url().strip_prefix("rtsp://").unwrap().split_once('/').unwrap().0.to_owned();
    let plays = |who: &str, path: &str| ffprobe(&format!("rtsp://{who}@{port}{path}"), "tcp", 1).0;
    let one = mount(&format!("anna:old@{port}/one")).unwrap();
    let two = mount(&format!("anna:old@{port}/two")).unwrap();
    drop(two);
    assert!(plays("anna:old", "/one"), "her other stream is still there");
    drop(one);
    let _one = mount(&format!("anna:new@{port}/one")).expect("the old password is forgotten");
    assert!(plays("anna:new", "/one") && !plays("anna:old", "/one") && plays("bob:b", "/bob"));
}

#[test]
fn a_host_is_one_server_whatever_it_is_called() {
    let broadcast = Broadcast::new();
    let a = RtspServer::mount("rtsp://127.0.0.1:0/a", &broadcast, &description()).unwrap();
    let b = a.url().replace("127.0.0.1", "localhost").replace("/a", "/b");
    let b_mount = RtspServer::mount(&b, &broadcast, &description()).unwrap();
    assert_eq!(b_mount.url(), b, "it is called what its owner calls it");
    let everywhere = a.url().replace("127.0.0.1", "anna:a@0.0.0.0").replace("/a", "/c");
    let e = RtspServer::mount(&everywhere, &broadcast, &description()).unwrap_err();
    println!("{e}\n{}", e.hint());
    assert!(e.to_string().contains("another stream"), "{e}");
    let e = RtspServer::mount("rtsp://anna:a@nowhere.invalid:8554/a", &broadcast, &description()).unwrap_err();
    println!("{e}\n{}", e.hint());
    assert_eq!(e.kind(), ErrorKind::Usage);
}

#[test]
fn a_port_is_shared_and_a_taken_one_is_said() {
    let broadcast = Broadcast::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let e = RtspServer::mount(&format!("rtsp://{at}/a"), &broadcast, &description()).unwrap_err();
    println!("{e}\n{}", e.hint());
    assert!(e.kind() == ErrorKind::Usage && e.to_string().contains("another program"), "{e}");
    drop(taken);
    let a = RtspServer::mount(&format!("rtsp://{at}/a"), &broadcast, &description()).unwrap();
    let b = RtspServer::mount(&format!("rtsp://{at}/b"), &broadcast, &description()).unwrap();
    let e = RtspServer::mount(&format!("rtsp://{at}/b"), &broadcast, &description()).unwrap_err();
    assert!(e.to_string().contains("two streams"), "{e}");
    drop(a);
    assert!(TcpListener::bind(at).is_err(), "the other stream keeps the server");
    drop(b);
    TcpListener::bind(at).expect("the server ended with its last stream");
}

#[test]
fn a_stream_without_packets_is_refused_at_once() {
    let mount = RtspServer::mount("rtsp://127.0.0.1:0/cam", &Broadcast::new(), &description()).unwrap();
    let begin = Instant::now();
    let (ok, _, err) = ffprobe(mount.url(), "tcp", 1);
    assert!(!ok && err.contains("503") && begin.elapsed() < Duration::from_secs(6), "{err}");
}

#[test]
fn a_stream_whose_packets_stop_just_now_holds_nobody_up_for_long() {
    let broadcast = Broadcast::new();
    let mount = RtspServer::mount("rtsp://127.0.0.1:0/cam", &broadcast, &description()).unwrap();
    // As if there had been some until now.
    broadcast.rest();
    let begin = Instant::now();
    let (ok, _, err) = ffprobe(mount.url(), "tcp", 1);
    println!("refused after {:?}: {err}", begin.elapsed());
    assert!(!ok && err.contains("503") && begin.elapsed() < Duration::from_secs(10), "{err}");
    wait_for("the feed's end", SOON, || broadcast.subscribers() == 0);
}

#[test]
fn taking_a_stream_away_ends_its_clients_and_no_others() {
    let live = Live::start(shapes(10), 25);
    let a = RtspServer::mount("rtsp://127.0.0.1:0/a", &live.broadcast, &description()).unwrap();
    let b = RtspServer::mount(&a.url().replace("/a", "/b"), &live.broadcast, &description()).unwrap();
    let (url_a, url_b) = (a.url().to_owned(), b.url().to_owned());
    std::thread::scope(|s| {
        let goes = s.spawn(|| (ffprobe(&url_a, "tcp", 15), Instant::now()));
        let stays = s.spawn(|| ffprobe(&url_b, "tcp", 6));
        wait_for("both clients", SOON, || live.broadcast.subscribers() == 2);
        std::thread::sleep(Duration::from_secs(2));
        let begin = Instant::now();
        drop(a);
        println!("taken away in {:?}", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(2));
        wait_for("the feed's end", SOON, || live.broadcast.subscribers() == 1);
        let (_, ended) = goes.join().unwrap();
        assert!(ended - begin < Duration::from_secs(8), "{:?}", ended - begin);
        let (ok, out, err) = stays.join().unwrap();
        println!("{out}");
        let frames: u64 = out.trim().rsplit(',').next().unwrap().parse().unwrap();
        assert!(ok && frames > 100, "{out} {err}");
    });
}

#[test]
fn taking_a_stream_below_another_away_leaves_the_other_its_clients() {
    let live = Live::start(shapes(10), 25);
    let cam = RtspServer::mount("rtsp://127.0.0.1:0/cam", &live.broadcast, &description()).unwrap();
    let garden = RtspServer::mount(&format!("{}/garden", cam.url()), &live.broadcast, &description()).unwrap();
    wait_for("packets", SOON, || live.broadcast.flows(SOON));
    let mut wire = Wire::play(cam.url(), None);
    assert!(!wire.pictures(Duration::from_millis(500)).is_empty());
    drop(garden);
    assert!(!wire.pictures(Duration::from_secs(1)).is_empty());
}

/// A server that takes pushed streams, counts their pictures, and can go.
struct Peer {
    main_loop: gst_rtsp_server::glib::MainLoop,
    thread: Option<std::thread::JoinHandle<()>>,
    seen: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Peer {
    fn start(port: u16) -> Self {
        gst::init().unwrap();
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let count = seen.clone();
        let context = gst_rtsp_server::glib::MainContext::new();
        let main_loop = gst_rtsp_server::glib::MainLoop::new(Some(&context), false);
        let server = gst_rtsp_server::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&port.to_string());
        let auth = gst_rtsp_server::RTSPAuth::new();
        let token = gst_rtsp_server::RTSPToken::builder().field("media.factory.role", "anna").build();
        auth.add_basic(&gst_rtsp_server::RTSPAuth::make_basic("anna", "geheim"), &token);
        server.set_auth(Some(&auth));
        let factory = gst_rtsp_server::RTSPMediaFactory::new();
        factory.set_transport_mode(gst_rtsp_server::RTSPTransportMode::RECORD);
        factory.set_launch("( rtph264depay name=depay0 ! avdec_h264 ! fakesink name=end sync=false )");
        let role = gst::Structure::builder("anna")
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build();
        factory.add_role_from_structure(&role);
        factory.connect_media_configure(move |_, media| {
            let end = media.element().downcast::<gst::Bin>().unwrap().by_name("end").unwrap();
            let count = count.clone();
            end.static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            });
        });
        server.mount_points().unwrap().add_factory("/in", factory);
        server.thread_pool().unwrap().set_max_threads(0);
        let source = server.create_source(gst_rtsp_server::gio::Cancellable::NONE).expect("the peer listens");
        source.attach(Some(&context));
        let runs = main_loop.clone();
        let thread = std::thread::spawn(move || {
            context.with_thread_default(|| runs.run()).unwrap();
            server.client_filter(Some(&mut |_, _| gst_rtsp_server::RTSPFilterResult::Remove));
            source.destroy();
        });
        Self { main_loop, thread: Some(thread), seen }
    }

    fn seen(&self) -> u64 {
        self.seen.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.main_loop.quit();
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_pushed_stream_comes_back_whenever_the_other_server_does() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let live = Live::start(shapes(30), 25);
    let mut options = PushOptions::new().unwrap();
    options.first_pause = Duration::from_millis(300);
    options.longest_pause = Duration::from_secs(1);
    let pusher =
        Pusher::start(&format!("rtsp://anna:geheim@127.0.0.1:{port}/in"), &live.broadcast, options.clone()).unwrap();
    wait_for("the first failure", SOON, || matches!(pusher.health(), OutputHealth::Down { .. }));
    println!("{:?}", pusher.health());
    assert!(!format!("{:?} {pusher:?}", pusher.health()).contains("geheim"));
    for _ in 0..3 {
        let peer = Peer::start(port);
        let begin = Instant::now();
        wait_for("pictures", SOON, || peer.seen() > 10);
        println!("pictures arrive {:?} after the server's return", begin.elapsed());
        wait_for("health", SOON, || matches!(pusher.health(), OutputHealth::Up { .. }));
        drop(peer);
        wait_for("the failure", SOON, || matches!(pusher.health(), OutputHealth::Down { .. }));
        println!("{:?}", pusher.health());
        assert!(pusher.failures() > 0);
    }
    let begin = Instant::now();
    drop(pusher);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());

    let peer = Peer::start(port);
    let wrong = Pusher::start(&format!("rtsp://anna:falsch@127.0.0.1:{port}/in"), &live.broadcast, options).unwrap();
    wait_for("the refusal", SOON, || matches!(wrong.health(), OutputHealth::Down { .. }));
    println!("{:?}", wrong.health());
    assert_eq!(peer.seen(), 0);
}

#[test]
fn what_cannot_be_pushed_to_is_refused() {
    for url in ["http://127.0.0.1/x", "rtsp:", "x", "rtsp://anna:geheim@:99999/x"] {
        let e = Pusher::start(url, &Broadcast::new(), PushOptions::new().unwrap()).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Usage, "{url}");
        assert!(!format!("{e} {e:?}").contains("geheim"), "{e:?}");
    }
}
