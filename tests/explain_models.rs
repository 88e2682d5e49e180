//! Promise: real classifiers are understood, explained and run, and what they say is consistent:
//! classes, batches, preprocessing, layers; what cannot be explained is refused in clear words.

mod common;

use common::explain::*;
use gradcast::classifier::Preset;
use gradcast::explain::{Channels, Ending, ExplainError, Explained, Options, Preprocess, explain, inspect, names};
use gradcast::onnx::{self, Attributes, DataType, Graph, Tensor, ValueId};

const MOBILENET: &str = "mobilenet_v2_1.0_224_fp32.onnx";
const SQUEEZENET: &str = "squeezenet1.0_fp32_op13.onnx";

fn classes(dims: [usize; 2], classes: &[i64]) -> Data {
    Data::I64(dims.to_vec(), classes.to_vec())
}

fn explained(model: &onnx::Model, options: &Options) -> Explained {
    explain(model, options).unwrap_or_else(|error| panic!("{error}; {}", error.hint()))
}

/// Random bytes as frames.
fn frames(batch: usize, height: usize, width: usize, seed: u64) -> Vec<u8> {
    Random(seed).vec(batch * height * width * 3).into_iter().map(|v| ((v + 1.0) * 127.5) as u8).collect()
}

/// Every model of the material: explained by default, accepted by ONNX Runtime, run; the layer that
/// was chosen and the maps' resolution are those an expert would name.
#[test]
fn every_model_is_explained_and_runs() {
    let expected = [
        (MOBILENET, "clip_96", [7, 7], 1000),
        ("mobilenet_v2_1.0_224_int8_qdq_perchannel.onnx", "clip_96_DequantizeLinear_Output", [7, 7], 1000),
        (
            "mobilenet_v1_0.5_160_quant.onnx",
            "MobilenetV1/Logits/AvgPool_1a/AvgPool_prequant__443_DequantizeLinear__537:0",
            [5, 5],
            1001,
        ),
        (SQUEEZENET, "fire9/concat_1", [13, 13], 1000),
        ("squeezenet_fp16_winml.onnx", "fire9/concat_1", [13, 13], 1000),
        ("light/light_bvlc_alexnet.onnx", "r13", [12, 12], 1000),
        ("light/light_densenet121.onnx", "r907", [7, 7], 1000),
        ("light/light_inception_v1.onnx", "r137", [6, 6], 1000),
        ("light/light_inception_v2.onnx", "r504", [7, 7], 1000),
        ("light/light_resnet50.onnx", "r171", [7, 7], 1000),
        ("light/light_shufflenet.onnx", "r198", [7, 7], 1000),
        ("light/light_squeezenet.onnx", "r60", [13, 13], 1000),
        ("light/light_vgg19.onnx", "r35", [14, 14], 1000),
        ("light/light_zfnet512.onnx", "r13", [12, 12], 1000),
    ];
    for (name, layer, [height, width], count) in expected {
        let Some(model) = model(name) else { continue };
        let options = Options { preprocess: Some(Preprocess::RAW), classes: 2, ..Options::default() };
        let explained = explained(&model, &options);
        let report = &explained.report;
        assert_eq!(
            (report.layer.name.as_str(), report.layer.height, report.layer.width),
            (layer, height, width),
            "{name}"
        );
        assert_eq!(report.score.classes, count, "{name}");
        assert!(report.sparse_seed, "{name}: the head was not recognised");
        assert!(serde_json::to_string(report).is_ok());
        let (h, w) = (report.input.height, report.input.width);
        let picture = Data::U8(vec![1, h, w, 3], frames(1, h, w, 3));
        let found =
            Runner::of(&explained.model).run(&[(names::FRAMES, picture), (names::CLASSES, classes([1, 2], &[-1, 7]))]);
        assert_eq!(found.len(), 4, "{name}");
        assert_eq!(found[names::MAPS].dims(), [1, 2, height, width], "{name}");
        assert_eq!(found[names::SCORES].dims(), [1, count], "{name}");
        assert_eq!(found[names::EXPLAINED].i64()[1], 7, "{name}");
        let probabilities = found[names::PROBABILITIES].f32();
        assert!(
            (probabilities.iter().sum::<f32>() - 1.0).abs() < 0.02,
            "{name}: {}",
            probabilities.iter().sum::<f32>()
        );
        assert!(found[names::MAPS].f32().iter().all(|v| v.is_finite() && *v >= 0.0), "{name}");
    }
}

