//! Promise: a change of class or look shows on the next map, a change of layer does not stop the video, and what cannot be
//! obeyed is said.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use common::monitor;
use gradcast::stream::live::{Control, LiveHandle, State};

const SOON: Duration = Duration::from_secs(30);

fn wait_for(what: &str, stream: &LiveHandle, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < until, "waited in vain for {what}: {:?}", stream.status());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The last line of the events: class and layer of the map that is drawn.
fn drawn(events: &std::path::Path) -> Option<(u64, String)> {
    let text = std::fs::read_to_string(events).ok()?;
    let event: serde_json::Value = text.lines().rev().find_map(|line| serde_json::from_str(line).ok())?;
    let map = &event["maps"][0];
    Some((map["class"].as_u64()?, map["layer"].as_str()?.to_owned()))
}

#[test]
fn class_layer_and_look_change_while_the_video_runs() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("events.jsonl");
    // Each map is drawn on several frames, also while another layer's engine runs already.
    let config = "[models.m]\ndevice = \"cpu\"\n[streams.cam]\nurl = \"test\"\nmodel = \"m\"\nevery = 10\n\
                  events = \"events.jsonl\"\n";
    let monitor = monitor(config, folder.path());
    let stream = monitor.stream("cam").unwrap();
    wait_for("frames", &stream, || stream.status().state == State::Live && drawn(&events).is_some());

    // Class 2 is pinned by its name, 3 is next, and the pin goes again.
    stream.change(Control::Class, "square").unwrap();
    wait_for("the square's map", &stream, || drawn(&events).is_some_and(|(class, _)| class == 2));
    stream.change(Control::Class, "next").unwrap();
    wait_for("the star's map", &stream, || drawn(&events).is_some_and(|(class, _)| class == 3));
    stream.change(Control::Class, "top1").unwrap();
    assert_eq!(stream.status().controls.classes, [-1]);

    // Another layer: the video goes on while its engine starts.
    let before = stream.status();
    let layer = before.layers.iter().find(|l| l.contains("block3")).expect("an earlier layer").clone();
    stream.change(Control::Layer, &layer).unwrap();
    let mut widest = Duration::ZERO;
    let (mut seen, mut at) = (stream.status().frames_out, Instant::now());
    wait_for("the other layer's map", &stream, || {
        let frames = stream.status().frames_out;
        if frames > seen {
            widest = widest.max(at.elapsed());
            (seen, at) = (frames, Instant::now());
        }
        drawn(&events).is_some_and(|(_, drawn)| drawn == layer)
    });
    println!("the widest gap between frames while the layer changed: {widest:?}");
    assert!(widest < Duration::from_secs(1) && seen > before.frames_out);
    assert_eq!(stream.status().layer, layer);
    stream.change(Control::Layer, "default").unwrap();
    wait_for("the default layer", &stream, || stream.status().layer == before.layer);

    // Looks, a pause, and words that are not understood.
    stream.change(Control::Colormap, "viridis").unwrap();
    stream.change(Control::Opacity, "0.8").unwrap();
    stream.change(Control::Pause, "on").unwrap();
    let status = stream.status();
    assert!(status.controls.paused && (status.controls.look.opacity - 0.8).abs() < 1e-6);
    let frames = status.frames_out;
    wait_for("frames while it is paused", &stream, || stream.status().frames_out > frames + 5);
    for (control, word) in [(Control::Class, "hexagon"), (Control::Layer, "nowhere"), (Control::Style, "side-by-side")]
    {
        let said = stream.change(control, word).unwrap_err();
        assert!(said.contains(word), "{said}");
    }
    let snapshot = stream.snapshot().unwrap();
    assert!(std::fs::read(&snapshot).unwrap().starts_with(&[0xff, 0xd8]), "a JPEG");
    monitor.stop();

    // A map keeps the name of the layer that it was made of.
    let mut layers: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for event in common::cli::events(&events) {
        let (Some(map), Some(layer)) = (event["map_pts_ns"].as_u64(), event["maps"][0]["layer"].as_str()) else {
            continue;
        };
        layers.entry(map).or_default().insert(layer.to_owned());
    }
    assert!(layers.values().all(|names| names.len() == 1), "{layers:?}");
}
