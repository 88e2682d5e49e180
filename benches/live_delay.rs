//! The delay that the live loop adds: from a frame's arrival to the moment at which it is handed, painted, to an
//! output. Printed as median and 99th percentile, beside the time of one frame, for a model that keeps up and for one that
//! does not: the video must not wait for either.
//!
//! The source is `test` (720p, 30 fps). Frames carry the time of their arrival, so the difference from the clock at the
//! output is the delay. What decoding, encoding, a network and a display add comes on top.
//!
//! Needs GRADCAST_ORT_LIB; the slow model is of the material.

#[path = "../tests/common/mod.rs"]
mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gradcast::classifier::{Classifier, ModelFlags};
use gradcast::engine::Device;
use gradcast::paint::Look;
use gradcast::stream::live::{Live, LiveSettings, Meters, Models, Output, Pace};
use gradcast::video::live::{Jpegs, LiveOptions, LiveSource, now};
use gradcast::video::{Description, Frame};

const SECONDS: u64 = 20;

/// Notes how late each frame is.
struct Clock(Arc<Mutex<Vec<Duration>>>);

impl Output for Clock {
    fn push(&mut self, frame: &Frame) {
        self.0.lock().unwrap().push(now().saturating_sub(frame.pts()));
    }

    fn finish(self: Box<Self>) {}
}

fn measure(name: &str, model: Option<&std::path::Path>, threads: u16) {
    let flags = ModelFlags { device: Some(Device::Cpu), threads: Some(threads), ..ModelFlags::default() };
    let models = Arc::new(Models::new(Classifier::load(model, &flags).unwrap()).unwrap());
    let late = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&late);
    let meters = Meters::default();
    let settings = LiveSettings {
        name: name.into(),
        look: Look::default(),
        pace: Pace::Latest,
        every: 1,
        weight: 1,
        events: None,
        meters: meters.clone(),
        snapshots: ".".into(),
        jpegs: Jpegs::new(None, &Description::built_in().unwrap()).unwrap(),
        open: Box::new(move |_, _| Ok(vec![Box::new(Clock(noted))])),
    };
    let source = LiveSource::start("test".parse().unwrap(), LiveOptions::new().unwrap()).unwrap();
    let live = Live::start(source, &models, settings).unwrap();
    std::thread::sleep(Duration::from_secs(SECONDS));
    let status = live.handle().status();
    live.handle().stop();
    live.join().unwrap();
    let mut late = std::mem::take(&mut *late.lock().unwrap());
    late.drain(..late.len().min(30));
    late.sort();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize].as_secs_f64() * 1000.0;
    println!(
        "{name:<28} {:>5.1} fps, {:>5.1} maps/s; delay: median {:>5.1} ms, 99 % {:>5.1} ms, worst {:>5.1} ms",
        status.fps,
        status.maps_per_second,
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn main() {
    println!("one frame lasts 33.3 ms");
    measure("built-in, 2 threads", None, 2);
    if let Some(material) = common::material() {
        let model = material.join("models/light/light_vgg19.onnx");
        if model.exists() {
            measure("VGG-19, 1 thread (too slow)", Some(&model), 1);
        }
    }
}