/// The scores are the model's own, and its outputs' probabilities too.
#[test]
fn scores_and_probabilities_are_the_models_own() {
    for (name, output, is_score) in [(MOBILENET, "logits", true), (SQUEEZENET, "softmaxout_1", false)] {
        let Some(model) = model(name) else { return };
        let explained = explained(&model, &Options::default());
        let picture = Data::F32(vec![1, 3, 224, 224], pattern(1, 224, 224, 1));
        let input = explained.report.input.name.clone();
        let own = Runner::of(&model).run(&[(&input, picture.clone())])[output].f32();
        let found = Runner::of(&explained.model).run(&[(&input, picture), (names::CLASSES, classes([1, 1], &[-1]))]);
        let (scores, probabilities) = (found[names::SCORES].f32(), found[names::PROBABILITIES].f32());
        assert!(relative_max(if is_score { &scores } else { &probabilities }, &own) < 1e-5, "{name}");
        let sum: f32 = scores.iter().map(|s| s.exp()).sum();
        let softmax: Vec<f32> = scores.iter().map(|s| s.exp() / sum).collect();
        assert!(relative_max(&probabilities, &softmax) < 1e-4, "{name}");
    }
}

/// −1 is the most probable class.
#[test]
fn a_negative_class_is_the_most_probable() {
    for name in [MOBILENET, SQUEEZENET] {
        let (Some(model), Some(photo)) = (model(name), photo("gradcam_both.png")) else {
            return;
        };
        let preset = if name == MOBILENET { Preset::Inception } else { Preset::Caffe };
        let options = Options { preprocess: Some(preset.preprocess()), ..Options::default() };
        let mut runner = Runner::of(&explained(&model, &options).model);
        let mut run =
            |class| runner.run(&[(names::FRAMES, photo.clone()), (names::CLASSES, classes([1, 1], &[class]))]);
        let most = run(-1);
        let scores = most[names::SCORES].f32();
        let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap() as i64;
        assert_eq!(most[names::EXPLAINED].i64(), [best], "{name}");
        assert_eq!(most[names::MAPS], run(best)[names::MAPS], "{name}");
        assert_ne!(most[names::MAPS], run(best + 1)[names::MAPS], "{name}");
        assert!(most[names::MAPS].f32().iter().any(|&v| v > 0.0), "{name}");
    }
}

/// The mastiff (243) sits above the cat (281): so do the peaks of their maps.
#[test]
fn the_dog_and_the_cat_light_up_apart() {
    let (Some(model), Some(photo)) = (model(MOBILENET), photo("gradcam_both.png")) else {
        return;
    };
    let options = Options { preprocess: Some(Preset::Inception.preprocess()), classes: 2, ..Options::default() };
    let mut runner = Runner::of(&explained(&model, &options).model);
    let maps = runner.run(&[(names::FRAMES, photo), (names::CLASSES, classes([1, 2], &[243, 281]))])[names::MAPS].f32();
    let row = |map: &[f32]| (0..49).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap() / 7;
    let (dog, cat) = (row(&maps[..49]), row(&maps[49..]));
    assert!(dog <= 3 && cat >= 3 && dog < cat, "dog in row {dog}, cat in row {cat} of 7");
}

