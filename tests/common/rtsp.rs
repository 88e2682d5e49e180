//! A real RTSP server on loopback, in a process of its own: it can be killed, stopped and started.
//!
//! The process is the test program itself, run again with only [`server_process`]. It serves the
//! packets of a clip as they are, over and over, at their own pace; each client begins at the first.
//!
//! Test files take it in with `#[path = "common/rtsp.rs"] mod rtsp;`.
#![allow(dead_code)] // every test file uses its own part

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_rtsp_server as server;
use gstreamer_rtsp_server::prelude::*;

/// What is served.
#[derive(Debug, Clone)]
pub struct Serving {
    /// A file with H.264, H.265 or Motion JPEG in it.
    pub clip: PathBuf,
    /// `basic` or `digest`: the user is `admin`, the password `swordfish`; `basic-odd`: it is [`ODD_PASSWORD`];
    /// `basic-empty`: it is empty.
    pub auth: Option<&'static str>,
    /// Certificate and key in one PEM file, for rtsps.
    pub tls: Option<PathBuf>,
}

/// The user name and the password of a server with authentication.
pub const USER: &str = "admin";
pub const PASSWORD: &str = "swordfish";

/// A password of characters that have a meaning elsewhere.
pub const ODD_PASSWORD: &str = "it's@12/34? #%\"<ö>";

/// A server that may or may not run.
pub struct Rtsp {
    serving: Serving,
    /// The share of packets that it loses.
    loss: f64,
    port: u16,
    child: Option<Child>,
}

impl Rtsp {
    /// Serves a clip on a free port of its own.
    pub fn serve(clip: &Path) -> Self {
        Self::start(Serving { clip: clip.into(), auth: None, tls: None }, free_port())
    }

    /// Serves on the given port.
    pub fn start(serving: Serving, port: u16) -> Self {
        let mut rtsp = Self { serving, loss: 0.0, port, child: None };
        rtsp.restart();
        rtsp
    }

    /// Serves a clip and loses this share of its packets.
    pub fn serve_with_loss(clip: &Path, loss: f64) -> Self {
        let serving = Serving { clip: clip.into(), auth: None, tls: None };
        let mut rtsp = Self { serving, loss, port: free_port(), child: None };
        rtsp.restart();
        rtsp
    }

