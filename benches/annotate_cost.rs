//! CPU seconds of `gradcast annotate` over (CPU seconds of the same decode and encode by
//! `gst-launch-1.0` + CPU seconds of the plain forward pass over as many frames), side by side in
//! one run. `cargo bench --bench annotate_cost [-- CLIP…]`; needs the material folder.
//!
//! Painted pictures are harder to encode than the plain ones that gst-launch gets: the columns
//! `unpainted` and `unp.` are the same run with everything done but the heat transparent, so that the
//! encoder gets the same pictures.
//!
//! The plain forward pass is the unchanged model, one thread, batch 1, input made beforehand.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;

/// The x264 row of `pipelines/encoders.toml` at the default quality and 25 frames per second.
const ENCODE: &str = "x264enc speed-preset=veryfast pass=qual quantizer=23 qp-min=0 vbv-buf-capacity=0 key-int-max=50 option-string=bframes=0";

fn main() {
    let material =
        std::env::var_os("GRADCAST_MATERIAL").map_or_else(|| PathBuf::from("../shared/material"), PathBuf::from);
    if !material.is_dir() {
        println!("no material at {}: nothing to measure", material.display());
        return;
    }
    let clips: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let clips = if clips.is_empty() {
        ["slideshow_free_14.mp4", "intel_car-detection.mp4", "imageio_cockatoo_yuv420.mp4"].map(String::from).to_vec()
    } else {
        clips
    };
    let models = [
        ("mobilenet_v2_1.0_224_fp32.onnx", "inception", [1, 3, 224, 224], "input"),
        ("squeezenet1.0_fp32_op13.onnx", "caffe", [1, 3, 224, 224], "data_0"),
    ];
    println!(
        "{:<28} {:<32} {:>6} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}",
        "clip", "model", "frames", "annotate", "unpainted", "gst", "forward", "ratio", "unp."
    );
    for clip in &clips {
        let path = material.join("videos").join(clip);
        for (model, preprocess, shape, input) in &models {
            let model_path = material.join("models").join(model);
            let (painted, frames) = annotate(&path, &model_path, preprocess, &[]);
            let (unpainted, _) = annotate(&path, &model_path, preprocess, &["--opacity", "0", "--no-label"]);
            let gst = transcode(&path);
            let forward = forward(&model_path, input, *shape, frames);
            let plain = gst + forward;
            println!(
                "{clip:<28} {model:<32} {frames:>6} {painted:>8.2}s {unpainted:>8.2}s {gst:>8.2}s {forward:>8.2}s {:>7.3} {:>7.3}",
                painted / plain,
                unpainted / plain
            );
        }
    }
}

/// User and system CPU seconds of `who` so far.
fn cpu_seconds(who: libc::c_int) -> f64 {
    // SAFETY: a zeroed rusage is valid, and getrusage only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 * 1e-6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn child_seconds(command: &mut Command) -> f64 {
    let before = cpu_seconds(libc::RUSAGE_CHILDREN);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("it starts");
    assert!(status.success(), "{command:?}: {status}");
    cpu_seconds(libc::RUSAGE_CHILDREN) - before
}

/// CPU seconds, and the number of frames annotated.
fn annotate(clip: &Path, model: &Path, preprocess: &str, look: &[&str]) -> (f64, u64) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let events = folder.path().join("events.jsonl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_gradcast"));
    command.arg("annotate").arg(clip).arg("-o").arg(folder.path().join("out.mp4")).arg("--model").arg(model);
    command.args(["--preprocess", preprocess, "--device", "cpu"]).args(look).arg("--events").arg(&events);
    let seconds = child_seconds(&mut command);
    let frames = std::fs::read_to_string(events).expect("events").lines().count() as u64;
    (seconds, frames)
}

fn transcode(clip: &Path) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pipeline = format!(
        "filesrc location={} ! decodebin ! video/x-raw ! queue ! {ENCODE} ! h264parse ! mp4mux ! filesink location={}",
        clip.display(),
        folder.path().join("plain.mp4").display()
    );
    child_seconds(Command::new("gst-launch-1.0").arg("-q").args(pipeline.split(' ')))
}

fn forward(model: &Path, input: &str, shape: [usize; 4], frames: u64) -> f64 {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    let environment = ENVIRONMENT.get_or_init(|| {
        let builder = ort::init_from(gradcast::engine::library_path()).expect("the library loads");
        builder.build().expect("the environment starts")
    });
    let mut session = plain_session(environment, model).expect("the model loads");
    let pixels = vec![0.25f32; shape.iter().product()];
    let before = cpu_seconds(libc::RUSAGE_SELF);
    for _ in 0..frames {
        let tensor = TensorRef::from_array_view((shape, &*pixels)).expect("a tensor");
        session.run(ort::inputs![input => tensor]).expect("a run");
    }
    cpu_seconds(libc::RUSAGE_SELF) - before
}

fn plain_session(environment: &Environment, model: &Path) -> ort::Result<Session> {
    let builder = Session::builder(environment)?.with_intra_threads(1)?.with_intra_op_spinning(false)?;
    { builder }.commit_from_file(model)
}
