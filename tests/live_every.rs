//! Promise: at the pace `every`, each frame leaves once, in order and with its own map, however slow the model is and
//! whatever a viewer changes meanwhile.

mod common;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use gradcast::stream::live::{Control, State};
use serde_json::Value;

const FRAMES: usize = 48;

#[test]
fn a_slow_model_holds_up_the_video_and_loses_nothing() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    // One thread, and batches that are never full but take the time of full ones: more than a second.
    let config = format!(
        "[models.m]\npath = {:?}\npreprocess = \"imagenet\"\ndevice = \"cpu\"\nthreads = 1\nbatch = 128\n\
         [streams.a]\nurl = {:?}\nmodel = \"m\"\npace = \"every\"\nrepeat = true\nevents = \"events.jsonl\"\n",
        material.join("models/mobilenet_v2_1.0_224_fp32.onnx"),
        concat!(env!("CARGO_MANIFEST_DIR"), "/samples/shapes.mp4"),
    );
    let monitor = common::monitor(&config, folder.path());
    let stream = monitor.stream("a").unwrap();
    let told = || -> Vec<Value> {
        let text = std::fs::read_to_string(&events).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    };
    let (begun, until) = (Instant::now(), Instant::now() + Duration::from_secs(90));
    let mut layers = [(FRAMES / 4, "next"), (FRAMES / 2, "default")].into_iter().peekable();
    while told().len() < FRAMES {
        assert!(Instant::now() < until, "it hangs: {:?}", stream.status());
        stream.change(Control::Class, "next").unwrap();
        if let Some((_, word)) = layers.next_if(|(after, _)| told().len() >= *after) {
            stream.change(Control::Layer, word).unwrap();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    println!("{FRAMES} frames in {:?}, {:?} each run", begun.elapsed(), monitor.engines()[0].work.busy);
    let status = stream.status();
    monitor.stop();
    let events = told();
    let pts: Vec<u64> = events.iter().map(|event| event["pts_ns"].as_u64().unwrap()).collect();
    assert!(pts.is_sorted_by(|a, b| a < b), "in order, each once: {pts:?}");
    assert!(events.iter().all(|event| event["pts_ns"] == event["map_pts_ns"]), "each with its own map");
    let drawn: BTreeSet<&str> = events.iter().map(|event| event["maps"][0]["layer"].as_str().unwrap()).collect();
    assert_eq!(drawn.len(), 2, "the layer changed meanwhile: {drawn:?}");
    assert_eq!((status.state, status.dropped), (State::Live, 0));
    assert_eq!(stream.meters().superseded.get(), 0);
}
