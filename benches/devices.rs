//! Every device that starts here: do its maps equal the CPU's, and how fast is it?
//! `cargo bench --bench devices [-- DEVICE…]`. With the material folder the real models are taken as
//! well as the built-in one. Exits with 1 where a device's maps differ, so that `scripts/gpu-check`
//! can rely on it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use gradcast::classifier::{Classifier, ModelFlags, Prepared, Preset};
use gradcast::engine::{self, Device, Explanation, Input, Session, SessionOptions};

/// Largest difference of a map from the CPU's, as a share of the map's maximum. Devices sum in other
/// orders, and CUDA's convolutions may use TF32 (10 bits of mantissa).
const TOLERANCE: f32 = 2e-2;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let probe = prepare(None, Preset::Inception, 1);
    let trials = engine::trials(&probe.bytes, probe.input_size()).expect("ONNX Runtime loads");
    for trial in &trials {
        let said = trial.failure.as_deref().map_or("starts", |reason| reason);
        println!("{:<9} {said}", trial.device.to_string());
    }
    let devices: Vec<Device> = trials.iter().filter(|t| t.failure.is_none()).map(|t| t.device).collect();
    for name in &wanted {
        if !devices.iter().any(|d| d.to_string() == *name) {
            println!("{name} was asked for and does not start");
            return ExitCode::FAILURE;
        }
    }
    let mut alike = true;
    println!(
        "\n{:<26} {:<9} {:>5} {:>10} {:>12} {:>10}",
        "model", "device", "batch", "frames/s", "difference", "x CPU b1"
    );
    for (name, path, preset) in models() {
        let mut cpu_rate = None;
        for &device in &devices {
            for batch in if device == Device::Cpu { vec![1, 8] } else { vec![1, 8, 32] } {
                let prepared = prepare(path.as_ref(), preset, batch);
                let size = prepared.input_size();
                let options = SessionOptions { device, threads };
                let mut session = match Session::start(&prepared.bytes, &options) {
                    Ok(session) => session,
                    Err(e) => {
                        println!("{name:<26} {:<9} {batch:>5} {e}", device.to_string());
                        alike = false;
                        continue;
                    }
                };
                if session.batch() != usize::from(batch) {
                    continue; // a model with a batch of its own
                }
                let frames: Vec<Vec<u8>> = (0..batch).map(|n| picture(size, n)).collect();
                let inputs: Vec<Input> = frames.iter().map(|frame| Input { frame, classes: &[-1] }).collect();
                let found = session.run(&inputs).expect("it runs");
                let difference = match device {
                    Device::Cpu => 0.0,
                    _ => worst_difference(&found, &on_cpu(&prepared, &inputs, threads)),
                };
                alike &= difference <= TOLERANCE;
                let rate = rate(&mut session, &inputs);
                let base = *cpu_rate.get_or_insert(rate);
                println!(
                    "{name:<26} {:<9} {batch:>5} {rate:>10.0} {difference:>12.2e} {:>10.2}",
                    device.to_string(),
                    rate / base
                );
            }
        }
    }
    if alike { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The built-in model, and the trained ones of the material where it is there.
fn models() -> Vec<(String, Option<PathBuf>, Preset)> {
    let material =
        std::env::var_os("GRADCAST_MATERIAL").map_or_else(|| PathBuf::from("../shared/material"), PathBuf::from);
    let real = [
        ("mobilenet_v2_1.0_224_fp32", Preset::Inception),
        ("squeezenet1.0_fp32_op13", Preset::Caffe),
        ("squeezenet_fp16_winml", Preset::Caffe),
    ];
    let there = real.into_iter().filter_map(|(name, preset)| {
        let path = material.join(format!("models/{name}.onnx"));
        path.is_file().then(|| (name.to_owned(), Some(path), preset))
    });
    std::iter::once(("shapes (built in)".to_owned(), None, Preset::Inception)).chain(there).collect()
}

fn prepare(path: Option<&PathBuf>, preset: Preset, batch: u16) -> Prepared {
    let flags = ModelFlags { preprocess: Some(preset), batch: Some(batch), ..ModelFlags::default() };
    Classifier::load(path.map(PathBuf::as_path), &flags).and_then(Classifier::prepare).expect("the model is explained")
}

/// Smooth blobs, other ones for every `n`: real enough to give a map.
fn picture((width, height): (usize, usize), n: u16) -> Vec<u8> {
    let phase = f32::from(n) * 0.7;
    (0..height * width * 3)
        .map(|i| {
            let (y, x, c) = (i / 3 / width, i / 3 % width, i % 3);
            let (u, v) = (x as f32 / width as f32 * 6.3, y as f32 / height as f32 * 6.3);
            (127.0 + 120.0 * (u * 1.7 + phase).sin() * (v * 1.3 + c as f32).cos()) as u8
        })
        .collect()
}

fn on_cpu(prepared: &Prepared, inputs: &[Input], threads: usize) -> Vec<Explanation> {
    let mut session =
        Session::start(&prepared.bytes, &SessionOptions { device: Device::Cpu, threads }).expect("the CPU starts");
    session.run(inputs).expect("the CPU runs")
}

fn worst_difference(found: &[Explanation], expected: &[Explanation]) -> f32 {
    let pairs = found.iter().zip(expected).flat_map(|(f, e)| f.maps.iter().zip(&e.maps));
    pairs
        .map(|(found, expected)| {
            let max = expected.map.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
            let worst = found.map.iter().zip(&expected.map).map(|(f, e)| (f - e).abs()).fold(0.0, f32::max);
            if found.class == expected.class { worst / max } else { 1.0 }
        })
        .fold(0.0, f32::max)
}

/// Frames per second over about two seconds, the first runs (which choose kernels) left out.
fn rate(session: &mut Session, inputs: &[Input]) -> f64 {
    for _ in 0..3 {
        session.run(inputs).expect("it runs");
    }
    let (started, mut frames) = (Instant::now(), 0);
    while started.elapsed().as_secs_f64() < 2.0 {
        session.run(inputs).expect("it runs");
        frames += inputs.len();
    }
    frames as f64 / started.elapsed().as_secs_f64()
}