/// Several classes in one run are what several runs would say; so are several pictures. At the last
/// layer and at an earlier one.
#[test]
fn several_at_once_equal_one_by_one() {
    for (name, layer) in [
        (MOBILENET, None),
        (MOBILENET, Some("add_72")),
        (SQUEEZENET, None),
        (SQUEEZENET, Some("fire6/concat_1")),
        ("mobilenet_v2_1.0_224_int8_qdq_perchannel.onnx", None),
    ] {
        let Some(model) = model(name) else { return };
        let options = |batch, classes| Options {
            layer: layer.map(str::to_owned),
            batch,
            classes,
            preprocess: Some(Preset::Inception.preprocess()),
            ..Options::default()
        };
        let many = explained(&model, &options(3, 2));
        assert_eq!((many.report.batch, many.report.classes), (3, 2));
        let pictures = frames(3, 224, 224, 9);
        let asked = [-1i64, 5, 17, -1, 100, 900];
        let together = Runner::of(&many.model).run(&[
            (names::FRAMES, Data::U8(vec![3, 224, 224, 3], pictures.clone())),
            (names::CLASSES, classes([3, 2], &asked)),
        ]);
        let maps = together[names::MAPS].f32();
        let mut single = Runner::of(&explained(&model, &options(1, 1)).model);
        let size = maps.len() / 6;
        for (slot, &class) in asked.iter().enumerate() {
            let picture = &pictures[slot / 2 * 224 * 224 * 3..][..224 * 224 * 3];
            let alone = single.run(&[
                (names::FRAMES, Data::U8(vec![1, 224, 224, 3], picture.to_vec())),
                (names::CLASSES, classes([1, 1], &[class])),
            ]);
            let error = relative(&maps[slot * size..][..size], &alone[names::MAPS].f32());
            assert!(error < 2e-3, "{name} {layer:?} slot {slot}: off by {error:.1e}");
            assert_eq!(together[names::EXPLAINED].i64()[slot], alone[names::EXPLAINED].i64()[0], "{name} slot {slot}");
        }
    }
}

/// The stage in the graph does what a program would do outside.
#[test]
fn preprocessing_in_the_graph_is_preprocessing() {
    let Some(model) = model(MOBILENET) else {
        return;
    };
    let bytes = frames(1, 224, 224, 5);
    let mut own = Runner::of(&explained(&model, &Options::default()).model);
    for preprocess in [
        Preprocess { channels: Channels::Rgb, mean: [127.5; 3], std: [127.5; 3] },
        Preprocess { channels: Channels::Bgr, mean: [103.94, 116.78, 123.68], std: [57.0, 58.0, 59.0] },
        Preprocess { channels: Channels::Rgb, mean: [0.0; 3], std: [255.0; 3] },
        Preprocess::RAW,
    ] {
        let mut tensor = Vec::with_capacity(3 * 224 * 224);
        for c in 0..3 {
            let from = if preprocess.channels == Channels::Bgr { 2 - c } else { c };
            tensor
                .extend(bytes.chunks(3).map(|pixel| (f32::from(pixel[from]) - preprocess.mean[c]) / preprocess.std[c]));
        }
        let outside =
            own.run(&[("input", Data::F32(vec![1, 3, 224, 224], tensor)), (names::CLASSES, classes([1, 1], &[3]))]);
        let with = explained(&model, &Options { preprocess: Some(preprocess), ..Options::default() });
        let inside = Runner::of(&with.model).run(&[
            (names::FRAMES, Data::U8(vec![1, 224, 224, 3], bytes.clone())),
            (names::CLASSES, classes([1, 1], &[3])),
        ]);
        for output in [names::SCORES, names::MAPS] {
            let error = relative(&inside[output].f32(), &outside[output].f32());
            assert!(error < 2e-4, "{preprocess:?} {output}: off by {error:.1e}");
        }
    }
}

/// A model that takes bytes takes frames as they are, and nothing else.
#[test]
fn a_model_of_bytes_takes_bytes() {
    let Some(model) = model("mobilenet_v1_0.5_160_quant.onnx") else {
        return;
    };
    let raw = explained(&model, &Options { preprocess: Some(Preprocess::RAW), ..Options::default() });
    let bytes = Data::U8(vec![1, 160, 160, 3], frames(1, 160, 160, 5));
    let found = Runner::of(&raw.model).run(&[(names::FRAMES, bytes.clone()), (names::CLASSES, classes([1, 1], &[-1]))]);
    let own = Runner::of(&model).run(&[("input", bytes)])["MobilenetV1/Predictions/Reshape_1"].f32();
    // The model's own probabilities are rounded to 256 steps.
    let off = found[names::PROBABILITIES].f32().iter().zip(&own).fold(0f32, |m, (a, b)| m.max((a - b / 256.0).abs()));
    assert!(off <= 0.5 / 256.0 + 1e-4, "{off}");
    let error = explain(&model, &Options { preprocess: Some(Preset::Imagenet.preprocess()), ..Options::default() })
        .unwrap_err();
    assert!(matches!(error, ExplainError::Preprocess(_)) && error.to_string().contains("bytes as they are"), "{error}");
    assert!(error.hint().contains("raw"), "{}", error.hint());
}

