//! Promise: our maps are pytorch-grad-cam's, before normalisation, at the default layer and at
//! earlier ones. `tests/oracle` holds the reference and says how it was made.

mod common;

use std::path::{Path, PathBuf};

use common::explain::*;
use gradcast::explain::{Channels, Options, Preprocess, explain, names};
use gradcast::onnx::{self, Limits};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    model: String,
    #[serde(default)]
    height: usize,
    #[serde(default)]
    width: usize,
    scores: std::collections::BTreeMap<String, Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    layer: String,
    picture: String,
    class: i64,
    shape: [usize; 2],
    /// The largest size of the weighted sum before ReLU: what an error is small against.
    scale: f32,
    map: Vec<f32>,
}

fn oracle(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle").join(name)
}

fn reference(name: &str) -> Reference {
    let text = std::fs::read_to_string(oracle(&format!("reference/{name}.json"))).expect("the reference is committed");
    serde_json::from_str(&text).expect("the reference is understood")
}

/// Compares every case; the frames or tensors come from `picture`.
fn compare(
    reference: &Reference,
    model: &onnx::Model,
    preprocess: Option<Preprocess>,
    tolerance: f32,
    picture: impl Fn(&str) -> Option<(String, Data)>,
) {
    let mut layers: Vec<&str> = reference.cases.iter().map(|case| case.layer.as_str()).collect();
    layers.dedup();
    layers.sort_unstable();
    layers.dedup();
    let mut failures = Vec::new();
    for layer in layers {
        let options = Options { layer: Some(layer.into()), preprocess, ..Options::default() };
        let explained = explain(model, &options).unwrap_or_else(|error| panic!("{layer}: {error}; {}", error.hint()));
        let mut runner = Runner::of(&explained.model);
        for case in reference.cases.iter().filter(|case| case.layer == layer) {
            let Some((input, data)) = picture(&case.picture) else {
                return;
            };
            let found = runner.run(&[(&input, data), (names::CLASSES, Data::I64(vec![1, 1], vec![case.class]))]);
            let map = &found[names::MAPS];
            assert_eq!(map.dims(), [1, 1, case.shape[0], case.shape[1]]);
            let error = map.f32().iter().zip(&case.map).fold(0f32, |m, (a, b)| m.max((a - b).abs())) / case.scale;
            println!("{} {layer} class {} of {}: {error:.1e}", reference.model, case.class, case.picture);
            if error > tolerance {
                failures.push(format!(
                    "{layer} class {} of {}: off by {error:.1e} of the largest",
                    case.class, case.picture
                ));
            }
            let scores = relative_max(&found[names::SCORES].f32(), &reference.scores[&case.picture]);
            assert!(scores < 1e-4, "{layer}: scores are off by {scores:.1e}");
        }
    }
    assert!(failures.is_empty(), "{}:\n{}", reference.model, failures.join("\n"));
}

fn tiny(name: &str) {
    let reference = reference(name);
    let model = onnx::load(&oracle(&format!("models/{}", reference.model)), &Limits::default())
        .expect("the model is committed");
    let (height, width) = (reference.height, reference.width);
    compare(&reference, &model, None, 1e-4, |picture| {
        let seed = picture.strip_prefix("pattern ")?.parse().ok()?;
        Some(("input".into(), Data::F32(vec![1, 3, height, width], pattern(1, height, width, seed))))
    });
}

#[test]
fn tiny_resnet_with_strides_and_skips() {
    tiny("tiny_resnet");
}

#[test]
fn tiny_densenet_with_batch_normalisation() {
    tiny("tiny_densenet");
}

#[test]
fn tiny_net_of_odd_operators() {
    tiny("tiny_odd");
}

fn real(name: &str, preprocess: Preprocess, tolerance: f32) {
    let reference = reference(name);
    let Some(model) = model(&reference.model) else {
        return;
    };
    compare(&reference, &model, Some(preprocess), tolerance, |name| Some((names::FRAMES.into(), photo(name)?)));
}

#[test]
fn mobilenet_on_photos() {
    real("mobilenet_v2_1.0_224_fp32", Preprocess { channels: Channels::Rgb, mean: [127.5; 3], std: [127.5; 3] }, 1e-4);
}

#[test]
fn squeezenet_on_photos() {
    real(
        "squeezenet1.0_fp32_op13",
        Preprocess { channels: Channels::Bgr, mean: [103.94, 116.78, 123.68], std: [1.0; 3] },
        1e-4,
    );
}
