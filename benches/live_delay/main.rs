//! Capture to display: how old a picture is when it is seen. A camera paints the time into every picture it takes
//! (`code`), and whoever sees the picture reads it there. Printed as median, 99th percentile and worst, beside
//! the time of one frame, for a model that keeps up and for one that does not: the video must not wait for either.
//!
//! - `without gradcast`: a plain client of the same camera. What it shows is the camera's, the network's and the
//!   decoder's delay, with the 200 ms that packets may be late by (`--latency`).
//! - `painted`: handed, painted, to an output. `added` is the difference of the two for the same picture.
//! - `window`, `published`, `browser`: the whole program, seen on a screen (Xvfb), by an RTSP client and in Chromium
//!   over WebRTC. `slow encoder`: one that takes [`ENCODES`] longer for each picture than the usual one.
//!
//! The cameras run beside it on the same machine, as do decoders, screen and browser. Needs GRADCAST_ORT_LIB; the slow
//! model is of the material.

#[path = "../../tests/common/browser.rs"]
mod browser;
mod camera;
mod code;
#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/screen.rs"]
mod screen;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use browser::Browser;
use camera::{Camera, Kind};
use code::Stamp;
use gradcast::classifier::{Classifier, ModelFlags};
use gradcast::engine::Device;
use gradcast::paint::Look;
use gradcast::stream::live::{Live, LiveSettings, Meters, Models, Output, Pace};
use gradcast::video::live::{Jpegs, LiveOptions, LiveSource};
use gradcast::video::{Description, Frame};
use screen::{Screen, Viewer};

const SECONDS: u64 = 20;
/// Until everything runs as it will.
const WARM_UP: Duration = Duration::from_secs(4);
/// What a slow encoder takes longer: three frame times.
const ENCODES: Duration = Duration::from_millis(100);
const FIRST_PORT: u16 = 8661;

/// When each picture was seen first.
#[derive(Clone, Default)]
struct Sightings(Arc<Mutex<HashMap<Stamp, Stamp>>>);

impl Sightings {
    fn note(&self, picture: Option<Stamp>) {
        let now = Stamp::now();
        if let Some(picture) = picture {
            self.0.lock().unwrap().entry(picture).or_insert(now);
        }
    }

    fn clear(&self) {
        self.0.lock().unwrap().clear();
    }

    /// From capture to sight.
    fn delays(&self) -> Vec<Duration> {
        self.0.lock().unwrap().iter().map(|(taken, seen)| taken.until(*seen)).collect()
    }

    /// From the other's sight of a picture to this one's.
    fn after(&self, other: &Self) -> Vec<Duration> {
        let other = other.0.lock().unwrap();
        self.0.lock().unwrap().iter().filter_map(|(picture, seen)| Some(other.get(picture)?.until(*seen))).collect()
    }
}

impl Output for Sightings {
    fn push(&mut self, frame: &Frame) {
        self.note(stamp_of(frame));
    }

    fn finish(self: Box<Self>) {}
}

fn stamp_of(frame: &Frame) -> Option<Stamp> {
    let read = frame.read().ok()?;
    let (plane, height) = (read.plane(0), read.format().height());
    Stamp::read(|x, y| plane.data[(height - code::HEIGHT + y) * plane.stride + x])
}

