//! Promise: whatever bytes are given as a model, the answer is a model or one clear sentence with
//! its cure; never a panic, never a file from outside the model's folder, never more memory than
//! the limits allow.

mod common;

use std::fs;
use std::path::Path;

use common::onnx::{model, node, none};
use gradcast::onnx::schema::{
    AttributeProto, AttributeType, DataLocation, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
};
use gradcast::onnx::{DataType, Graph, Limits, LoadError, Model, Tensor, load};
use prost::Message;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// The sentence and the cure of what must fail.
fn refused(bytes: impl Into<bytes::Bytes>) -> (String, String) {
    let error = Model::from_bytes(bytes, &Limits::default()).expect_err("this is no good model");
    said(&error)
}

fn said(error: &LoadError) -> (String, String) {
    let (sentence, cure) = (error.to_string(), error.hint());
    assert!(!sentence.contains('\n') && !cure.contains('\n') && !cure.is_empty());
    (sentence, cure)
}

fn tensor(name: &str, dims: &[i64], raw: &[u8]) -> TensorProto {
    TensorProto {
        name: Some(name.into()),
        dims: dims.to_vec(),
        data_type: Some(DataType::Float.into()),
        raw_data: Some(raw.to_vec().into()),
        ..TensorProto::default()
    }
}

fn external(location: &str, offset: Option<&str>, length: Option<&str>) -> ModelProto {
    let entry = |key: &str, value: &str| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
    let mut entries = vec![entry("location", location)];
    entries.extend(offset.map(|v| entry("offset", v)));
    entries.extend(length.map(|v| entry("length", v)));
    let weight = TensorProto {
        name: Some("w".into()),
        dims: vec![2],
        data_type: Some(DataType::Float.into()),
        data_location: Some(DataLocation::External.into()),
        external_data: entries,
        ..TensorProto::default()
    };
    model(13, &[2], vec![node("Add", &["x", "w"], &["y"], none())], vec![weight])
}

/// Writes a model into a folder and loads it from there.
fn loaded(folder: &Path, proto: &ModelProto) -> Result<Model, LoadError> {
    let path = folder.join("model.onnx");
    fs::write(&path, proto.encode_to_vec()).unwrap();
    load(&path, &Limits::default())
}

#[test]
fn the_broken_files_of_the_material_are_told_apart() {
    let Some(material) = common::material() else {
        return;
    };
    let folder = material.join("models/robustness");
    let load = |name: &str| said(&load(&folder.join(name), &Limits::default()).unwrap_err());

    let (sentence, cure) = load("mobilenetv2-12.onnx.lfs-pointer.onnx");
    assert!(sentence.contains("Git LFS pointer") && sentence.contains("lfs-pointer.onnx"));
    assert!(cure.contains("git lfs pull"), "{cure}");

    let (sentence, cure) = load("squeezenet_fp16_truncated.onnx");
    assert!(sentence.contains("truncated") && sentence.contains("bytes are missing"), "{sentence}");
    assert!(cure.contains("download"), "{cure}");

    let (sentence, cure) = load("mobilenet_v2_fp32_missing_external_data.onnx");
    assert!(sentence.contains("mobilenet_v2_fp32.onnx.data") && sentence.contains("missing"));
    assert!(cure.contains("put mobilenet_v2_fp32.onnx.data beside the model"), "{cure}");
}

#[test]
fn what_is_no_model_is_named() {
    assert!(refused(Vec::new()).0.contains("is empty"));
    assert!(refused(&b"PK\x03\x04rest"[..]).0.contains("ZIP archive"));
    assert!(refused(&b"\x1c\0\0\0TFL3"[..]).0.contains("TensorFlow Lite"));
    assert!(refused(&b"<!DOCTYPE html><title>404"[..]).0.contains("web page"));
    assert!(refused(&b"just some words\n"[..]).0.contains("is not an ONNX model"));
    assert!(refused(vec![0u8; 1000]).0.contains("is not an ONNX model"));
    assert!(refused(vec![0xffu8; 1000]).0.contains("is not an ONNX model"));
    // A protobuf message, but no graph in it.
    assert!(refused(&[0x08, 0x08][..]).0.contains("no graph"));

    let folder = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let (sentence, cure) = said(&load(&folder.path().join("none.onnx"), &limits).unwrap_err());
    assert!(sentence.contains("none.onnx") && cure.contains("path"));
    assert!(said(&load(folder.path(), &limits).unwrap_err()).0.contains("is not a file"));
}

