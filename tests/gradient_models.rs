//! Promise: the gradients of real models are right, judged by finite differences through ONNX
//! Runtime: the model is cut at the layer, the layer is moved, the score answers.

mod common;

use common::explain::*;
use gradcast::classifier::Preset;
use gradcast::explain::{Options, Preprocess, explain, gradient, names};
use gradcast::onnx::{self, Graph, ValueId};

/// A model with a picture's activation and scores, whole and cut at a layer.
struct Cut {
    graph: Graph,
    layer: ValueId,
    score: ValueId,
    picture: (String, Data),
    activation: Vec<f32>,
    dims: Vec<usize>,
    /// From the layer to the scores.
    rest: Runner,
}

/// A smooth picture on the scale the model was trained with.
fn picture(name: &str) -> Vec<f32> {
    let scale = if name.starts_with("squeezenet") { 100.0 } else { 1.0 };
    pattern(1, 224, 224, 3).into_iter().map(|v| v * scale).collect()
}

fn cut(name: &str, model: &onnx::Model, layer: &str, score: &str) -> Cut {
    let mut graph = Graph::from_model(model).unwrap();
    let input = graph.inputs[0];
    graph.set_input_shape(input, &[1, 3, 224, 224]);
    graph.infer().unwrap();
    let (layer, score) = (graph.find(layer).unwrap(), graph.find(score).unwrap());
    let dims = graph.shape(layer).unwrap().to_vec();
    let picture = (graph.value(input).name.clone(), Data::F32(vec![1, 3, 224, 224], picture(name)));

    let mut front = graph.clone();
    front.set_outputs(&[layer]);
    let name = front.value(layer).name.clone();
    let activation = Runner::of(&front.to_model()).run(&[(&picture.0, picture.1.clone())])[&name].f32();

    let mut rest = graph.clone();
    let start = rest.add_input("layer", gradcast::onnx::DataType::Float, &dims);
    rest.replace_uses(layer, start);
    rest.inputs = vec![start];
    rest.rename(score, "score");
    rest.set_outputs(&[score]);
    let rest = Runner::of(&rest.to_model());
    Cut { graph, layer, score, picture, activation, dims, rest }
}

impl Cut {
    fn scores(&mut self, activation: Vec<f32>) -> Vec<f32> {
        self.rest.run(&[("layer", Data::F32(self.dims.clone(), activation))])["score"].f32()
    }

    /// The derivative of a class's score along a direction, by central differences.
    fn along(&mut self, class: usize, direction: &[f32], step: f32) -> f64 {
        let mut at = |sign: f32| {
            let moved = self.activation.iter().zip(direction).map(|(a, d)| a + sign * step * d).collect();
            f64::from(self.scores(moved)[class])
        };
        (at(1.0) - at(-1.0)) / (2.0 * f64::from(step))
    }

    /// The gradient the dense sweep writes, from the score to the layer.
    fn gradient(&self, class: usize) -> Vec<f32> {
        let mut graph = self.graph.clone();
        let dims = graph.shape(self.score).unwrap().to_vec();
        let mut one_hot = vec![0.0; dims.iter().product()];
        one_hot[class] = 1.0;
        let seed = floats(&mut graph, &dims, &one_hot);
        let gradient = gradient::differentiate(&mut graph, self.score, seed, self.layer).unwrap().unwrap();
        graph.rename(gradient, "gradient");
        graph.set_outputs(&[gradient]);
        Runner::of(&graph.to_model()).run(&[(&self.picture.0, self.picture.1.clone())])["gradient"].f32()
    }