    /// Where the stream is. Any path is the same stream.
    pub fn url(&self) -> String {
        let scheme = if self.serving.tls.is_some() { "rtsps" } else { "rtsp" };
        format!("{scheme}://127.0.0.1:{}/clip", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the next start serves.
    pub fn set_clip(&mut self, clip: &Path) {
        self.serving.clip = clip.into();
    }

    /// Starts it (again) and returns when the port is open.
    pub fn restart(&mut self) {
        self.kill();
        let module = module_path!().split_once("::").map_or("", |(_, module)| module);
        let this_test = format!("{module}::server_process");
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", &this_test, "--nocapture", "--test-threads=1"])
            .env("GRADCAST_TEST_RTSP", format!("{}", self.port))
            .env("GRADCAST_TEST_CLIP", &self.serving.clip)
            .env("GRADCAST_TEST_LOSS", self.loss.to_string())
            .env("GRADCAST_TEST_AUTH", self.serving.auth.unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(pem) = &self.serving.tls {
            command.env("GRADCAST_TEST_TLS", pem);
        }
        let mut child = command.spawn().expect("the server starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.is_ok_and(|l| l.contains("serving"))), "the server did not come up");
        thread::spawn(move || lines.for_each(drop));
        self.child = Some(child);
    }

    /// Ends it as a power cut does (but the system closes its connections).
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Nothing comes any more, and every connection stays open.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
    }

    /// Goes on after a [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.signal(libc::SIGCONT);
    }

    fn signal(&self, signal: i32) {
        let id = self.child.as_ref().expect("it runs").id();
        // SAFETY: a signal to a child of ours that has not been waited for.
        assert_eq!(unsafe { libc::kill(id as i32, signal) }, 0);
    }
}

impl Drop for Rtsp {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody uses now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `done`, and says how long that took; `None` when it never was.
pub fn within(limit: Duration, mut done: impl FnMut() -> bool) -> Option<Duration> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        if done() {
            return Some(begun.elapsed());
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

/// A short clip of a ball that moves: `encode` is a launch text such as `x264enc`, without B frames and
/// with a key frame each half second.
pub fn clip(folder: &Path, name: &str, size: (u32, u32), fps: u32, encode: &str) -> PathBuf {
    clip_of("ball", folder, name, size, fps, encode)
}

/// As [`clip`], of another pattern of videotestsrc.
pub fn clip_of(pattern: &str, folder: &Path, name: &str, size: (u32, u32), fps: u32, encode: &str) -> PathBuf {
    gst::init().unwrap();
    let path = folder.join(name);
    let text = format!(
        "videotestsrc num-buffers={} pattern={pattern} ! video/x-raw,format=I420,width={},height={},framerate={fps}/1 ! \
         {encode} ! matroskamux ! filesink location=\"{}\"",
        fps * 4,
        size.0,
        size.1,
        path.display()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::from_seconds(30), &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert_eq!(message.expect("the clip is made").type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    path
}

/// H.264 as cameras send it.
pub const H264: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=12 bitrate=500 ! h264parse";
/// H.265, the same.
pub const H265: &str = "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=12 bitrate=500 ! h265parse";
/// Motion JPEG.
pub const MJPEG: &str = "jpegenc";

/// Not a test of its own: the server, when this program is started by [`Rtsp`].
#[test]
fn server_process() {
    let Ok(port) = std::env::var("GRADCAST_TEST_RTSP") else {
        return;
    };
    gst::init().unwrap();
    // It ends with the program that started it.
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let clip = packets(Path::new(&std::env::var("GRADCAST_TEST_CLIP").unwrap()));
    let main = gst::glib::MainLoop::new(None, false);
    let rtsp = server::RTSPServer::new();
    rtsp.set_address("127.0.0.1");
    rtsp.set_service(&port);
    let factory = server::RTSPMediaFactory::new();
    factory.set_launch(&clip.launch);
    factory.set_shared(false);
    factory.connect_media_configure(move |_, media| play(media, &clip));
    let auth = std::env::var("GRADCAST_TEST_AUTH").unwrap();
    let tls = std::env::var("GRADCAST_TEST_TLS").ok();
    if !auth.is_empty() || tls.is_some() {
        let rules = server::RTSPAuth::new();
        let token = server::RTSPToken::builder().field("media.factory.role", "viewer").build();
        match auth.as_str() {
            "basic" => rules.add_basic(&server::RTSPAuth::make_basic(USER, PASSWORD), &token),
            "basic-odd" => rules.add_basic(&server::RTSPAuth::make_basic(USER, ODD_PASSWORD), &token),
            "basic-empty" => rules.add_basic(&server::RTSPAuth::make_basic(USER, ""), &token),
            "digest" => {
                rules.set_supported_methods(server::gst_rtsp::RTSPAuthMethod::Digest);
                rules.add_digest(USER, PASSWORD, &token);
            }
            _ => {
                let mut token = token;
                rules.set_default_token(Some(&mut token));
            }
        }
        if let Some(pem) = tls {
            rules.set_tls_certificate(Some(&server::gio::TlsCertificate::from_file(pem).unwrap()));
        }
        rtsp.set_auth(Some(&rules));
        let role = gst::Structure::builder("viewer")
            .field("media.factory.access", true)
            .field("media.factory.construct", true)
            .build();
        factory.add_role_from_structure(&role);
    }
    let mounts = rtsp.mount_points().unwrap();
    mounts.add_factory("/clip", factory);
    let _held = rtsp.attach(None).expect("the port is free");
    println!("serving");
    main.run();
}

/// The packets of a clip, and what sends them.
#[derive(Clone)]
struct Packets {
    launch: String,
    caps: gst::Caps,
    packets: Vec<gst::Buffer>,
    length: gst::ClockTime,
}

fn packets(path: &Path) -> Packets {
    let text = format!("filesrc location=\"{}\" ! parsebin name=p ! appsink name=packets sync=false", path.display());
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("packets").unwrap().downcast::<gst_app::AppSink>().unwrap();
    // Sound would do as well for a link.
    sink.set_caps(Some(&"video/x-h264;video/x-h265;image/jpeg".parse().unwrap()));
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut caps = None;
    let mut packets = Vec::new();
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(10)) {
        caps = caps.or_else(|| sample.caps_owned());
        let mut buffer = sample.buffer_owned().unwrap();
        let segment = sample.segment().unwrap().downcast_ref::<gst::ClockTime>().unwrap().clone();
        let (pts, dts) = (buffer.pts(), buffer.dts());
        let b = buffer.make_mut();
        b.set_pts(pts.and_then(|t| segment.to_running_time(t)));
        b.set_dts(dts.and_then(|t| segment.to_running_time(t)));
        packets.push(buffer);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    let caps = caps.expect("the clip has pictures");
    let name = caps.structure(0).unwrap().name().to_string();
    let pay = match name.as_str() {
        "video/x-h264" => "h264parse ! rtph264pay config-interval=-1",
        "video/x-h265" => "h265parse ! rtph265pay config-interval=-1",
        _ => "rtpjpegpay",
    };
    let lasts = |b: &gst::Buffer| b.duration().unwrap_or(gst::ClockTime::from_mseconds(40));
    let length = packets.iter().map(|b| b.pts().unwrap_or_default() + lasts(b)).max().unwrap();
    let launch = format!("( appsrc name=clip is-live=true format=time do-timestamp=false ! {pay} name=pay0 pt=96 )");
    Packets { launch, caps, packets, length }
}

/// Sends the packets to one client, over and over.
fn play(media: &server::RTSPMedia, clip: &Packets) {
    let bin = media.element().downcast::<gst::Bin>().unwrap();
    let source = bin.by_name("clip").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    source.set_caps(Some(&clip.caps));
    let loss = std::env::var("GRADCAST_TEST_LOSS").ok().and_then(|share| share.parse().ok()).unwrap_or(0.0);
    if loss > 0.0 {
        lose(&bin.by_name("pay0").unwrap(), loss);
    }
    let clip = clip.clone();
    thread::spawn(move || {
        let mut round = gst::ClockTime::ZERO;
        // Before it plays, the media's running time means nothing.
        if within(Duration::from_secs(10), || source.current_state() == gst::State::Playing).is_none() {
            return;
        }
        let begun = source.current_running_time().unwrap_or_default();
        let clock = Instant::now();
        loop {
            for packet in &clip.packets {
                let mut packet = packet.clone();
                let at = begun + round + packet.pts().unwrap_or_default();
                let due = Duration::from(round + packet.dts().or(packet.pts()).unwrap_or_default());
                let b = packet.make_mut();
                b.set_pts(at);
                b.set_dts(gst::ClockTime::NONE);
                thread::sleep(due.saturating_sub(clock.elapsed()));
                if source.push_buffer(packet).is_err() {
                    return;
                }
            }
            round += clip.length;
        }
    });
}

/// Loses a share of the packets of a payloader.
fn lose(payloader: &gst::Element, share: f64) {
    let random = std::sync::Mutex::new(fastrand::Rng::with_seed(3));
    let lost = move || random.lock().unwrap().f64() < share;
    let packets = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    payloader.static_pad("src").unwrap().add_probe(packets, move |_, probe| match &mut probe.data {
        Some(gst::PadProbeData::Buffer(_)) if lost() => gst::PadProbeReturn::Handled,
        Some(gst::PadProbeData::BufferList(list)) => {
            let keep = |packet, _| std::ops::ControlFlow::Continue((!lost()).then_some(packet));
            list.make_mut().foreach_mut(keep);
            gst::PadProbeReturn::Ok
        }
        _ => gst::PadProbeReturn::Ok,
    });
}

/// Something listens there.
pub fn is_open(port: u16) -> bool {
    TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], port)), Duration::from_millis(200)).is_ok()
}