#[test]
fn what_is_too_old_is_named() {
    let mut old = model(13, &[2], vec![node("Neg", &["x"], &["y"], none())], Vec::new());
    old.ir_version = Some(2);
    assert!(refused(old.encode_to_vec()).0.contains("IR version 2"));
    old.ir_version = Some(3);
    old.opset_import[0].version = Some(6);
    let (sentence, cure) = refused(old.encode_to_vec());
    assert!(sentence.contains("operator set 6") && cure.contains("13 or later"));
    old.opset_import[0].version = Some(7);
    Model::from_bytes(old.encode_to_vec(), &Limits::default()).unwrap();
}

/// A newer operator set than is known is read, and other domains do no harm.
#[test]
fn what_is_new_is_read() {
    let mut new = model(99, &[2], vec![node("Neg", &["x"], &["y"], none())], Vec::new());
    new.opset_import
        .push(gradcast::onnx::schema::OperatorSetIdProto { domain: Some("ai.onnx.ml".into()), version: Some(3) });
    let read = Model::from_bytes(new.encode_to_vec(), &Limits::default()).unwrap();
    let graph = Graph::from_model(&read).unwrap();
    assert_eq!(graph.opset(), 99);
    assert_eq!(graph.to_model().proto.opset_import.len(), 2);
}

#[test]
fn external_data_is_read_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("weights")).unwrap();
    let bytes: Vec<u8> = [9f32, 1.0, 2.0, 9.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    fs::write(folder.path().join("weights/w.bin"), bytes).unwrap();
    for location in ["weights/w.bin", "./weights/w.bin"] {
        let read = loaded(folder.path(), &external(location, Some("4"), Some("8"))).unwrap();
        let graph = Graph::from_model(&read).unwrap();
        let weight = graph.constant(graph.find("w").unwrap()).unwrap();
        assert_eq!(weight.to_f32(), Some(vec![1.0, 2.0]));
        assert!(matches!(&read.data[..], [file] if file.ends_with("weights/w.bin")), "{:?}", read.data);
    }
    // A link to a file in the same folder is fine.
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("weights/w.bin", folder.path().join("link.bin")).unwrap();
        loaded(folder.path(), &external("link.bin", None, Some("8"))).unwrap();
    }
}

#[test]
fn external_data_stays_in_the_folder_of_the_model() {
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret.bin");
    fs::write(&secret, [0u8; 8]).unwrap();
    let folder = outside.path().join("model");
    fs::create_dir(&folder).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();

    let refused = |location: &str| said(&loaded(&folder, &external(location, None, None)).unwrap_err());
    for location in ["../secret.bin", "sub/../../secret.bin", "sub/.."] {
        assert!(refused(location).0.contains("leaves the folder"), "{location}");
    }
    assert!(refused(secret.to_str().unwrap()).0.contains("absolute path"));
    assert!(refused("a\0b").0.contains("no file name"));
    assert!(refused("").0.contains("no file is named"));
    assert!(refused("sub").0.contains("is not a file"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(&secret, folder.join("link.bin")).unwrap();
        symlink(outside.path(), folder.join("up")).unwrap();
        assert!(refused("link.bin").0.contains("leads out of the folder"));
        assert!(refused("up/secret.bin").0.contains("leads out of the folder"));
    }
    let in_memory = external("w.bin", None, None).encode_to_vec();
    assert!(self::refused(in_memory).0.contains("model in memory"));
}

#[test]
fn external_data_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("w.bin"), [0u8; 8]).unwrap();
    let refused = |offset: Option<&str>, length: Option<&str>| {
        said(&loaded(folder.path(), &external("w.bin", offset, length)).unwrap_err()).0
    };
    assert!(refused(Some("4"), None).contains("too short"));
    assert!(refused(None, Some("4")).contains("4 bytes are kept of 8"));
    assert!(refused(Some("-1"), None).contains("its offset is \"-1\""));
    assert!(refused(Some("18446744073709551615"), None).contains("unclear"));
    assert!(refused(None, Some("x")).contains("its length is \"x\""));

    fs::write(folder.path().join("w.bin"), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    let (sentence, cure) = said(&loaded(folder.path(), &external("w.bin", None, None)).unwrap_err());
    assert!(sentence.contains("w.bin") && cure.contains("git lfs pull"));

    let small = Limits { external_bytes: 4, ..Limits::default() };
    let error = load(&folder.path().join("model.onnx"), &small).unwrap_err();
    assert!(error.to_string().contains("4 bytes that are allowed"), "{error}");
}