/// A client that only looks, until it is dropped.
struct Client(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Client {
    fn of(source: LiveSource, sightings: &Sightings) -> Self {
        let (stop, sightings) = (Arc::new(AtomicBool::new(false)), sightings.clone());
        let stopped = Arc::clone(&stop);
        let look = move || {
            while !stopped.load(SeqCst) {
                if let Ok(frame) = source.frames().recv_timeout(Duration::from_millis(100)) {
                    sightings.note(stamp_of(&frame));
                }
            }
        };
        Self(stop, Some(std::thread::spawn(look)))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
        let _ = self.1.take().map(std::thread::JoinHandle::join);
    }
}

fn print(what: &str, mut delays: Vec<Duration>) {
    delays.sort();
    let Some(last) = delays.len().checked_sub(1) else { return println!("  {what:<30} nothing was seen") };
    let at = |share: f64| delays[(last as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "  {what:<30} median {:>6.1} ms, 99 % {:>6.1} ms, worst {:>6.1} ms  ({} pictures)",
        at(0.5),
        at(0.99),
        at(1.0),
        last + 1
    );
}

fn watch_for(seconds: u64, sightings: &[&Sightings]) {
    std::thread::sleep(WARM_UP);
    sightings.iter().for_each(|s| s.clear());
    std::thread::sleep(Duration::from_secs(seconds));
}

/// The loop alone, beside a client without it.
fn painted(camera: &Camera, name: &str, model: Option<&Path>, threads: u16) {
    let flags = ModelFlags { device: Some(Device::Cpu), threads: Some(threads), ..ModelFlags::default() };
    let models = Arc::new(Models::new(Classifier::load(model, &flags).unwrap()).unwrap());
    let (direct, painted) = (Sightings::default(), Sightings::default());
    let seen = painted.clone();
    let settings = LiveSettings {
        name: name.into(),
        look: Look::default(),
        pace: Pace::Latest,
        every: 1,
        weight: 1,
        events: None,
        meters: Meters::default(),
        snapshots: ".".into(),
        jpegs: Jpegs::new(None, &Description::built_in().unwrap()).unwrap(),
        open: Box::new(move |_, _| Ok(vec![Box::new(seen)])),
    };
    let source = || camera.read();
    let open = |(address, options)| LiveSource::start(address, options).unwrap();
    let client = Client::of(open(source()), &direct);
    let live = Live::start(open(source()), &models, settings).unwrap();
    watch_for(SECONDS, &[&direct, &painted]);
    let status = live.handle().status();
    live.handle().stop();
    live.join().unwrap();
    drop(client);
    println!("  {name}: {:.1} fps, {:.1} maps a second", status.fps, status.maps_per_second);
    print("  without gradcast", direct.delays());
    print("  painted", painted.delays());
    print("  added", painted.after(&direct));
}

/// `gradcast live` on a camera.
struct Program(Child);

impl Program {
    fn start(camera: &Camera, flags: &[&str], display: Option<&str>) -> Self {
        Self::with(camera, &camera.description(), flags, display)
    }

    fn with(camera: &Camera, description: &Path, flags: &[&str], display: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gradcast"));
        command.args(["live", &camera.address(), "--device", "cpu", "--pipeline"]).arg(description).args(flags);
        command.env_remove("WAYLAND_DISPLAY").stdin(Stdio::null()).stderr(Stdio::null());
        if let Some(display) = display {
            command.env("DISPLAY", display);
        }
        Self(command.spawn().expect("gradcast starts"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn window(camera: &Camera, what: &str, model: &[&str]) {
    let screen = Screen::new();
    let viewer = Viewer::on(&screen);
    let _program = Program::start(camera, &[&["--window"], model].concat(), Some(&screen.name));
    let sightings = Sightings::default();
    let mut until = None;
    let begun = Instant::now();
    while until.is_none_or(|until| Instant::now() < until) && begun.elapsed() < Duration::from_secs(SECONDS + 60) {
        let strip = viewer.look((0, 720 - code::HEIGHT), (code::WIDTH, code::HEIGHT));
        let stamp = Stamp::read(|x, y| strip[(y * code::WIDTH + x) * 3 + 1]);
        sightings.note(stamp);
        if stamp.is_some() && until.is_none() {
            std::thread::sleep(WARM_UP);
            sightings.clear();
            until = Some(Instant::now() + Duration::from_secs(SECONDS));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    print(what, sightings.delays());
}

fn published(camera: &Camera, port: u16, what: &str, description: &Path) {
    let url = format!("rtsp://127.0.0.1:{port}/out");
    let _program = Program::with(camera, description, &["--no-window", "--publish", &url], None);
    let sightings = Sightings::default();
    let source = LiveSource::start(url.parse().unwrap(), LiveOptions::new().unwrap()).unwrap();
    let _client = Client::of(source, &sightings);
    watch_for(SECONDS, &[&sightings]);
    print(what, sightings.delays());
}

/// A description whose usual encoder is slow.
fn slow_encoder(camera: &Camera) -> PathBuf {
    let x264 = "x264enc name=encoder tune=zerolatency speed-preset=veryfast pass=qual quantizer=23";
    let slow = format!("identity sleep-time={} ! videoconvert ! {x264}", ENCODES.as_micros());
    camera.description_with(&format!("[live.encoders.x264]\nlaunch = '{slow}'\n"))
}

fn in_browser(camera: &Camera, port: u16) {
    let listen = format!("127.0.0.1:{port}");
    let _program = Program::start(camera, &["--no-window", "--http", &listen], None);
    let until = Instant::now() + Duration::from_secs(30);
    while std::net::TcpStream::connect(&listen).is_err() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut browser = Browser::open(&format!("http://{listen}/"));
    browser.until("document.querySelector('video')?.videoWidth === 1280", Duration::from_secs(30));
    std::thread::sleep(WARM_UP);
    let delays = browser.eval(&code::in_a_page(SECONDS));
    let delays = delays.as_array().into_iter().flatten().filter_map(serde_json::Value::as_f64);
    print("browser, WebRTC", delays.map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1000.0)).collect());
}

fn main() {
    gradcast::video::init().unwrap();
    // For the cameras' server.
    let main = gstreamer::glib::MainLoop::new(None, false);
    std::thread::spawn(move || main.run());
    let slow: Option<PathBuf> =
        common::material().map(|m| m.join("models/light/light_vgg19.onnx")).filter(|model| model.exists());
    println!("capture to display, 720p at 30 fps; one frame lasts 33.3 ms");
    for (kind, name, port) in
        [(Kind::Webcam, "webcam, raw pictures", FIRST_PORT), (Kind::Rtsp, "RTSP, H.264", FIRST_PORT + 3)]
    {
        println!("{name}");
        let camera = Camera::start(kind, port);
        painted(&camera, "built-in model, 2 threads", None, 2);
        if let Some(slow) = &slow {
            painted(&camera, "VGG-19, 1 thread (too slow)", Some(slow), 1);
        }
        window(&camera, "window, on a screen", &[]);
        if let Some(slow) = slow.as_deref().and_then(Path::to_str) {
            window(&camera, "the same with VGG-19", &["--model", slow, "--threads", "1"]);
        }
        published(&camera, port + 1, "published, an RTSP client", &camera.description());
        published(&camera, port + 1, "the same, slow encoder", &slow_encoder(&camera));
        in_browser(&camera, port + 2);
    }
}