/// A model whose batch is built in keeps it, and says so; one that can be fixed anew is.
#[test]
fn a_batch_that_does_not_fit_is_said() {
    let Some(vgg) = model("light/light_resnet50.onnx") else {
        return;
    };
    let kept = explained(&vgg, &Options { batch: 4, ..Options::default() });
    let followed = kept.report.batch == 4;
    assert_eq!(followed, !kept.report.assumptions.iter().any(|note| note.contains("keeps it")), "{:?}", kept.report);
    let Some(squeezenet) = model(SQUEEZENET) else {
        return;
    };
    let anew = explained(&squeezenet, &Options { batch: 4, ..Options::default() });
    assert_eq!(anew.report.batch, 4, "{:?}", anew.report);
}

/// The size can be changed where the model allows it.
#[test]
fn another_input_size_gives_another_map() {
    let Some(model) = model(MOBILENET) else {
        return;
    };
    let options = Options {
        input_size: Some((320, 192)),
        preprocess: Some(Preset::Inception.preprocess()),
        ..Options::default()
    };
    let explained = explained(&model, &options);
    assert_eq!((explained.report.layer.height, explained.report.layer.width), (6, 10));
    let found = Runner::of(&explained.model).run(&[
        (names::FRAMES, Data::U8(vec![1, 192, 320, 3], frames(1, 192, 320, 1))),
        (names::CLASSES, classes([1, 1], &[-1])),
    ]);
    assert_eq!(found[names::MAPS].dims(), [1, 1, 6, 10]);
}

/// What `inspect` lists can be explained, nearest first, and the default is among it.
#[test]
fn what_inspect_lists_can_be_explained() {
    for name in [
        MOBILENET,
        SQUEEZENET,
        "light/light_inception_v1.onnx",
        "light/light_shufflenet.onnx",
        "mobilenet_v1_0.5_160_quant.onnx",
    ] {
        let Some(model) = model(name) else { return };
        let inspection = inspect(&model, &Options::default()).unwrap();
        assert!(inspection.layers.len() > 20, "{name}");
        assert!(inspection.layers.iter().any(|layer| Some(&layer.name) == inspection.default.as_ref()), "{name}");
        let step = inspection.layers.len() / 6 + 1;
        for layer in inspection.layers.iter().step_by(step) {
            let options = Options { layer: Some(layer.name.clone()), ..Options::default() };
            let explained = explained(&model, &options);
            Runner::of(&explained.model);
        }
    }
}

/// A node's name means its output.
#[test]
fn a_layer_may_be_named_by_its_node() {
    let Some(model) = model("light/light_vgg19.onnx") else {
        return;
    };
    let by_node = explained(&model, &Options { layer: Some("n33".into()), ..Options::default() });
    assert_eq!(by_node.report.layer.name, "r33");
}

/// In a quantised model the name of a float layer means what the rest of the model sees of it.
#[test]
fn a_quantised_layer_is_explained_dequantised() {
    let Some(model) = model("mobilenet_v2_1.0_224_int8_qdq_perchannel.onnx") else {
        return;
    };
    let explained = explained(&model, &Options { layer: Some("clip_96".into()), ..Options::default() });
    assert_eq!(explained.report.layer.name, "clip_96_DequantizeLinear_Output");
    assert!(explained.report.assumptions.iter().any(|note| note.contains("dequantised")));
}

// ---- small models made here ----------------------------------------------------------------------

/// A picture `[N,3,8,8]` through a 3×3 convolution to `[N,4,6,6]`.
fn features(graph: &mut Graph) -> ValueId {
    let x = input(graph, "image", &[1, 3, 8, 8]);
    let weight = Random(3).vec(108);
    let weight = floats(graph, &[4, 3, 3, 3], &weight);
    let y = node(graph, "Conv", &[x, weight], Attributes::new());
    graph.rename(y, "conv");
    let y = node(graph, "Relu", &[y], Attributes::new());
    graph.rename(y, "features");
    y
}

