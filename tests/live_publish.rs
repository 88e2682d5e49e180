//! One encoder, and an RTSP server that any player can read at any time.

mod live_support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use gradcast::video::live::{Broadcast, EncoderOptions, LiveEncoder, OutputHealth, PushOptions, Pusher, RtspServer};
use gradcast::video::{Description, ErrorKind};
use gstreamer_rtsp_server as gst_rtsp_server;
use gstreamer_rtsp_server::gst;
use gstreamer_rtsp_server::prelude::*;
use live_support::{Live, held, look, pictures_seen, run, shapes, wait_for};

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
