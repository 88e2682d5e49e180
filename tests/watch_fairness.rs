//! Promise: sixteen streams share one engine fairly: each gets its share within a fifth, and none stops.

#[path = "common/rtsp.rs"]
mod rtsp;

mod common;

use std::thread;
use std::time::Duration;

use gradcast::stream::live::State;
use rtsp::{H264, Rtsp, clip, within};

#[test]
fn sixteen_streams_get_their_share() {
    const STREAMS: usize = 16;
    let folder = tempfile::tempdir().unwrap();
    let server = Rtsp::serve(&clip(folder.path(), "a.mkv", (640, 360), 5, H264));
    // A model that two cores cannot run 80 times a second, where there is one: then shares matter.
    let model = common::material().map_or_else(String::new, |material| {
        format!(
            "path = {:?}\npreprocess = \"inception\"\n",
            material.join("models/mobilenet_v2_1.0_224_fp32.onnx").to_str().unwrap()
        )
    });
    let mut config = format!("[models.m]\ndevice = \"cpu\"\nthreads = 2\n{model}");
    for n in 0..STREAMS {
        config += &format!("[streams.cam{n}]\nurl = {:?}\nmodel = \"m\"\n", server.url());
    }
    let monitor = common::monitor(&config, folder.path());
    let streams = monitor.streams();
    let all_live = || streams.iter().all(|s| s.status().state == State::Live);
    assert!(within(Duration::from_secs(60), all_live).is_some(), "{:?}", monitor.not_ready());
    thread::sleep(Duration::from_secs(2));
    let count = || -> Vec<u64> { streams.iter().map(|s| s.status().explained).collect() };
    let before = count();
    thread::sleep(Duration::from_secs(20));
    let shares: Vec<u64> = count().iter().zip(&before).map(|(now, before)| now - before).collect();
    let mean = shares.iter().sum::<u64>() as f64 / STREAMS as f64;
    println!("maps in 20 s: {shares:?}, {:.1} a second in all", mean * STREAMS as f64 / 20.0);
    assert!(mean > 0.0);
    for (n, share) in shares.iter().enumerate() {
        assert!((*share as f64 - mean).abs() <= (0.2 * mean).max(1.0), "cam{n} got {share}, the mean is {mean:.1}");
    }
    assert!(streams.iter().all(|s| s.status().fps > 3.0), "none stops");
    monitor.stop();
}
