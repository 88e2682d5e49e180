//! `--events`: one object per output frame, in order, in the documented form.

mod common;

use common::cli::{events, gradcast, mobilenet, succeeds};

#[test]
fn an_event_per_frame_in_the_documented_form() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("events.jsonl");
    succeeds(
        gradcast()
            .arg("annotate")
            .arg(material.join("videos/decord_video_90.mov"))
            .arg("-o")
            .arg(folder.path().join("out.mp4"))
            .args(mobilenet(&material))
            .args(["--class", "top1,tabby", "--device", "cpu", "--events"])
            .arg(&log),
    );
    let events = events(&log);
    assert_eq!(events.len(), 3, "the clip has three frames");
    let mut last = None;
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["stream"], "decord_video_90.mov");
        assert_eq!(event["frame"], index as u64);
        let pts = event["pts_ns"].as_u64().unwrap();
        assert!(last.is_none_or(|last| pts > last), "time moves on");
        last = Some(pts);
        assert_eq!(event["map_pts_ns"], pts, "in a file each frame has its own map");
        let predictions = event["predictions"].as_array().unwrap();
        assert_eq!(predictions.len(), 5);
        let probability = |i: usize| predictions[i]["probability"].as_f64().unwrap();
        assert!((1..5).all(|i| probability(i) <= probability(i - 1)), "most probable first");
        assert!(predictions[0]["label"].as_str().is_some_and(|l| !l.starts_with("class ")));
        let maps = event["maps"].as_array().unwrap();
        assert_eq!(maps.len(), 2);
        assert_eq!(maps[0]["class"], predictions[0]["class"]);
        assert_eq!(maps[1]["class"], 281);
        for map in maps {
            assert_eq!(map["method"], "grad-cam");
            assert_eq!(map["layer"], "clip_96");
            let max = map["max"].as_f64().unwrap();
            assert!(max >= 0.0);
            let area = map["area"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&area));
            assert_eq!(max > 0.0, map["peak"].is_array(), "a peak where there is evidence");
            assert_eq!(max > 0.0, map["centroid"].is_array());
        }
    }
}
