//! Promise: sixteen streams share one engine: each gets its share within a fifth, also of an engine that is too slow for
//! all, and then of its newest frames; a weight counts; batches fill across streams; none stops.

#[path = "common/rtsp.rs"]
mod rtsp;

mod common;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gradcast::monitor::Monitor;
use gradcast::stream::live::{LiveHandle, State};
use rtsp::{H264, Rtsp, clip, within};

const STREAMS: usize = 16;
const FPS: u32 = 5;

/// One scene at a time: each fills the machine.
static STAGE: Mutex<()> = Mutex::new(());

/// Sixteen cameras of 360p, and what they say.
struct Scene {
    monitor: Arc<Monitor>,
    streams: Vec<LiveHandle>,
    _server: Rtsp,
}

/// What a stream has done in a while.
#[derive(Debug, Clone, Copy)]
struct Done {
    came: u64,
    explained: u64,
    shown: u64,
}

impl Scene {
    /// `more` is what a stream's section says besides, by its number.
    fn start(model: &str, more: impl Fn(usize) -> &'static str, folder: &Path) -> Self {
        let server = Rtsp::serve(&clip(folder, "a.mkv", (640, 360), FPS, H264));
        let mut config = format!("[models.m]\ndevice = \"cpu\"\n{model}");
        for n in 0..STREAMS {
            config += &format!("[streams.cam{n:02}]\nurl = {:?}\nmodel = \"m\"\n{}", server.url(), more(n));
        }
        let monitor = common::monitor(&config, folder);
        let streams = monitor.streams();
        let live = || streams.iter().all(|s| s.status().state == State::Live && s.status().explained > 0);
        assert!(within(Duration::from_secs(60), live).is_some(), "{:?}", monitor.not_ready());
        Self { monitor, streams, _server: server }
    }

    fn count(&self) -> Vec<Done> {
        let done = |s: &LiveHandle| {
            let meters = s.meters();
            Done { came: meters.frames_in.get(), explained: meters.explained.get(), shown: meters.frames_out.get() }
        };
        self.streams.iter().map(done).collect()
    }

    /// Seconds that each stream's frames were with the model, summed.
    fn with_model(&self) -> Vec<f64> {
        let text = self.monitor.metrics().text();
        let sum = |stream: &LiveHandle| {
            let series = format!("gradcast_stage_seconds_sum{{stream=\"{}\",stage=\"model\"}} ", stream.name());
            text.lines().find_map(|line| line.strip_prefix(&series)).and_then(|value| value.parse().ok()).unwrap()
        };
        self.streams.iter().map(sum).collect()
    }

    /// What each does until so many maps have been made in all, and the share of the frames that got theirs.
    fn run(&self, maps: u64) -> (Vec<Done>, f64) {
        let (before, begun) = (self.count(), Instant::now());
        let done = || -> Vec<Done> {
            let less = |(now, before): (Done, &Done)| Done {
                came: now.came - before.came,
                explained: now.explained - before.explained,
                shown: now.shown - before.shown,
            };
            self.count().into_iter().zip(&before).map(less).collect()
        };
        let sum = |of: fn(&Done) -> u64| done().iter().map(of).sum::<u64>();
        assert!(within(Duration::from_secs(120), || sum(|d| d.explained) >= maps).is_some(), "{:?}", done());
        let (took, done) = (begun.elapsed().as_secs_f64(), done());
        let (came, explained) = (sum(|d| d.came) as f64, sum(|d| d.explained) as f64);
        let shares: Vec<u64> = done.iter().map(|d| d.explained).collect();
        println!("{shares:?} in {took:.1} s: {:.1} a second of {:.1} that came", explained / took, came / took);
        for (d, stream) in done.iter().zip(&self.streams) {
            // All that comes is shown, whatever the model does; some frames may be on their way.
            assert!(d.shown > 0 && d.shown + 5 >= d.came, "{} stopped: {d:?}", stream.name());
        }
        (done, explained / came)
    }
}