    fn best(&mut self) -> usize {
        let scores = self.scores(self.activation.clone());
        (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap()
    }
}

/// The map that finite differences give: each channel is lifted as a whole.
fn map_by_differences(cut: &mut Cut, class: usize, step: f32) -> Vec<f32> {
    let (channels, places) = (cut.dims[1], cut.dims[2] * cut.dims[3]);
    let mut map = vec![0f64; places];
    for channel in 0..channels {
        let mut direction = vec![0.0; channels * places];
        direction[channel * places..(channel + 1) * places].fill(1.0);
        let weight = cut.along(class, &direction, step) / places as f64;
        for (place, sum) in map.iter_mut().enumerate() {
            *sum += weight * f64::from(cut.activation[channel * places + place]);
        }
    }
    map.into_iter().map(|sum| sum.max(0.0) as f32).collect()
}

fn check_map(name: &str, score: &str, step: f32, tolerance: f64) {
    let Some(model) = model(name) else { return };
    let explained = explain(&model, &Options::default()).unwrap();
    let mut cut = cut(name, &model, &explained.report.layer.name, score);
    let mut runner = Runner::of(&explained.model);
    for class in [cut.best(), 243, 999] {
        let picture = (cut.picture.0.clone(), cut.picture.1.clone());
        let map = runner.run(&[(&picture.0, picture.1), (names::CLASSES, Data::I64(vec![1, 1], vec![class as i64]))])
            [names::MAPS]
            .f32();
        let expected = map_by_differences(&mut cut, class, step);
        let error = relative(&map, &expected);
        println!("{name} class {class}: {error:.1e}");
        assert!(error < tolerance, "{name} class {class}: off by {error:.1e}");
    }
}

/// Behind the layer the model is linear: large steps are exact.
#[test]
fn the_map_of_mobilenet() {
    check_map("mobilenet_v2_1.0_224_fp32.onnx", "logits", 1.0, 1e-4);
}

/// Behind the layer there are gates: steps must be small, and then rounding is felt.
#[test]
fn the_map_of_squeezenet() {
    check_map("squeezenet1.0_fp32_op13.onnx", "pool10_1", 0.02, 1e-2);
}

/// Earlier layers, along random directions: the derivatives must agree in the relative L2 norm.
fn check_directions(name: &str, layer: &str, score: &str, step: f32, tolerance: f64) {
    let Some(model) = model(name) else { return };
    let mut cut = cut(name, &model, layer, score);
    let class = cut.best();
    let gradient = cut.gradient(class);
    let mut random = Random(5);
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for _ in 0..24 {
        let direction = random.vec(gradient.len());
        let product: f64 = gradient.iter().zip(&direction).map(|(&g, &d)| f64::from(g) * f64::from(d)).sum();
        found.push(product as f32);
        expected.push(cut.along(class, &direction, step) as f32);
    }
    let error = relative(&found, &expected);
    println!("{name} at {layer}: {error:.1e}");
    assert!(error < tolerance, "{name} at {layer}: off by {error:.1e}");
}

#[test]
fn directions_at_layers_of_mobilenet() {
    for (layer, step) in [("clip_96", 0.1), ("add_89", 0.003), ("add_72", 0.002), ("add_32", 0.001), ("add_15", 0.0005)]
    {
        check_directions("mobilenet_v2_1.0_224_fp32.onnx", layer, "logits", step, 3e-2);
    }
}

/// Not before the first pool: there whole windows are equal (zero behind the Relu) or nearly so (the
/// picture is smooth), and the score has a kink in every direction.
#[test]
fn directions_at_layers_of_squeezenet() {
    for (layer, step) in [("fire9/concat_1", 0.5), ("fire6/concat_1", 0.03), ("pool3_1", 0.01), ("pool1_1", 0.002)] {
        check_directions("squeezenet1.0_fp32_op13.onnx", layer, "pool10_1", step, 3e-2);
    }
}

/// Quantised and half-precision models have steps of their own; their maps of a photo must look like
/// the float model's.
fn check_likeness(name: &str, of: &str, preprocess: Preprocess, classes: &[i64], least: f64) {
    let (Some(model), Some(float), Some(photo)) = (model(name), model(of), photo("gradcam_both.png")) else {
        return;
    };
    let options = Options { preprocess: Some(preprocess), ..Options::default() };
    let mut runners = [&model, &float].map(|model| Runner::of(&explain(model, &options).unwrap().model));
    for &class in classes {
        let maps = runners.each_mut().map(|runner| {
            runner.run(&[(names::FRAMES, photo.clone()), (names::CLASSES, Data::I64(vec![1, 1], vec![class]))])
                [names::MAPS]
                .f32()
        });
        let likeness = correlation(&maps[0], &maps[1]);
        println!("{name} class {class}: correlation {likeness:.4}");
        assert!(likeness > least, "{name} class {class}: correlation {likeness:.4} with {of}");
    }
}

#[test]
fn the_quantised_mobilenet_explains_itself_like_the_float_one() {
    let inception = Preset::Inception.preprocess();
    let (name, of) = ("mobilenet_v2_1.0_224_int8_qdq_perchannel.onnx", "mobilenet_v2_1.0_224_fp32.onnx");
    check_likeness(name, of, inception, &[243, 281, 282], 0.95);
}

#[test]
fn the_half_precision_squeezenet_explains_itself_like_the_float_one() {
    let caffe = Preset::Caffe.preprocess();
    check_likeness("squeezenet_fp16_winml.onnx", "squeezenet1.0_fp32_op13.onnx", caffe, &[243, 281], 0.999);
}