/// `[N,C]` scores of `[N,4,h,w]` features.
fn head(graph: &mut Graph, features: ValueId, classes: usize) -> ValueId {
    let y = node(graph, "GlobalAveragePool", &[features], Attributes::new());
    let y = node(graph, "Flatten", &[y], Attributes::new());
    let weight = Random(5).vec(4 * classes);
    let weight = floats(graph, &[classes, 4], &weight);
    let y = node(graph, "Gemm", &[y, weight], Attributes::new().with_int("transB", 1));
    graph.rename(y, "scores");
    y
}

fn finish(mut graph: Graph, outputs: &[ValueId]) -> onnx::Model {
    graph.set_outputs(outputs);
    graph.to_model()
}

/// Runs a small model on a picture and answers its outputs.
fn answer(
    model: &onnx::Model,
    options: &Options,
    asked: &[i64],
) -> (gradcast::explain::Report, std::collections::HashMap<String, Data>) {
    let explained = explained(model, &Options { classes: asked.len(), ..options.clone() });
    let picture = Data::F32(vec![1, 3, 8, 8], pattern(1, 8, 8, 1));
    let found =
        Runner::of(&explained.model).run(&[("image", picture), (names::CLASSES, classes([1, asked.len()], asked))]);
    (explained.report, found)
}

#[test]
fn a_single_sigmoid_is_a_classifier() {
    let mut g = graph(13);
    let y = features(&mut g);
    let y = head(&mut g, y, 1);
    let y = node(&mut g, "Sigmoid", &[y], Attributes::new());
    let (report, found) = answer(&finish(g, &[y]), &Options::default(), &[-1]);
    assert_eq!((report.score.ending, report.score.classes), (Ending::Sigmoid, 1));
    assert_eq!(found[names::EXPLAINED].i64(), [0]);
    let (score, probability) = (found[names::SCORES].f32()[0], found[names::PROBABILITIES].f32()[0]);
    assert!((probability - 1.0 / (1.0 + (-score).exp())).abs() < 1e-5);
    assert_eq!(found[names::MAPS].dims(), [1, 1, 6, 6]);
}

/// Of several outputs the classifier's is taken, and said.
#[test]
fn of_several_outputs_the_classifiers_is_taken() {
    let mut g = graph(13);
    let y = features(&mut g);
    let scores = head(&mut g, y, 5);
    let softmax = node(&mut g, "Softmax", &[scores], Attributes::new());
    g.rename(softmax, "probabilities");
    let explained = explained(&finish(g, &[y, softmax]), &Options::default());
    assert_eq!(explained.report.score.output, "probabilities");
    assert_eq!(explained.report.score.value, "scores");
    assert!(
        explained.report.assumptions.iter().any(|note| note.contains("of 2 outputs")),
        "{:?}",
        explained.report.assumptions
    );
}

#[test]
fn a_log_softmax_and_a_reshaped_softmax_are_seen_through() {
    let build = |ending: &str| {
        let mut g = graph(13);
        let y = features(&mut g);
        let y = head(&mut g, y, 5);
        let shape = ints(&mut g, &[1, 5, 1, 1]);
        let y = node(&mut g, "Reshape", &[y, shape], Attributes::new());
        let y = node(&mut g, "Identity", &[y], Attributes::new());
        let y = node(&mut g, ending, &[y], Attributes::new().with_int("axis", 1));
        let shape = ints(&mut g, &[1, 5]);
        let y = node(&mut g, "Reshape", &[y, shape], Attributes::new());
        finish(g, &[y])
    };
    let (plain, a) = answer(&build("Softmax"), &Options::default(), &[2]);
    let (log, b) = answer(&build("LogSoftmax"), &Options::default(), &[2]);
    assert_eq!((plain.score.ending, log.score.ending), (Ending::Softmax, Ending::LogSoftmax));
    assert!(plain.sparse_seed && log.sparse_seed);
    assert_eq!(a[names::MAPS], b[names::MAPS]);
    assert!(relative_max(&a[names::PROBABILITIES].f32(), &b[names::PROBABILITIES].f32()) < 1e-5);
}

