//! The truth clip: one photo a second. The most frequent top-1 of each second is the true class in
//! at least 13 of 14 (the model itself gets one photo wrong).

mod common;

use std::collections::HashMap;

use common::cli::{events, gradcast, mobilenet, succeeds};

/// `(second, true class)` from the clip's table.
fn truth(material: &std::path::Path) -> Vec<(u64, u64)> {
    let table = std::fs::read_to_string(material.join("videos/slideshow_free_14.csv")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        (cells[0].parse().unwrap(), cells[2].parse().unwrap())
    };
    table.lines().skip(1).filter(|line| !line.is_empty()).map(row).collect()
}

#[test]
fn mobilenet_names_the_photo_of_each_second() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("events.jsonl");
    succeeds(
        gradcast()
            .arg("annotate")
            .arg(material.join("videos/slideshow_free_14.mp4"))
            .arg("-o")
            .arg(folder.path().join("out.mp4"))
            .args(mobilenet(&material))
            .args(["--device", "cpu"])
            .arg("--events")
            .arg(&log),
    );
    let mut votes: HashMap<u64, HashMap<u64, usize>> = HashMap::new();
    for event in events(&log) {
        let second = event["pts_ns"].as_u64().unwrap() / 1_000_000_000;
        let class = event["predictions"][0]["class"].as_u64().unwrap();
        *votes.entry(second).or_default().entry(class).or_default() += 1;
    }
    let truth = truth(&material);
    let winner = |second: &u64| votes.get(second).and_then(|v| v.iter().max_by_key(|(_, n)| **n)).map(|(c, _)| *c);
    let right = truth.iter().filter(|(second, class)| winner(second) == Some(*class)).count();
    println!("{right} of {} seconds right", truth.len());
    assert_eq!(truth.len(), 14);
    assert!(right >= 13, "{right} of 14");
}

#[test]
fn squeezenet_runs_with_its_bgr_means() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("events.jsonl");
    let clip = material.join("videos/slideshow_free_14.mp4");
    succeeds(
        gradcast()
            .arg("annotate")
            .arg(&clip)
            .arg("-o")
            .arg(folder.path().join("out.mkv"))
            .arg("--model")
            .arg(material.join("models/squeezenet1.0_fp32_op13.onnx"))
            .args(["--channels", "bgr", "--mean", "103.94,116.78,123.68", "--std", "1", "--device", "cpu"])
            .arg("--events")
            .arg(&log),
    );
    let events = events(&log);
    assert!(events.len() > 100, "{} frames", events.len());
    // A wrong preprocessing gives chance level; the model alone gets most of these photos right.
    let truth: HashMap<u64, u64> = truth(&material).into_iter().collect();
    let right = events
        .iter()
        .filter(|e| {
            let second = e["pts_ns"].as_u64().unwrap() / 1_000_000_000;
            truth.get(&second).copied() == e["predictions"][0]["class"].as_u64()
        })
        .count();
    println!("{right} of {} frames right", events.len());
    assert!(right * 2 > events.len(), "{right} of {}", events.len());
}
