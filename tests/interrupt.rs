//! Ctrl-C finishes the file properly, under its final name, and exits with 130.

mod common;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::cli::{events, gradcast};

#[test]
fn ctrl_c_finishes_the_file() {
    let Some(material) = common::material() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (log, out) = (folder.path().join("events.jsonl"), folder.path().join("out.mp4"));
    let mut child = gradcast()
        .arg("annotate")
        .arg(material.join("videos/intel_car-detection.mp4"))
        .arg("-o")
        .arg(&out)
        .args(["--device", "cpu", "--events"])
        .arg(&log)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    // The log is buffered: some of it on disk means that frames flow.
    while std::fs::metadata(&log).map_or(0, |m| m.len()) == 0 {
        assert!(Instant::now() < until, "no frame within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = Instant::now();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let status = child.wait().unwrap();
    println!("ended {:?} after Ctrl-C", asked.elapsed());
    assert_eq!(status.code(), Some(130));

    let probe = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_frames",
            "-show_entries",
            "stream=codec_type,nb_read_frames,duration",
            "-of",
            "json",
        ])
        .arg(&out)
        .output()
        .unwrap();
    assert!(probe.stderr.is_empty(), "{}", String::from_utf8_lossy(&probe.stderr));
    let probe: serde_json::Value = serde_json::from_slice(&probe.stdout).unwrap();
    let stream = |kind: &str| probe["streams"].as_array().unwrap().iter().find(|s| s["codec_type"] == kind).cloned();
    let video = stream("video").expect("a video track");
    let frames: usize = video["nb_read_frames"].as_str().unwrap().parse().unwrap();
    assert_eq!(frames, events(&log).len(), "every painted frame is in the file");
    let seconds = |s: &serde_json::Value| s["duration"].as_str().unwrap().parse::<f64>().unwrap();
    let audio = stream("audio").expect("the sound is there");
    let (v, a) = (seconds(&video), seconds(&audio));
    assert!((v - a).abs() < 0.25, "the sound ends with the picture: {a} s against {v} s");
}