/// Channels last inside the model: the map is the same as channels first.
#[test]
fn a_layer_with_channels_last_gives_the_same_map() {
    let build = |last: bool| {
        let mut g = graph(13);
        let y = features(&mut g);
        let scores = if last {
            let y = node(&mut g, "Transpose", &[y], Attributes::new().with_ints("perm", &[0, 2, 3, 1]));
            let two = floats(&mut g, &[], &[2.0]);
            let y = node(&mut g, "Mul", &[y, two], Attributes::new());
            g.rename(y, "last");
            let y =
                node(&mut g, "ReduceMean", &[y], Attributes::new().with_ints("axes", &[1, 2]).with_int("keepdims", 0));
            let weight = Random(5).vec(20);
            let weight = floats(&mut g, &[5, 4], &weight);
            node(&mut g, "Gemm", &[y, weight], Attributes::new().with_int("transB", 1))
        } else {
            let two = floats(&mut g, &[], &[2.0]);
            let y = node(&mut g, "Mul", &[y, two], Attributes::new());
            head(&mut g, y, 5)
        };
        finish(g, &[scores])
    };
    let (first, a) = answer(&build(false), &Options::default(), &[3, -1]);
    let (last, b) = answer(&build(true), &Options::default(), &[3, -1]);
    assert_eq!(last.layer.name, "last");
    assert_eq!((first.layer.channels, last.layer.channels), (4, 4));
    assert!(relative_max(&b[names::MAPS].f32(), &a[names::MAPS].f32()) < 1e-5);
}

/// An operator without a rule: which, where, and the nearest layer that works.
#[test]
fn an_operator_without_a_rule_names_the_nearest_layer_that_works() {
    let mut g = graph(13);
    let y = features(&mut g);
    let wave = g.add_node("Sin", &[Some(y)], 1, Attributes::new())[0];
    g.rename(wave, "wave");
    let scores = head(&mut g, wave, 5);
    let model = finish(g, &[scores]);
    // The default layer is behind the obstacle, and works.
    assert_eq!(explained(&model, &Options::default()).report.layer.name, "wave");
    let error = explain(&model, &Options { layer: Some("features".into()), ..Options::default() }).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("operator Sin") && text.contains("`features`") && text.contains("no gradient rule"),
        "{text}"
    );
    assert!(error.hint().contains("--layer wave"), "{}", error.hint());
    let inspection = inspect(&model, &Options::default()).unwrap();
    let names: Vec<&str> = inspection.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["wave"]);
}

#[test]
fn a_layer_that_does_not_fit_is_refused() {
    let mut g = graph(13);
    let y = features(&mut g);
    let scores = head(&mut g, y, 5);
    let model = finish(g, &[scores]);
    let ask = |layer: &str| explain(&model, &Options { layer: Some(layer.into()), ..Options::default() }).unwrap_err();
    let unknown = ask("conv17");
    assert!(
        unknown.to_string().contains("`conv17`") && unknown.hint().contains("--layer features"),
        "{unknown} {}",
        unknown.hint()
    );
    let flat = ask("scores");
    assert!(flat.to_string().contains("no height and width"), "{flat}");
}

/// A detector's boxes are no class score.
#[test]
fn boxes_are_refused() {
    let mut g = graph(13);
    let y = features(&mut g);
    let shape = ints(&mut g, &[1, 36, 4]);
    let boxes = node(&mut g, "Reshape", &[y, shape], Attributes::new());
    g.rename(boxes, "boxes");
    let error = explain(&finish(g, &[boxes]), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("`boxes` has the shape [1, 36, 4]"), "{error}");
    assert!(error.hint().contains("detectors"), "{}", error.hint());
}

