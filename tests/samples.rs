//! What works at once: the built-in model on its held-out drawings and on the demo clip, through our
//! own engine. It names what is drawn, and its heat lies on it.

mod common;

use std::path::{Path, PathBuf};

use common::cli::{events, gradcast, succeeds};
use gradcast::classifier::{Classifier, ModelFlags};
use gradcast::engine::{Device, Explanation, Input, Session, SessionOptions};
use gradcast::stream::Viewer;
use gradcast::video::{FileSource, SourceOptions};
use ndarray::Array2;
use serde_json::Value;

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// x0, y0, x1, y1 in pixels.
type Corners = [f64; 4];

/// The true objects of a picture: class and box.
fn objects(picture: &Value) -> Vec<(usize, Corners)> {
    let corners = |b: &Value| [0, 1, 2, 3].map(|i| b[i].as_f64().unwrap());
    let object = |o: &Value| (o["class"].as_u64().unwrap() as usize, corners(&o["box"]));
    picture["objects"].as_array().unwrap().iter().map(object).collect()
}

/// The pointing game (Zhang et al., 2016): the peak of the resized map falls in the object's box, with
/// a tolerance in pixels.
fn hits(map: &Array2<f32>, size: f64, [x0, y0, x1, y1]: Corners, tolerance: f64) -> bool {
    let Some(((row, column), _)) = map.indexed_iter().max_by(|a, b| a.1.total_cmp(b.1)) else { return false };
    // The peak of a bilinear map is at a cell's centre.
    let x = (column as f64 + 0.5) / map.ncols() as f64 * size;
    let y = (row as f64 + 0.5) / map.nrows() as f64 * size;
    x >= x0 - tolerance && x <= x1 + tolerance && y >= y0 - tolerance && y <= y1 + tolerance
}

/// Share of the map's energy inside the box: each cell's value times its overlap with the box.
fn energy_inside(map: &Array2<f32>, size: f64, [x0, y0, x1, y1]: Corners) -> f64 {
    let (cell_w, cell_h) = (size / map.ncols() as f64, size / map.nrows() as f64);
    let overlap = |start: f64, length: f64, a: f64, b: f64| ((start + length).min(b) - start.max(a)).max(0.0) / length;
    let (mut inside, mut all) = (0.0, 0.0);
    for ((row, column), value) in map.indexed_iter() {
        let value = f64::from(*value);
        all += value;
        inside +=
            value * overlap(column as f64 * cell_w, cell_w, x0, x1) * overlap(row as f64 * cell_h, cell_h, y0, y1);
    }
    if all > 0.0 { inside / all } else { 0.0 }
}

#[test]
fn held_out_drawings_are_named_and_the_heat_lies_on_them() {
    let truth = json(&samples().join("heldout/pictures.json"));
    let pictures = truth["pictures"].as_array().unwrap();
    let size = truth["size"].as_f64().unwrap();
    let flags = ModelFlags { device: Some(Device::Cpu), ..ModelFlags::default() };
    let model = Classifier::load(None, &flags).and_then(Classifier::prepare).unwrap();
    let mut session = Session::start(&model.bytes, &SessionOptions { device: Device::Cpu, threads: 2 }).unwrap();
    let options = SourceOptions { copy_tracks: false, ..SourceOptions::new().unwrap() };
    let mut source = FileSource::open(&samples().join("heldout/pictures.mkv"), &options).unwrap();
    let mut viewer = Viewer::new(model.fit, session.frame_size());
    source.start().unwrap();

    let (mut named, mut pointed, mut drawn, mut inside, mut area) = (0, 0, 0, 0.0, 0.0);
    let mut image = Vec::new();
    for picture in pictures {
        let frame = source.next().unwrap().expect("a frame for each entry");
        viewer.view(&frame, &mut image).unwrap();
        let mut explain = |class: i64| -> Explanation {
            session.run(&[Input { frame: &image, classes: &[class] }]).unwrap().remove(0)
        };
        let found = explain(-1);
        let top = found.maps[0].class;
        let objects = objects(picture);
        let nothing = truth["classes"].as_array().unwrap().iter().position(|c| c == "nothing").unwrap();
        let is_right = match objects.is_empty() {
            true => top == nothing,
            false => objects.iter().any(|(class, _)| *class == top),
        };
        named += usize::from(is_right);
        for (class, corners) in objects.into_iter().filter(|(class, _)| *class != nothing) {
            let map = &explain(class as i64).maps[0].map;
            drawn += 1;
            pointed += usize::from(hits(map, size, corners, TOLERANCE));
            inside += energy_inside(map, size, corners);
            area += (corners[2] - corners[0]) * (corners[3] - corners[1]) / (size * size);
        }
    }
    assert!(source.next().unwrap().is_none());
    let share = |n: usize, of: usize| n as f64 / of as f64;
    let (accuracy, pointing) = (share(named, pictures.len()), share(pointed, drawn));
    let (inside, area) = (inside / drawn as f64, area / drawn as f64);
    println!("accuracy {accuracy:.4}, pointing game {pointing:.4}, energy in the box {inside:.3} (its area {area:.3})");
    assert!(pictures.len() >= 200);
    assert!(accuracy > 0.97, "{accuracy}");
    assert!(pointing >= 0.95, "{pointing}");
    assert!(inside > 2.0 * area, "{inside} of the energy in {area} of the area");
}

/// The notes' 15 px belong to pictures of 224 px and more; here they are 160 px wide.
const TOLERANCE: f64 = 15.0 * 160.0 / 224.0;

#[test]
fn the_demo_clip_is_annotated_with_nothing_else() {
    let truth = json(&samples().join("shapes.json"));
    let folder = tempfile::tempdir().unwrap();
    let (out, log) = (folder.path().join("out.mp4"), folder.path().join("events.jsonl"));
    let clip = samples().join("shapes.mp4");
    let mut command = gradcast();
    succeeds(command.arg("annotate").arg(&clip).arg("-o").arg(&out).args(["--device", "cpu", "--events"]).arg(&log));

    let events = events(&log);
    let frames = truth["frames"].as_array().unwrap();
    assert_eq!(events.len(), frames.len());
    let (mut counted, mut named, mut hit) = (0, 0, 0);
    for (event, frame) in events.iter().zip(frames) {
        let objects = objects(frame);
        if frame["transition"] == true || objects.is_empty() {
            continue;
        }
        counted += 1;
        let top = event["maps"][0]["class"].as_u64().unwrap() as usize;
        let Some((_, [x0, y0, x1, y1])) = objects.iter().find(|(class, _)| *class == top) else { continue };
        named += 1;
        let peak = |axis: usize| event["maps"][0]["peak"][axis].as_f64().unwrap_or(-1.0);
        let margin = 15.0 * 1280.0 / 224.0 / 2.0;
        let on = (x0 - margin..=x1 + margin).contains(&peak(0)) && (y0 - margin..=y1 + margin).contains(&peak(1));
        hit += usize::from(on);
    }
    println!("{named} of {counted} frames named right, the peak on the shape in {hit}");
    assert!(counted > 200);
    assert!(named as f64 >= 0.97 * f64::from(counted), "{named} of {counted}");
    assert!(hit as f64 >= 0.95 * f64::from(named), "{hit} of {named}");

    let streams = common::ffprobe::streams(&out);
    let kinds: Vec<&str> = streams.iter().map(|s| s.kind.as_str()).collect();
    assert!(kinds.contains(&"audio"), "{kinds:?}");
    let video = streams.iter().find(|s| s.kind == "video").expect("a video track");
    assert_eq!(common::ffprobe::frames(&out, video.index).len(), frames.len(), "it plays to its end");
}
