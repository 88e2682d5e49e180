//! What an explanation costs: a run of the explained graph over a run of the model alone, both in
//! this process, turn by turn, in CPU time of one thread. Printed as ratios; the smaller of each
//! pair's lower quartile is compared, so that a busy machine disturbs little.
//!
//! Needs GRADCAST_ORT_LIB and the material (see tests/common).

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Instant;

use common::explain::*;
use gradcast::explain::{Options, explain, names};
use gradcast::onnx::{self, Graph};

/// CPU time of this thread in nanoseconds; the wall's where the system does not tell.
fn cpu(start: Instant) -> u64 {
    // Otherwise the kernel's account of a running thread is as old as its last tick.
    std::thread::yield_now();
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let told = told.and_then(|text| text.split(' ').next()?.parse().ok());
    told.unwrap_or_else(|| start.elapsed().as_nanos() as u64)
}

/// The model itself with its batch fixed as the explained one's.
fn alone(model: &onnx::Model, batch: usize) -> (onnx::Model, String) {
    let mut graph = Graph::from_model(model).expect("the model is understood");
    let input = graph.inputs[0];
    graph.set_input_shape(input, &[batch, 3, 224, 224]);
    graph.infer().expect("the batch fits");
    let name = graph.value(input).name.clone();
    (graph.to_model(), name)
}

fn main() {
    let cases = [
        ("mobilenet_v2_1.0_224_fp32.onnx", None),
        ("mobilenet_v2_1.0_224_fp32.onnx", Some("add_72")),
        ("mobilenet_v2_1.0_224_fp32.onnx", Some("add_32")),
        ("squeezenet1.0_fp32_op13.onnx", None),
        ("squeezenet1.0_fp32_op13.onnx", Some("conv10_2")),
        ("squeezenet1.0_fp32_op13.onnx", Some("fire6/concat_1")),
        ("mobilenet_v2_1.0_224_int8_qdq_perchannel.onnx", None),
    ];
    println!("{:<46} {:<16} {:>5} {:>2} {:>11} {:>6}", "model", "layer", "batch", "K", "forward/ms", "ratio");
    for (name, layer) in cases {
        let Some(model) = model(name) else { continue };
        for (batch, classes) in [(1, 1), (1, 3), (8, 1)] {
            let (plain, input) = alone(&model, batch);
            let options = Options { layer: layer.map(str::to_owned), batch, classes, ..Options::default() };
            let explained = explain(&model, &options).expect("the model is explained");
            let (mut plain, mut with) = (Runner::of(&plain), Runner::of(&explained.model));
            let picture = Data::F32(vec![batch, 3, 224, 224], pattern(batch, 224, 224, 3));
            let asked = Data::I64(vec![batch, classes], (0..batch * classes).map(|i| (i as i64 * 37) % 1000).collect());
            let rounds = if batch == 1 { 60 } else { 12 };
            let (mut a, mut b) = (Vec::new(), Vec::new());
            let start = Instant::now();
            for round in 0..rounds + 3 {
                let fed = [(input.as_str(), picture.clone()), (names::CLASSES, asked.clone())];
                let t0 = cpu(start);
                plain.run(&fed[..1]);
                let t1 = cpu(start);
                with.run(&fed);
                let t2 = cpu(start);
                if round >= 3 {
                    a.push(t1 - t0);
                    b.push(t2 - t1);
                }
            }
            a.sort_unstable();
            b.sort_unstable();
            let (a, b) = (a[rounds / 4] as f64, b[rounds / 4] as f64);
            println!(
                "{name:<46} {:<16} {batch:>5} {classes:>2} {:>11.2} {:>6.3}",
                layer.unwrap_or("(default)"),
                a / 1e6,
                b / a
            );
        }
    }
}