#[test]
fn tensors_have_the_size_they_claim() {
    let with = |t: TensorProto| {
        let nodes = vec![node("Add", &["x", "w"], &["y"], none())];
        refused(model(13, &[2], nodes, vec![t]).encode_to_vec()).0
    };
    assert!(with(tensor("w", &[2], &[0; 4])).contains("need 8 bytes and it has 4"));
    assert!(with(tensor("w", &[2], &[0; 12])).contains("need 8 bytes and it has 12"));
    assert!(with(tensor("w", &[-2], &[0; 8])).contains("impossible"));
    assert!(with(tensor("w", &[1 << 32, 1 << 32], &[0; 8])).contains("impossible"));
    assert!(with(tensor("w", &[i64::MAX], &[0; 8])).contains("impossible"));
    // Also where they are hidden: in attributes, and in the bodies inside them.
    let hidden = AttributeProto {
        name: Some("value".into()),
        r#type: Some(AttributeType::Tensor.into()),
        t: Some(Box::new(tensor("", &[3], &[0; 4]))),
        ..AttributeProto::default()
    };
    let mut constant = node("Constant", &[], &["w"], none());
    constant.attribute = vec![hidden];
    let nodes = vec![constant, node("Add", &["x", "w"], &["y"], none())];
    assert!(refused(model(13, &[2], nodes, Vec::new()).encode_to_vec()).0.contains("need 12 bytes"));
    // A tensor with a dimension of 0 has no bytes, whatever its other dimensions are.
    let empty = tensor("w", &[0, 1 << 40, 1 << 40], &[]);
    let nodes = vec![node("Add", &["x", "w"], &["y"], none())];
    let read = Model::new(model(13, &[2], nodes, vec![empty]));
    assert!(Graph::from_model(&read).unwrap().infer().is_err());
}

#[test]
fn limits_hold() {
    let nodes: Vec<NodeProto> = (0..10).map(|_| node("Neg", &["x"], &["y"], none())).collect();
    let proto = model(13, &[2], nodes, vec![Tensor::f32(&[64], &[0.0; 64]).to_proto("w")]);
    let bytes = proto.encode_to_vec();
    let refused = |limits: Limits| said(&Model::from_bytes(bytes.clone(), &limits).unwrap_err()).0;
    assert!(refused(Limits { nodes: 9, ..Limits::default() }).contains("more than 9 nodes"));
    assert!(refused(Limits { messages: 20, ..Limits::default() }).contains("more than 20 parts"));
    assert!(refused(Limits { tensor_bytes: 255, ..Limits::default() }).contains("256 bytes"));
    assert!(refused(Limits { file_bytes: 10, ..Limits::default() }).contains("10 that are allowed"));
}

#[test]
fn deep_nesting_is_refused() {
    let mut graph = GraphProto::default();
    for depth in 0..200 {
        let attribute = AttributeProto {
            name: Some("body".into()),
            r#type: Some(AttributeType::Graph.into()),
            g: Some(Box::new(graph)),
            ..AttributeProto::default()
        };
        let node = NodeProto { attribute: vec![attribute], ..node("Loop", &[], &["y"], none()) };
        graph = GraphProto { node: vec![node], ..GraphProto::default() };
        let mut proto = model(13, &[2], Vec::new(), Vec::new());
        proto.graph = Some(graph.clone());
        let result = Model::from_bytes(proto.encode_to_vec(), &Limits::default());
        assert_eq!(result.is_ok(), depth + 2 <= Limits::default().nesting, "{depth}");
        if let Err(error) = result {
            assert!(said(&error).0.contains("more than 16 deep"));
        }
    }
}

