//! A power cut in the middle: what was written plays, up to its last seconds.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::cli::{events, gradcast};

/// Pictures that ffmpeg decodes from the file, and what it complained about.
fn decoded_frames(path: &Path) -> (u64, String) {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0", "-count_frames", "-show_entries", "stream=nb_read_frames"])
        .args(["-of", "csv=p=0"])
        .arg(path)
        .output()
        .expect("ffprobe runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (String::from_utf8_lossy(&output.stdout).trim().trim_end_matches(',').parse().unwrap_or(0), said)
}

#[test]
fn what_was_written_plays_after_kill_9() {
    let Some(material) = common::material() else { return };
    // With sound and without: the muxers interleave, and so fail, in different ways.
    let cases = [
        ("intel_car-detection.mp4", "mp4"),
        ("intel_car-detection.mp4", "mov"),
        ("intel_car-detection.mp4", "mkv"),
        ("imageio_cockatoo_yuv420.mp4", "mp4"),
    ];
    for (clip, extension) in cases {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("events.jsonl");
        let out = folder.path().join(format!("out.{extension}"));
        let mut child = gradcast()
            .arg("annotate")
            .arg(material.join("videos").join(clip))
            .arg("-o")
            .arg(&out)
            .args(["--device", "cpu", "--events"])
            .arg(&log)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let partial = wait_for_partial(folder.path(), extension, 1_000_000);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!out.exists(), "{extension}: the final name is for whole files");
        let partial = partial.unwrap_or_else(|| panic!("{extension}: no partial file of some size came up"));
        let (frames, said) = decoded_frames(&partial);
        let painted = events(&log).len() as u64;
        println!("{clip} to {extension}: {frames} of {painted} painted frames play; ffprobe said: {said}");
        // Lost may be what stood in the encoder and in the last, unfinished second of the file.
        assert!(frames + 60 >= painted && frames > 0, "{extension}: only {frames} of {painted} frames play");
    }
}

/// The unfinished file beside the final name, once it has `bytes`.
fn wait_for_partial(folder: &Path, extension: &str, bytes: u64) -> Option<std::path::PathBuf> {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let is_video = path.extension().is_some_and(|e| e == extension);
            if is_video && entry.metadata().is_ok_and(|m| m.len() >= bytes) {
                return Some(path);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    None
}