/// Attention between the last picture-like features and the score: not explained by guesswork.
#[test]
fn a_transformer_is_refused_in_words() {
    let mut g = graph(13);
    let y = features(&mut g);
    let shape = ints(&mut g, &[1, 4, 36]);
    let tokens = node(&mut g, "Reshape", &[y, shape], Attributes::new());
    let tokens = node(&mut g, "Transpose", &[tokens], Attributes::new().with_ints("perm", &[0, 2, 1]));
    let keys = node(&mut g, "Transpose", &[tokens], Attributes::new().with_ints("perm", &[0, 2, 1]));
    let attention = node(&mut g, "MatMul", &[tokens, keys], Attributes::new());
    g.rename(attention, "attention");
    let attention = node(&mut g, "Softmax", &[attention], Attributes::new());
    let tokens = node(&mut g, "MatMul", &[attention, tokens], Attributes::new());
    let y = node(&mut g, "ReduceMean", &[tokens], Attributes::new().with_ints("axes", &[1]).with_int("keepdims", 0));
    let weight = Random(5).vec(20);
    let weight = floats(&mut g, &[4, 5], &weight);
    let scores = node(&mut g, "MatMul", &[y, weight], Attributes::new());
    let model = finish(g, &[scores]);
    let error = explain(&model, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("transformer") && error.to_string().contains("tokens"), "{error}");
    // Named, the layer before the tokens can be explained.
    let named = explained(&model, &Options { layer: Some("features".into()), ..Options::default() });
    assert!(named.report.rules.iter().any(|rule| rule == "Softmax"));
    assert!(inspect(&model, &Options::default()).unwrap().default.is_none());
}

/// An input of open size needs a size.
#[test]
fn an_open_size_must_be_given() {
    let mut g = graph(13);
    let y = features(&mut g);
    let scores = head(&mut g, y, 5);
    let mut model = finish(g, &[scores]);
    let graph = model.proto.graph.as_mut().unwrap();
    let tensor = graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
    for dim in &mut tensor.shape.as_mut().unwrap().dim[2..] {
        dim.dim_value = None;
    }
    let error = explain(&model, &Options::default()).unwrap_err();
    assert!(error.to_string().contains("`image` open (1×3×?×?)"), "{error}");
    assert!(error.hint().contains("--input-size"), "{}", error.hint());
    let sized = explained(&model, &Options { input_size: Some((20, 12)), ..Options::default() });
    assert_eq!((sized.report.layer.height, sized.report.layer.width), (10, 18));
}

#[test]
fn two_inputs_are_refused() {
    let mut g = graph(13);
    let y = features(&mut g);
    let other = input(&mut g, "other", &[1, 4, 6, 6]);
    let y = node(&mut g, "Add", &[y, other], Attributes::new());
    let scores = head(&mut g, y, 5);
    let error = explain(&finish(g, &[scores]), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("2 inputs (`image`, `other`)"), "{error}");
}

