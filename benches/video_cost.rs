//! What the way through the program costs, against `gst-launch-1.0` doing the same decoding and
//! encoding, in CPU time; and what the small RGB copy for the model costs.
//!
//! `cargo bench --bench video_cost [CLIP]`; without a clip, one is made (1080p, 300 frames).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use gradcast::video::{FileSink, FileSource, FramePool, Region, RgbScaler, SinkOptions, SourceOptions};

fn main() {
    // `cargo bench` passes flags of its own.
    let clip = std::env::args().skip(1).find(|a| !a.starts_with('-'));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clip = clip.map_or_else(|| make_clip(folder.path()), PathBuf::from);
    let out = folder.path().join("out.mp4");

    let mut plain = Vec::new();
    let mut ours = Vec::new();
    let mut painted = Vec::new();
    // Interleaved, so that other work on the machine hits all alike.
    for _ in 0..5 {
        plain.push(cpu(|| gst_launch(&clip, &out)));
        ours.push(cpu(|| copy(&clip, &out, false)));
        painted.push(cpu(|| copy(&clip, &out, true)));
    }
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let base = median(&mut plain);
    println!("gst-launch-1.0        {base:6.2} s of CPU");
    for (name, mut times) in [("handed on", ours), ("copied into a pool", painted)] {
        let time = median(&mut times);
        println!("{name:20}  {time:6.2} s of CPU, ratio {:.3}", time / base);
    }
    scale(&clip);
}

fn make_clip(folder: &Path) -> PathBuf {
    let clip = folder.join("clip.mp4");
    let text = format!(
        "videotestsrc pattern=smpte100 num-buffers=300 ! \
         video/x-raw,format=I420,width=1920,height=1080,framerate=30/1 ! \
         timeoverlay ! x264enc speed-preset=veryfast bitrate=8000 ! mp4mux ! filesink location={}",
        clip.display()
    );
    run(&text);
    clip
}

fn gst_launch(clip: &Path, out: &Path) {
    run(&format!(
        "filesrc location={} ! decodebin ! x264enc speed-preset=veryfast pass=qual quantizer=23 \
         qp-min=0 key-int-max=60 option-string=bframes=0 ! queue ! mp4mux ! filesink location={}",
        clip.display(),
        out.display()
    ));
}

fn run(text: &str) {
    let status = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(text.split_whitespace())
        .status()
        .expect("gst-launch-1.0 is installed");
    assert!(status.success());
}

fn copy(clip: &Path, out: &Path, painted: bool) {
    let mut options = SourceOptions::new().expect("built in");
    options.copy_tracks = false;
    let mut source = FileSource::open(clip, &options).expect("a clip");
    let info = source.info().clone();
    let mut options = SinkOptions::new().expect("built in");
    options.overwrite = true;
    let pool = FramePool::new(info.format.clone()).expect("memory");
    let mut sink = FileSink::create(out, &options, &info, Vec::new()).expect("a sink");
    source.start().expect("it starts");
    while let Some(mut frame) = source.next().expect("it reads") {
        if painted {
            let mut to = pool.acquire().expect("memory");
            let read = frame.read().expect("samples");
            for (index, to) in to.planes().into_iter().enumerate() {
                let (width, height) = read.format().plane_size(index);
                let pairs = if read.format().pixels().planes() == 2 && index == 1 { 2 } else { 1 };
                let from = read.plane(index);
                for y in 0..height {
                    to.data[y * to.stride..][..width * pairs]
                        .copy_from_slice(&from.data[y * from.stride..][..width * pairs]);
                }
            }
            drop(read);
            frame = to.finish(&frame);
        }
        sink.push(frame).expect("it writes");
    }
    sink.finish().expect("it ends");
}

fn scale(clip: &Path) {
    let mut source = FileSource::open(clip, &SourceOptions::new().expect("built in")).expect("a clip");
    source.start().expect("it starts");
    let frame = source.next().expect("it reads").expect("a frame");
    let (mut scaler, mut rgb) = (RgbScaler::new(), Vec::new());
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            let begun = Instant::now();
            let read = frame.read().expect("samples");
            let whole = Region::whole(read.format());
            scaler.scale(&read, whole, 224, 224, &mut rgb).expect("it scales");
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!(
        "{}×{} → 224×224 RGB: {:.3} ms (median), {:.3} ms (best)",
        frame.format().width(),
        frame.format().height(),
        times[100],
        times[0]
    );
}

/// CPU seconds of this process and its children while `work` runs.
fn cpu(work: impl FnOnce()) -> f64 {
    let before = ticks();
    work();
    // USER_HZ is 100 on every Linux that Rust runs on.
    (ticks() - before) as f64 / 100.0
}

fn ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // utime, stime, cutime, cstime: fields 14 to 17.
    after_name.split_whitespace().skip(11).take(4).filter_map(|n| n.parse::<u64>().ok()).sum()
}
