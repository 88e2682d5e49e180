//! Promise: the camera of a watched stream is killed and started again fifty times at random moments. Who watches what is
//! published sees live pictures within two seconds of each return, never hears an end, and its times rise; the program's
//! memory, threads and files end where they began, while it records and publishes.

#[path = "common/footprint.rs"]
mod footprint;
#[path = "common/rtsp.rs"]
mod rtsp;

mod common;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::cli::{Running, gradcast};
use footprint::Footprint;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use rtsp::{H264, Rtsp, clip_of, free_port, within};

/// `GRADCAST_TEST_ROUNDS` makes it longer or shorter.
const ROUNDS: usize = 50;
/// Rounds before memory is measured: plugins are loaded, pools filled, the heap has found its size.
const WARM_UP: usize = 15;
/// What a heap that has settled still moves by, in KiB. `live_reconnect` counts what is allocated to the kilobyte.
const HEAP: usize = 4 * 1024;
const SOON: Duration = Duration::from_secs(20);

/// Somebody who watches what is published, with GStreamer alone: times are those of the RTP packets.
struct Watcher {
    pipeline: gst::Pipeline,
    pictures: gst_app::AppSink,
    last: Option<gst::ClockTime>,
    frames: usize,
}

impl Watcher {
    fn of(url: &str) -> Self {
        let text = format!(
            "rtspsrc location={url} protocols=tcp buffer-mode=none ! rtph264depay ! h264parse ! avdec_h264 ! videoconvert ! \
             video/x-raw,format=GRAY8 ! appsink name=pictures sync=false max-buffers=4"
        );
        let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
        let pictures = pipeline.by_name("pictures").unwrap().downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self { pipeline, pictures, last: None, frames: 0 }
    }

    /// The brightness of the next picture, which is later than the one before. The still of an absent camera is dark.
    fn next(&mut self) -> f64 {
        let sample = self.pictures.try_pull_sample(gst::ClockTime::from_seconds(10));
        let sample = sample.unwrap_or_else(|| panic!("the published stream ends or stops: {:?}", self.complaint()));
        let buffer = sample.buffer().unwrap();
        assert!(self.last.is_none_or(|last| buffer.pts().unwrap() > last), "{:?} after {:?}", buffer.pts(), self.last);
        self.last = buffer.pts();
        self.frames += 1;
        let pixels = buffer.map_readable().unwrap();
        pixels.iter().map(|pixel| f64::from(*pixel)).sum::<f64>() / pixels.len() as f64
    }

    fn complaint(&self) -> Option<gst::Message> {
        self.pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error, gst::MessageType::Eos])
    }

    /// Watches until a picture is as wanted, and says how long that took.
    fn until(&mut self, what: &str, wanted: impl Fn(f64) -> bool) -> Duration {
        let begun = Instant::now();
        while !wanted(self.next()) {
            assert!(begun.elapsed() < SOON, "waited in vain until {what}");
        }
        begun.elapsed()
    }

    fn watch(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time {
            self.next();
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// Whether something is being recorded: pictures flow.
fn flows(records: &Path) -> bool {
    std::fs::read_dir(records).is_ok_and(|mut files| files.next().is_some())
}

#[test]
fn what_is_published_outlives_fifty_deaths_of_the_camera() {
    let rounds = std::env::var("GRADCAST_TEST_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let folder = tempfile::tempdir().unwrap();
    let mut camera = Rtsp::serve(&clip_of("smpte", folder.path(), "a.mkv", (320, 180), 25, H264));
    let (port, records) = (free_port(), folder.path().join("records"));
    let out = format!("rtsp://127.0.0.1:{port}/out");
    let child = gradcast()
        .args(["watch", &camera.url(), "--device", "cpu", "--segment", "10s", "--publish", &out])
        .args(["--style", "contour", "--record"])
        .arg(&records)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let program = Running(child);
    let id = program.id();
    let footprint = || Footprint::of(id).expect("the program runs, on a system with /proc");

    // It is there with the first picture of the camera.
    let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    assert!(within(SOON, || answers() && flows(&records)).is_some(), "nothing is published");
    let mut watcher = Watcher::of(&out);
    watcher.watch(Duration::from_secs(2));
    let usual = watcher.next();
    let (is_live, is_still) = (|light: f64| light > 0.8 * usual, |light: f64| light < 0.6 * usual);

    let mut random = fastrand::Rng::with_seed(50);
    let (mut before, mut returns) = (footprint(), Vec::new());
    for round in 0..rounds {
        if round == WARM_UP {
            before = footprint();
        }
        camera.kill();
        watcher.until("the still comes", is_still);
        watcher.watch(Duration::from_millis(random.u64(0..800)));
        camera.restart();
        returns.push(watcher.until("live pictures are back", is_live));
        watcher.watch(Duration::from_millis(random.u64(0..1000)));
        println!("round {round}: back after {:?}, {:?}", returns[round], footprint());
    }
    let settled = within(Duration::from_secs(5), || {
        watcher.next();
        let after = footprint();
        after.threads <= before.threads && after.files <= before.files
    });
    let after = footprint();
    returns.sort();
    println!("back after: median {:?}, worst {:?}", returns[returns.len() / 2], returns.last());
    println!("{before:?} became {after:?}, {} frames were seen", watcher.frames);
    assert!(*returns.last().unwrap() < Duration::from_secs(2), "{returns:?}");
    assert!(settled.is_some(), "{before:?} became {after:?}");
    assert!(after.resident < before.resident + HEAP, "{before:?} became {after:?}");
    assert!(watcher.complaint().is_none(), "the published stream never ended");

    program.signal(libc::SIGTERM);
    assert_eq!(program.said().0, 130);
}