fn fair(done: &[Done]) {
    let mean = done.iter().map(|d| d.explained).sum::<u64>() as f64 / done.len() as f64;
    for (n, d) in done.iter().enumerate() {
        let off = (d.explained as f64 - mean).abs();
        assert!(off <= (0.2 * mean).max(1.0), "the {n}th got {}, the mean is {mean:.1}", d.explained);
    }
}

/// A model of the material that one thread cannot run eighty times a second.
fn slow() -> Option<String> {
    let path = common::material()?.join("models/light/light_resnet50.onnx");
    Some(format!("threads = 1\npath = {path:?}\n"))
}

#[test]
fn sixteen_streams_get_their_share_and_fill_batches() {
    let _alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let model = common::material().map_or_else(String::new, |material| {
        format!("path = {:?}\npreprocess = \"inception\"\n", material.join("models/mobilenet_v2_1.0_224_fp32.onnx"))
    });
    let scene = Scene::start(&format!("threads = 2\nbatch = 4\n{model}"), |_| "", folder.path());
    let work = || scene.monitor.engines()[0].work;
    let before = work();
    let (done, _) = scene.run(STREAMS as u64 * 50);
    fair(&done);
    let (frames, runs) = (work().frames - before.frames, work().runs - before.runs);
    println!("{frames} frames in {runs} runs");
    // Of one stream the engine holds one frame at a time: a batch of more is one of several streams.
    assert!(frames as f64 / runs as f64 > 1.2, "{frames} frames in {runs} runs");
    scene.monitor.stop();
}

#[test]
fn an_engine_that_is_too_slow_for_all_serves_them_in_turn() {
    let Some(slow) = slow() else { return };
    let _alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::start(&slow, |_| "", folder.path());
    let (before, begun) = (scene.with_model(), Instant::now());
    let (done, part) = scene.run(STREAMS as u64 * 15);
    let (after, took) = (scene.with_model(), begun.elapsed().as_secs_f64());
    assert!(part < 0.8, "the engine is not full: {part:.2} of the frames got a map");
    fair(&done);
    // Whose turn it is gets its newest frame explained: none waits as long as a round takes.
    for ((d, stream), spent) in done.iter().zip(&scene.streams).zip(after.iter().zip(&before).map(|(a, b)| a - b)) {
        let (age, round) = (spent / d.explained as f64, took / d.explained as f64);
        println!("{}: {:.0} ms with the model, {:.0} ms a round", stream.name(), 1e3 * age, 1e3 * round);
        assert!(age < 0.5 * round, "{}: a map is {age:.2} s old in a round of {round:.2} s", stream.name());
        assert!(stream.status().map_age_ms.is_some(), "{}: no map is drawn", stream.name());
    }
    scene.monitor.stop();
}

#[test]
fn weights_count_where_the_engine_is_too_slow_and_who_asks_less_gets_what_it_asks() {
    let Some(slow) = slow() else { return };
    let _alone = STAGE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let more = |n| match n {
        0 => "weight = 3\n",
        1 => "every = 40\n",
        _ => "",
    };
    let scene = Scene::start(&slow, more, folder.path());
    let (done, part) = scene.run(STREAMS as u64 * 15);
    assert!(part < 0.8, "the engine is not full: {part:.2} of the frames got a map");
    fair(&done[2..]);
    let mean = done[2..].iter().map(|d| d.explained).sum::<u64>() as f64 / (done.len() - 2) as f64;
    let (heavy, seldom) = (done[0].explained as f64 / mean, done[1]);
    println!("weight 3 got {heavy:.2} times the others' maps; one in 40 of {} is {}", seldom.came, seldom.explained);
    assert!((heavy / 3.0 - 1.0).abs() < 0.25, "{heavy:.2}");
    assert!(seldom.explained.abs_diff(seldom.came / 40) <= 1, "{seldom:?}");
    scene.monitor.stop();
}