/// Functions that double at each call would unfold into 2^30 nodes.
#[test]
fn unfolding_functions_has_an_end() {
    use gradcast::onnx::schema::FunctionProto;
    let own = |mut n: NodeProto| {
        n.domain = Some("own".into());
        n
    };
    let function = |i: usize| FunctionProto {
        name: Some(format!("f{i}")),
        domain: Some("own".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: vec![
            own(node(&format!("f{}", i + 1), &["a"], &["t"], none())),
            own(node(&format!("f{}", i + 1), &["t"], &["b"], none())),
        ],
        ..FunctionProto::default()
    };
    let mut proto = model(13, &[2], vec![own(node("f0", &["x"], &["y"], none()))], Vec::new());
    proto.ir_version = Some(8);
    proto.functions = (0..30).map(function).collect();
    let read = Model::from_bytes(proto.encode_to_vec(), &Limits { nodes: 5000, ..Limits::default() });
    let error = Graph::from_model(&read.unwrap()).unwrap_err();
    assert!(error.to_string().contains("5000 nodes"), "{error}");
}

/// Everything that is done with a model that could be read; nothing of it may panic.
fn exercise(bytes: Vec<u8>) -> bool {
    let Ok(model) = Model::from_bytes(bytes, &Limits::default()) else {
        return false;
    };
    let Ok(mut graph) = Graph::from_model(&model) else {
        return false;
    };
    for input in graph.inputs.clone() {
        if graph.shape(input).is_none() {
            graph.set_input_shape(input, &[1, 3, 224, 224]);
        }
    }
    let fine = graph.infer().is_ok();
    let _ = graph.to_model().to_bytes();
    fine
}

#[test]
fn truncated_and_damaged_models_never_panic() {
    let mut random = StdRng::seed_from_u64(7);
    for path in common::models() {
        let bytes = fs::read(&path).unwrap();
        let light = bytes.len() < 50_000;
        let (mut cut_ok, mut flip_ok) = (0, 0);
        for _ in 0..if light { 300 } else { 4 } {
            let cut = random.random_range(0..bytes.len());
            cut_ok += usize::from(exercise(bytes[..cut].to_vec()));
        }
        for round in 0..if light { 600 } else { 6 } {
            let mut damaged = bytes.clone();
            for _ in 0..=round % 4 {
                let at = random.random_range(0..damaged.len());
                damaged[at] ^= 1 << random.random_range(0..8);
            }
            flip_ok += usize::from(exercise(damaged));
        }
        println!("{}: {cut_ok} cut and {flip_ok} flipped read", path.display());
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = StdRng::seed_from_u64(8);
    for _ in 0..20_000 {
        let len = random.random_range(1..64);
        let mut bytes: Vec<u8> = (0..len).map(|_| random.random()).collect();
        // Half of them begin as a model does.
        if random.random() {
            bytes.splice(0..0, [0x08, 0x07, 0x3a]);
        }
        exercise(bytes);
    }
}

/// Every operator there is a rule for, with inputs and attributes that make no sense.
#[test]
fn senseless_nodes_never_panic() {
    const OPERATORS: &str = "Add And ArgMax AveragePool BatchNormalization Cast Clip Concat Constant \
        ConstantOfShape Conv ConvInteger ConvTranspose DepthToSpace DequantizeLinear Div Dropout \
        DynamicQuantizeLinear Equal Expand Flatten Floor Gather GatherElements GatherND Gemm \
        GlobalAveragePool Identity If LRN LayerNormalization Less LogSoftmax Loop MatMul Max MaxPool \
        Mod Mul Neg NonZero Not OneHot PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear Range \
        ReduceMax ReduceProd ReduceSum Reshape Resize Scan Scatter ScatterND Shape Size Slice Softmax \
        SpaceToDepth Split Sqrt Squeeze Sub Tile TopK Transpose Unsqueeze Upsample Where Xor";
    const ATTRIBUTES: &str = "allowzero axes axis batch_dims blocksize ceil_mode dilations end \
        group k keepdims kernel_shape max min noop_with_empty_axes output_padding output_shape pads \
        perm scales spatial split start starts ends strides to transA transB value value_ints";
    const NUMBERS: [i64; 12] = [0, 1, -1, 2, 3, -2, 4, 7, 1 << 20, 1 << 40, i64::MAX, i64::MIN];
    let operators: Vec<&str> = OPERATORS.split_whitespace().collect();
    let names: Vec<&str> = ATTRIBUTES.split_whitespace().collect();
    let mut random = StdRng::seed_from_u64(9);
    let mut fine = 0;
    for _ in 0..40_000 {
        let mut some = |most: usize| -> Vec<i64> {
            let len = random.random_range(0..=most);
            // Mostly small numbers, so that some nodes make sense.
            let most = if random.random_range(0..4) == 0 { NUMBERS.len() } else { 6 };
            (0..len).map(|_| NUMBERS[random.random_range(0..most)]).collect()
        };
        let dims: Vec<i64> = some(5).into_iter().map(|d| d.max(0)).collect();
        let (a, b) = (some(4), some(4));
        let lists = [Tensor::vec_i64(&a).to_proto("a"), Tensor::vec_i64(&b).to_proto("b")];
        let floats: Vec<f32> = some(4).into_iter().map(|v| v as f32).collect();
        let extra = Tensor::f32(&[floats.len()], &floats).to_proto("f");
        let weight = Tensor::f32(&[2, 1, 3, 3], &[0.0; 18]).to_proto("w");
        let scalar = Tensor::i64(&[], &[some(1).first().copied().unwrap_or(2)]).to_proto("s");
        let values: Vec<Vec<i64>> = (0..4).map(|_| some(4)).collect();
        let mut nodes = Vec::new();
        for output in ["h", "y"] {
            let inputs = ["x", "a", "b", "f", "w", "s", "", if output == "y" { "h" } else { "x" }];
            let given: Vec<&str> =
                (0..random.random_range(0..6)).map(|_| inputs[random.random_range(0..inputs.len())]).collect();
            let mut attributes = none();
            for list in &values {
                let name = names[random.random_range(0..names.len())];
                attributes = match random.random_range(0..4) {
                    0 => attributes.with_int(name, list.first().copied().unwrap_or(0)),
                    1 => attributes.with_floats(name, &floats),
                    2 => attributes.with_tensor(name, &Tensor::vec_i64(list)),
                    _ => attributes.with_ints(name, list),
                };
            }
            let operator = operators[random.random_range(0..operators.len())];
            let outputs = [output, &format!("{output}2"), &format!("{output}3")];
            nodes.push(node(operator, &given, &outputs[..random.random_range(1..=3)], attributes));
        }
        let opset = random.random_range(7..22);
        let mut constants = lists.to_vec();
        constants.extend([extra, weight, scalar]);
        fine += usize::from(exercise(model(opset, &dims, nodes, constants).encode_to_vec()));
    }
    assert!(fine > 1000, "{fine}");
}

/// The extremes of an axis, found by more rounds of the above.
#[test]
fn an_impossible_axis_is_no_overflow() {
    for axis in [i64::MAX, i64::MIN, -1, 0] {
        for opset in [7, 12, 13] {
            let softmax = node("Softmax", &["x"], &["y"], none().with_int("axis", axis));
            exercise(model(opset, &[2, 3, 4], vec![softmax], Vec::new()).encode_to_vec());
        }
    }
}

/// An `If` that lacks the branch it would take is an error, and the graph stays whole.
#[test]
fn a_missing_branch_leaves_the_graph_whole() {
    let truth = Tensor::from_i64(DataType::Bool, &[], &[1]).unwrap();
    let nodes = vec![
        node("Shape", &["x"], &["s"], none()),
        node("Cast", &["s"], &["c"], none().with_int("to", i64::from(i32::from(truth.dtype)))),
        node("If", &["c"], &["z"], none()),
        node("Add", &["x", "z"], &["y"], none()),
    ];
    let read = Model::new(model(13, &[3], nodes, Vec::new()));
    let mut graph = Graph::from_model(&read).unwrap();
    let error = graph.infer().unwrap_err();
    assert!(error.to_string().contains("then_branch"), "{error}");
    let z = graph.find("z").unwrap();
    assert_eq!(graph.node(graph.producer(z).unwrap()).op_type, "If");
    assert_eq!(graph.to_model().proto.graph.unwrap().node.len(), 2);
}
