//! Resident memory of `gradcast annotate` over ten minutes of 1080p, sampled as it runs.
//! `cargo bench --bench memory [-- MINUTES]`; needs the material folder and ffmpeg.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn main() {
    let material =
        std::env::var_os("GRADCAST_MATERIAL").map_or_else(|| PathBuf::from("../shared/material"), PathBuf::from);
    let clip = material.join("videos/imageio_cockatoo_yuv420.mp4");
    if !clip.is_file() {
        println!("no material at {}: nothing to measure", material.display());
        return;
    }
    let minutes: u32 = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(10);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let long = long_clip(&clip, folder.path(), minutes);
    let mut child = Command::new(env!("CARGO_BIN_EXE_gradcast"))
        .arg("annotate")
        .arg(&long)
        .arg("-o")
        .arg(folder.path().join("out.mp4"))
        .args(["--device", "cpu"])
        .stderr(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    println!(
        "{minutes} minutes of 1920x1080, h264 with AAC, the built-in model\n{:>8} {:>10} {:>8}",
        "seconds", "RSS MiB", "threads"
    );
    let started = Instant::now();
    let mut samples = Vec::new();
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            break status;
        }
        if let Some((rss, threads)) = resident(child.id()) {
            let seconds = started.elapsed().as_secs_f64();
            println!("{seconds:>8.0} {:>10.1} {threads:>8}", rss / 1024.0);
            samples.push((seconds, rss / 1024.0));
        }
        std::thread::sleep(Duration::from_secs(10));
    };
    assert!(status.success(), "{status}");
    // The first tenth is start-up: pools and arenas grow to their working size.
    let settled = &samples[samples.len() / 10..];
    let (slope, mean) = slope_and_mean(settled);
    println!("after start-up: mean {mean:.1} MiB, slope {:+.3} MiB per minute of wall time", slope * 60.0);
}

/// The clip scaled to 1080p with a tone, repeated without encoding it again.
fn long_clip(clip: &Path, folder: &Path, minutes: u32) -> PathBuf {
    let (unit, long) = (folder.join("unit.mp4"), folder.join("long.mp4"));
    let run = |command: &mut Command| {
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("ffmpeg runs");
        assert!(status.success(), "{command:?}");
    };
    run(Command::new("ffmpeg")
        .args(["-y", "-i"])
        .arg(clip)
        .args(["-f", "lavfi", "-i", "sine=440:r=48000", "-vf", "scale=1920:1080,fps=25", "-t", "10"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"])
        .arg(&unit));
    run(Command::new("ffmpeg")
        .args(["-y", "-stream_loop", &(minutes * 6 - 1).to_string(), "-i"])
        .arg(&unit)
        .args(["-c", "copy"])
        .arg(&long));
    long
}

/// Resident KiB and threads of a process.
fn resident(pid: u32) -> Option<(f64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field =
        |name: &str| status.lines().find_map(|l| l.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok());
    Some((field("VmRSS:")?, field("Threads:")? as u64))
}

/// Least squares over `(seconds, MiB)`.
fn slope_and_mean(samples: &[(f64, f64)]) -> (f64, f64) {
    let n = samples.len().max(1) as f64;
    let (mx, my) = (samples.iter().map(|s| s.0).sum::<f64>() / n, samples.iter().map(|s| s.1).sum::<f64>() / n);
    let sxy: f64 = samples.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let sxx: f64 = samples.iter().map(|(x, _)| (x - mx).powi(2)).sum();
    (if sxx > 0.0 { sxy / sxx } else { 0.0 }, my)
}