/// What a body of `If` reads from outside would be missed by the sweep: refused, not ignored.
#[test]
fn a_captured_value_is_refused() {
    use gradcast::onnx::schema::{
        AttributeProto, Dimension, GraphProto, NodeProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
    };
    let mut g = graph(13);
    let y = features(&mut g);
    let dim = [1, 4, 6, 6].map(|n| Dimension { dim_value: Some(n), ..Default::default() }).to_vec();
    let tensor = TensorTypeProto { elem_type: Some(DataType::Float as i32), shape: Some(TensorShapeProto { dim }) };
    let form = TypeProto { tensor_type: Some(tensor), ..Default::default() };
    let body = |name: &str, op: &str| {
        let graph = GraphProto {
            name: Some(name.into()),
            node: vec![NodeProto {
                op_type: Some(op.into()),
                input: vec!["features".into()],
                output: vec![format!("{name}_y")],
                ..Default::default()
            }],
            output: vec![ValueInfoProto {
                name: Some(format!("{name}_y")),
                r#type: Some(form.clone()),
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut attribute =
            AttributeProto { name: Some(format!("{name}_branch")), g: Some(Box::new(graph)), ..Default::default() };
        attribute.set_type(gradcast::onnx::schema::AttributeType::Graph);
        attribute
    };
    let mean = node(&mut g, "ReduceMean", &[y], Attributes::new().with_int("keepdims", 0));
    let zero = floats(&mut g, &[], &[0.0]);
    let condition = node(&mut g, "Greater", &[mean, zero], Attributes::new());
    let chosen = node(&mut g, "If", &[condition], Attributes(vec![body("then", "Relu"), body("else", "Sigmoid")]));
    let pooled = node(&mut g, "GlobalAveragePool", &[y], Attributes::new());
    let shape = ints(&mut g, &[1, 4, 6, 6]);
    let chosen = node(&mut g, "Cast", &[chosen], Attributes::new().with_int("to", 1));
    let chosen = node(&mut g, "Reshape", &[chosen, shape], Attributes::new());
    let y = node(&mut g, "Mul", &[chosen, pooled], Attributes::new());
    let scores = head(&mut g, y, 5);
    let error =
        explain(&finish(g, &[scores]), &Options { layer: Some("features".into()), ..Options::default() }).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("operator If"), "{text}");
}

/// Weights that are quantised per class, transposed or in half precision: one row is enough.
#[test]
fn the_row_of_an_unusual_weight_is_the_dense_gradient() {
    let bytes = |dims: &[usize], dtype: DataType, seed: u64| {
        let data: Vec<u8> = Random(seed).vec(dims.iter().product()).iter().map(|v| (v * 100.0) as i8 as u8).collect();
        Tensor { dtype, dims: dims.to_vec(), data: data.into() }
    };
    type Weight = Box<dyn Fn(&mut Graph) -> ValueId>;
    let weights: Vec<(&str, Weight)> = vec![
        (
            "int8, a scale per class",
            Box::new(move |g| {
                let q = g.add_constant(bytes(&[5, 4], DataType::Int8, 5));
                let scale = floats(g, &[5], &[0.01, 0.02, 0.005, 0.03, 0.01]);
                let zero =
                    g.add_constant(Tensor { dtype: DataType::Int8, dims: vec![5], data: vec![0, 3, 250, 7, 1].into() });
                node(g, "DequantizeLinear", &[q, scale, zero], Attributes::new().with_int("axis", 0))
            }),
        ),
        (
            "int8, a scale per feature",
            Box::new(move |g| {
                let q = g.add_constant(bytes(&[5, 4], DataType::Int8, 5));
                let scale = floats(g, &[4], &[0.01, 0.02, 0.005, 0.03]);
                node(g, "DequantizeLinear", &[q, scale], Attributes::new().with_int("axis", 1))
            }),
        ),
        (
            "uint8, transposed",
            Box::new(move |g| {
                let q = g.add_constant(bytes(&[4, 5], DataType::Uint8, 5));
                let (scale, zero) = (
                    floats(g, &[], &[0.01]),
                    g.add_constant(Tensor { dtype: DataType::Uint8, dims: vec![], data: vec![128].into() }),
                );
                let w = node(g, "DequantizeLinear", &[q, scale, zero], Attributes::new());
                node(g, "Transpose", &[w], Attributes::new().with_ints("perm", &[1, 0]))
            }),
        ),
        (
            "float16",
            Box::new(|g| {
                let data: Vec<u8> =
                    Random(5).vec(20).into_iter().flat_map(|v| half::f16::from_f32(v).to_le_bytes()).collect();
                let w = g.add_constant(Tensor { dtype: DataType::Float16, dims: vec![5, 4], data: data.into() });
                node(g, "Cast", &[w], Attributes::new().with_int("to", 1))
            }),
        ),
    ];
    for (what, weight) in weights {
        let build = |dense: bool| {
            let mut g = graph(13);
            let y = features(&mut g);
            let y = node(&mut g, "GlobalAveragePool", &[y], Attributes::new());
            let y = node(&mut g, "Flatten", &[y], Attributes::new());
            let w = weight(&mut g);
            let y = node(&mut g, "Gemm", &[y, w], Attributes::new().with_int("transB", 1).with_float("alpha", 1.5));
            // Something the walk through the head does not know makes the sweep start at the score.
            let y = if dense { node(&mut g, "Mean", &[y], Attributes::new()) } else { y };
            finish(g, &[y])
        };
        let (sparse, a) = answer(&build(false), &Options::default(), &[0, 1, 2, 3, 4]);
        let (dense, b) = answer(&build(true), &Options::default(), &[0, 1, 2, 3, 4]);
        assert!(sparse.sparse_seed && !dense.sparse_seed, "{what}");
        let error = relative(&a[names::MAPS].f32(), &b[names::MAPS].f32());
        assert!(error < 1e-5, "{what}: off by {error:.1e}");
    }
}
