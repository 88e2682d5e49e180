//! Promise: the shape rule of every operator answers what the runtime computes. One small graph
//! per operator and option, run and compared.

mod common;

use common::onnx::{info, model, node, none};
use gradcast::onnx::schema::{DataType as Type, ModelProto, NodeProto, TensorProto};
use gradcast::onnx::{Attributes, Graph, Model, Tensor};
use ort::session::{Session, SessionInputValue};

/// The shapes the runtime gives the named values of a model for `x` of shape `dims`.
fn shapes_of(proto: &ModelProto, dims: &[usize], values: &[String]) -> Vec<Vec<usize>> {
    let bytes = Model::new(proto.clone()).to_bytes();
    let mut session = Session::builder(&common::runtime()).unwrap().commit_from_memory(&bytes).unwrap();
    let len: usize = dims.iter().product();
    let data: Vec<f32> = (0..len).map(|i| (i * 37 % 101) as f32 / 25.0 - 2.0).collect();
    let x = ort::value::Tensor::from_array((dims, data)).unwrap();
    let inputs: Vec<(&str, SessionInputValue)> = vec![("x", x.into())];
    let outputs = session.run(inputs).unwrap();
    let shape = |name: &String| outputs[name.as_str()].shape().iter().map(|&d| d as usize).collect();
    values.iter().map(shape).collect()
}

/// One node (or a few) on `x` of shape `dims`; every output is compared.
fn check(what: &str, opset: i64, dims: &[usize], nodes: Vec<NodeProto>, constants: Vec<TensorProto>) {
    let free: Vec<i64> = dims.iter().map(|_| -1).collect();
    let outputs: Vec<String> = nodes.iter().flat_map(|n| n.output.clone()).collect();
    let mut proto = model(opset, &free, nodes, constants);
    let graph = proto.graph.as_mut().unwrap();
    for (i, d) in (0i64..)
        .zip(&mut graph.input[0].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().shape.as_mut().unwrap().dim)
    {
        d.dim_param = Some(format!("d{i}"));
    }
    graph.output = outputs
        .iter()
        .map(|name| gradcast::onnx::schema::ValueInfoProto { r#type: None, ..info(name, Type::Float, None) })
        .collect();
    let expected = shapes_of(&proto, dims, &outputs);
    let mut graph = Graph::from_model(&Model::new(proto)).unwrap();
    graph.set_input_shape(graph.inputs[0], dims);
    graph.infer().unwrap_or_else(|e| panic!("{what}: {e}"));
    for (name, shape) in outputs.iter().zip(expected) {
        let id = graph.find(name).unwrap();
        assert_eq!(graph.shape(id), Some(&shape[..]), "{what}: {name}");
        assert!(graph.dtype(id).is_some(), "{what}: {name} has no type");
    }
}

fn ints(name: &str, values: &[i64]) -> Attributes {
    none().with_ints(name, values)
}

fn weight(dims: &[usize]) -> TensorProto {
    Tensor::f32(dims, &vec![0.5; dims.iter().product()]).to_proto("w")
}

fn list(name: &str, values: &[i64]) -> TensorProto {
    Tensor::vec_i64(values).to_proto(name)
}

#[test]
fn convolutions() {
    let on = |dims: &[usize], w: &[usize], a: Attributes, op: &str| {
        check(&format!("{op} {a:?}"), 13, dims, vec![node(op, &["x", "w"], &["y"], a)], vec![weight(w)]);
    };
    let x = [2, 4, 9, 11];
    on(&x, &[6, 4, 3, 3], none(), "Conv");
    on(&x, &[6, 4, 3, 2], ints("strides", &[2, 3]).with_ints("pads", &[0, 1, 2, 1]), "Conv");
    on(&x, &[6, 2, 3, 3], ints("dilations", &[2, 3]).with_int("group", 2), "Conv");
    on(&x, &[6, 4, 3, 3], ints("strides", &[2, 2]).with_string("auto_pad", "SAME_UPPER"), "Conv");
    on(&x, &[6, 4, 4, 4], ints("strides", &[3, 2]).with_string("auto_pad", "SAME_LOWER"), "Conv");
    on(&x, &[6, 4, 4, 4], ints("strides", &[3, 2]).with_string("auto_pad", "VALID"), "Conv");
    on(&[2, 4, 9], &[6, 4, 3], ints("pads", &[1, 0]), "Conv");
    on(&[1, 2, 5, 6, 7], &[3, 2, 1, 2, 3], ints("strides", &[2, 1, 2]), "Conv");
    on(&x, &[4, 3, 3, 3], ints("strides", &[2, 3]).with_ints("pads", &[1, 0, 2, 1]), "ConvTranspose");
    on(
        &x,
        &[4, 3, 3, 3],
        ints("strides", &[2, 2]).with_ints("output_padding", &[1, 0]).with_ints("dilations", &[2, 1]),
        "ConvTranspose",
    );
    on(&x, &[4, 3, 3, 3], ints("strides", &[2, 2]).with_int("group", 2), "ConvTranspose");
    on(&x, &[4, 3, 3, 3], ints("strides", &[2, 2]).with_ints("output_shape", &[18, 22]), "ConvTranspose");
    on(&x, &[4, 3, 3, 3], ints("strides", &[2, 3]).with_string("auto_pad", "SAME_UPPER"), "ConvTranspose");
    on(&x, &[4, 3, 3, 3], ints("strides", &[2, 3]).with_string("auto_pad", "VALID"), "ConvTranspose");
}

/// Every pooling window that torchvision and the zoo use, and every way of rounding.
#[test]
fn pools() {
    for size in 5..=14 {
        for (kernel, stride, pad) in [(2, 2, 0), (3, 2, 0), (3, 2, 1), (3, 1, 1), (2, 3, 1), (3, 3, 1), (5, 4, 2)] {
            for ceil in [0, 1] {
                let window = ints("kernel_shape", &[kernel, kernel])
                    .with_ints("strides", &[stride, stride])
                    .with_ints("pads", &[pad, pad, pad, pad])
                    .with_int("ceil_mode", ceil);
                let nodes = vec![
                    node("MaxPool", &["x"], &["m", "i"], window.clone()),
                    node("AveragePool", &["x"], &["a"], window),
                ];
                let what = format!("pool {size} by {kernel}, {stride}, {pad}, {ceil}");
                check(&what, 13, &[1, 2, size, size + 1], nodes, Vec::new());
            }
        }
    }
    let x = [2, 3, 9, 11];
    for auto in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        let window = ints("kernel_shape", &[3, 2]).with_ints("strides", &[2, 3]).with_string("auto_pad", auto);
        check(auto, 13, &x, vec![node("MaxPool", &["x"], &["m"], window)], Vec::new());
    }
    let dilated = ints("kernel_shape", &[3, 3])
        .with_ints("dilations", &[2, 3])
        .with_int("ceil_mode", 1)
        .with_ints("strides", &[2, 2]);
    check("dilated", 13, &x, vec![node("MaxPool", &["x"], &["m"], dilated)], Vec::new());
    check("lp", 13, &x, vec![node("LpPool", &["x"], &["m"], ints("kernel_shape", &[3, 3]))], Vec::new());
    for op in ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"] {
        check(op, 13, &x, vec![node(op, &["x"], &["y"], none())], Vec::new());
    }
    check("LRN", 13, &x, vec![node("LRN", &["x"], &["y"], none().with_int("size", 3))], Vec::new());
}

#[test]
fn one_input_same_shape() {
    for op in [
        "Abs",
        "Ceil",
        "Celu",
        "Clip",
        "Elu",
        "Erf",
        "Exp",
        "Floor",
        "HardSigmoid",
        "HardSwish",
        "Hardmax",
        "Identity",
        "LeakyRelu",
        "Log",
        "LogSoftmax",
        "Neg",
        "Reciprocal",
        "Relu",
        "Round",
        "Selu",
        "Sigmoid",
        "Sign",
        "Sin",
        "Softmax",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Tanh",
        "ThresholdedRelu",
        "IsNaN",
        "IsInf",
        "LpNormalization",
        "MeanVarianceNormalization",
    ] {
        check(op, 14, &[2, 3, 4, 5], vec![node(op, &["x"], &["y"], none())], Vec::new());
    }
    check("Gelu", 20, &[2, 3], vec![node("Gelu", &["x"], &["y"], none())], Vec::new());
    check("Mish", 18, &[2, 3], vec![node("Mish", &["x"], &["y"], none())], Vec::new());
    check("Dropout", 13, &[2, 3], vec![node("Dropout", &["x"], &["y", "m"], none())], Vec::new());
    check("Cast", 13, &[2, 3], vec![node("Cast", &["x"], &["y"], none().with_int("to", 10))], Vec::new());
    check(
        "CumSum",
        13,
        &[2, 3],
        vec![node("CumSum", &["x", "w"], &["y"], none())],
        vec![Tensor::i64(&[], &[1]).to_proto("w")],
    );
    check("Trilu", 14, &[4, 3], vec![node("Trilu", &["x"], &["y"], none())], Vec::new());
    check(
        "quantise",
        13,
        &[2, 3],
        vec![
            node("DynamicQuantizeLinear", &["x"], &["q", "s", "z"], none()),
            node("DequantizeLinear", &["q", "s", "z"], &["d"], none()),
            node("QuantizeLinear", &["d", "s"], &["e"], none()),
        ],
        Vec::new(),
    );
}

#[test]
fn two_inputs_broadcast() {
    for op in [
        "Add",
        "Div",
        "Equal",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Mean",
        "Min",
        "Mul",
        "Pow",
        "Sub",
        "Sum",
    ] {
        for w in [&[3, 1, 5][..], &[], &[7, 1, 1, 1, 1], &[2, 3, 4, 5]] {
            check(op, 13, &[2, 3, 4, 5], vec![node(op, &["x", "w"], &["y"], none())], vec![weight(w)]);
        }
    }
    check("PRelu", 13, &[2, 3, 4], vec![node("PRelu", &["x", "w"], &["y"], none())], vec![weight(&[3, 1])]);
    check(
        "Where",
        13,
        &[2, 3, 4],
        vec![
            node("Greater", &["x", "w"], &["c"], none()),
            node("Not", &["c"], &["n"], none()),
            node("And", &["c", "n"], &["a"], none()),
            node("Where", &["a", "x", "w"], &["y"], none()),
        ],
        vec![weight(&[5, 1, 1, 1])],
    );
}

#[test]
fn matrices() {
    for (x, w) in [
        (&[2, 3][..], &[3, 4][..]),
        (&[2, 5, 2, 3], &[3, 4]),
        (&[5, 2, 3], &[7, 1, 3, 4]),
        (&[3], &[3, 4]),
        (&[2, 3], &[3]),
        (&[3], &[3]),
        (&[6, 2, 3], &[3]),
    ] {
        check("MatMul", 13, x, vec![node("MatMul", &["x", "w"], &["y"], none())], vec![weight(w)]);
    }
    let a = none().with_int("transA", 1).with_int("transB", 1);
    check("Gemm", 13, &[3, 2], vec![node("Gemm", &["x", "w"], &["y"], a)], vec![weight(&[4, 3])]);
    let bias = Tensor::f32(&[4], &[0.0; 4]).to_proto("b");
    check("Gemm", 13, &[2, 3], vec![node("Gemm", &["x", "w", "b"], &["y"], none())], vec![weight(&[3, 4]), bias]);
}

#[test]
fn reductions() {
    let x = [2, 3, 4, 5];
    for op in [
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSumSquare",
    ] {
        for keep in [0, 1] {
            let keep = none().with_int("keepdims", keep);
            check(op, 13, &x, vec![node(op, &["x"], &["y"], keep.clone())], Vec::new());
            check(op, 13, &x, vec![node(op, &["x"], &["y"], keep.clone().with_ints("axes", &[-1, 2]))], Vec::new());
            check(op, 18, &x, vec![node(op, &["x", "a"], &["y"], keep)], vec![list("a", &[1, -1])]);
        }
    }
    check("ReduceSum", 13, &x, vec![node("ReduceSum", &["x", "a"], &["y"], none())], vec![list("a", &[2])]);
    let nothing = none().with_int("noop_with_empty_axes", 1);
    check("ReduceSum", 13, &x, vec![node("ReduceSum", &["x"], &["y"], nothing)], Vec::new());
    for op in ["ArgMax", "ArgMin"] {
        check(op, 13, &x, vec![node(op, &["x"], &["y"], none().with_int("axis", -2))], Vec::new());
        check(op, 13, &x, vec![node(op, &["x"], &["y"], none().with_int("keepdims", 0))], Vec::new());
    }
}

#[test]
fn normalisations() {
    let vector = |name: &str, n: usize| Tensor::f32(&[n], &vec![1.0; n]).to_proto(name);
    let x = [2, 3, 4, 5];
    check(
        "BatchNormalization",
        13,
        &x,
        vec![node("BatchNormalization", &["x", "w", "w", "w", "w"], &["y"], none())],
        vec![vector("w", 3)],
    );
    check(
        "InstanceNormalization",
        13,
        &x,
        vec![node("InstanceNormalization", &["x", "w", "w"], &["y"], none())],
        vec![vector("w", 3)],
    );
    check(
        "LayerNormalization",
        17,
        &x,
        vec![node("LayerNormalization", &["x", "w"], &["y", "m", "s"], none())],
        vec![vector("w", 5)],
    );
    let two = Tensor::f32(&[4, 5], &[1.0; 20]).to_proto("w");
    check(
        "LayerNormalization",
        17,
        &x,
        vec![node("LayerNormalization", &["x", "w"], &["y", "m", "s"], none().with_int("axis", 2))],
        vec![two],
    );
    check(
        "GroupNormalization",
        21,
        &[2, 4, 3],
        vec![node("GroupNormalization", &["x", "w", "w"], &["y"], none().with_int("num_groups", 2))],
        vec![vector("w", 4)],
    );
}

#[test]
fn shapes_and_indices() {
    let x = [2, 3, 4, 5];
    let unary = |op: &str, opset: i64, a: Attributes, constants: Vec<TensorProto>| {
        let names: Vec<String> = constants.iter().map(|c| c.name().to_owned()).collect();
        let inputs: Vec<&str> = std::iter::once("x").chain(names.iter().map(String::as_str)).collect();
        check(&format!("{op} {a:?}"), opset, &x, vec![node(op, &inputs, &["y"], a)], constants);
    };
    unary("Shape", 15, none().with_int("start", -3).with_int("end", -1), Vec::new());
    unary("Size", 13, none(), Vec::new());
    for axis in [0, 1, 4, -1] {
        unary("Flatten", 13, none().with_int("axis", axis), Vec::new());
    }
    for to in [&[-1, 6][..], &[0, -1], &[0, 0, 20], &[120], &[1, 2, 3, -1, 5]] {
        unary("Reshape", 13, none(), vec![list("s", to)]);
    }
    unary("Transpose", 13, none(), Vec::new());
    unary("Transpose", 13, ints("perm", &[0, 2, 3, 1]), Vec::new());
    unary("Unsqueeze", 13, none(), vec![list("a", &[0, -1, 2])]);
    unary("Expand", 13, none(), vec![list("s", &[7, 1, 3, 1, 5])]);
    unary("Tile", 13, none(), vec![list("r", &[1, 2, 3, 1])]);
    unary("Pad", 13, none(), vec![list("p", &[0, 1, -1, 2, 0, 0, 0, -3])]);
    unary("DepthToSpace", 13, none().with_int("blocksize", 1), Vec::new());
    check(
        "DepthToSpace",
        13,
        &[1, 8, 2, 3],
        vec![node("DepthToSpace", &["x"], &["y"], none().with_int("blocksize", 2))],
        Vec::new(),
    );
    check(
        "SpaceToDepth",
        13,
        &[1, 2, 4, 6],
        vec![node("SpaceToDepth", &["x"], &["y"], none().with_int("blocksize", 2))],
        Vec::new(),
    );
    check("Squeeze", 13, &[1, 3, 1, 5], vec![node("Squeeze", &["x"], &["y"], none())], Vec::new());
    check("Squeeze", 13, &[1, 3, 1, 5], vec![node("Squeeze", &["x", "a"], &["y"], none())], vec![list("a", &[-2])]);
    check(
        "Concat",
        13,
        &x,
        vec![node("Concat", &["x", "w", "x"], &["y"], none().with_int("axis", -2))],
        vec![weight(&[2, 3, 1, 5])],
    );
    check("Split", 13, &x, vec![node("Split", &["x"], &["a", "b"], none().with_int("axis", 2))], Vec::new());
    check(
        "Split",
        13,
        &x,
        vec![node("Split", &["x", "s"], &["a", "b", "c"], none().with_int("axis", -1))],
        vec![list("s", &[1, 0, 4])],
    );
    check(
        "Split",
        18,
        &x,
        vec![node("Split", &["x"], &["a", "b"], none().with_int("axis", 1).with_int("num_outputs", 2))],
        Vec::new(),
    );
    for (starts, ends, steps) in [
        (&[1, 0][..], &[3, 5][..], &[1, 2][..]),
        (&[-1, 4], &[-5, -6], &[-1, -2]),
        (&[-100, 3], &[100, 3], &[3, 1]),
        (&[100, -1], &[i64::MIN, 0], &[-2, -1]),
        (&[0, 0], &[i64::MAX, -1], &[1, 1]),
    ] {
        let lists = vec![list("s", starts), list("e", ends), list("a", &[2, -1]), list("t", steps)];
        check("Slice", 13, &x, vec![node("Slice", &["x", "s", "e", "a", "t"], &["y"], none())], lists);
    }
    for (axis, indices) in
        [(0, Tensor::i64(&[], &[1])), (2, Tensor::i64(&[2, 2], &[0, 1, 3, -1])), (-1, Tensor::vec_i64(&[4]))]
    {
        unary("Gather", 13, none().with_int("axis", axis), vec![indices.to_proto("i")]);
    }
    unary("GatherElements", 13, none().with_int("axis", 2), vec![Tensor::i64(&[1, 2, 3, 1], &[0; 6]).to_proto("i")]);
    unary("GatherND", 13, none(), vec![Tensor::i64(&[7, 2], &[0; 14]).to_proto("i")]);
    unary("GatherND", 13, none().with_int("batch_dims", 1), vec![Tensor::i64(&[2, 6, 1], &[0; 12]).to_proto("i")]);
    check(
        "ScatterElements",
        16,
        &[3, 3],
        vec![node("ScatterElements", &["x", "i", "w"], &["y"], none().with_string("reduction", "add"))],
        vec![Tensor::i64(&[2, 1], &[0, 1]).to_proto("i"), weight(&[2, 1])],
    );
    check(
        "ScatterND",
        13,
        &[3, 3],
        vec![node("ScatterND", &["x", "i", "w"], &["y"], none())],
        vec![Tensor::i64(&[1, 1], &[2]).to_proto("i"), weight(&[1, 3])],
    );
    let top = none().with_int("axis", 1);
    check("TopK", 13, &x, vec![node("TopK", &["x", "k"], &["y", "i"], top)], vec![list("k", &[2])]);
    for axis in [-1, 0, 1] {
        check(
            "OneHot",
            13,
            &x,
            vec![
                node("ArgMax", &["x"], &["m"], none().with_int("keepdims", 0)),
                node("OneHot", &["m", "d", "v"], &["y"], none().with_int("axis", axis)),
            ],
            vec![Tensor::i64(&[], &[9]).to_proto("d"), Tensor::f32(&[2], &[0.0, 1.0]).to_proto("v")],
        );
    }
}

#[test]
fn resizes() {
    let x = [1, 2, 4, 6];
    let scales = |v: &[f32]| Tensor::f32(&[v.len()], v).to_proto("s");
    for v in [[1.0, 1.0, 2.0, 1.5], [1.0, 1.0, 0.3, 0.6]] {
        check(
            "Resize",
            13,
            &x,
            vec![node("Resize", &["x", "", "s"], &["y"], none().with_string("mode", "linear"))],
            vec![scales(&v)],
        );
    }
    check("Resize", 13, &x, vec![node("Resize", &["x", "", "", "s"], &["y"], none())], vec![list("s", &[1, 2, 9, 3])]);
    let axes = ints("axes", &[2, 3]);
    check("Resize", 18, &x, vec![node("Resize", &["x", "", "", "s"], &["y"], axes.clone())], vec![list("s", &[9, 3])]);
    for policy in ["not_larger", "not_smaller"] {
        let keep = axes.clone().with_string("keep_aspect_ratio_policy", policy);
        check(policy, 18, &x, vec![node("Resize", &["x", "", "", "s"], &["y"], keep)], vec![list("s", &[9, 7])]);
    }
}

/// The arithmetic exporters do on shapes: the result is a shape, so a wrong fold shows.
#[test]
fn shape_arithmetic_folds() {
    let one = |name: &str, v: i64| Tensor::vec_i64(&[v]).to_proto(name);
    // view(N, C/2, 2, H*W), and back.
    check(
        "shuffle",
        13,
        &[2, 6, 4, 5],
        vec![
            node("Shape", &["x"], &["s"], none()),
            node("Slice", &["s", "k0", "k1"], &["n"], none()),
            node("Slice", &["s", "k1", "k2"], &["c"], none()),
            node("Slice", &["s", "k2", "k4"], &["hw"], none()),
            node("Div", &["c", "k2"], &["half"], none()),
            node("ReduceProd", &["hw"], &["area"], ints("axes", &[0])),
            node("Concat", &["n", "half", "k2", "area"], &["to"], none().with_int("axis", 0)),
            node("Reshape", &["x", "to"], &["r"], none()),
            node("Transpose", &["r"], &["t"], ints("perm", &[0, 2, 1, 3])),
            node("Reshape", &["t", "s"], &["y"], none()),
        ],
        vec![one("k0", 0), one("k1", 1), one("k2", 2), one("k4", 4)],
    );
    // interpolate(scale_factor): sizes by floats.
    let half = Tensor::f32(&[1], &[2.5]).to_proto("f");
    check(
        "interpolate",
        13,
        &[1, 2, 5, 7],
        vec![
            node("Shape", &["x"], &["s"], none()),
            node("Slice", &["s", "k2", "k4"], &["hw"], none()),
            node("Slice", &["s", "k0", "k2"], &["nc"], none()),
            node("Cast", &["hw"], &["hwf"], none().with_int("to", 1)),
            node("Mul", &["hwf", "f"], &["scaled"], none()),
            node("Floor", &["scaled"], &["floored"], none()),
            node("Cast", &["floored"], &["size"], none().with_int("to", 7)),
            node("Concat", &["nc", "size"], &["to"], none().with_int("axis", 0)),
            node("ConstantOfShape", &["to"], &["y"], none()),
        ],
        vec![one("k0", 0), one("k2", 2), one("k4", 4), half],
    );
    // expand with where, and pads made of zeros.
    check(
        "expand",
        13,
        &[3, 1],
        vec![
            node("Shape", &["x"], &["s"], none()),
            node("ConstantOfShape", &["k2"], &["ones"], none().with_tensor("value", &Tensor::vec_i64(&[1]))),
            node("Mul", &["ones", "minus"], &["neg"], none()),
            node("Equal", &["want", "neg"], &["free"], none()),
            node("Where", &["free", "s", "want"], &["to"], none()),
            node("Expand", &["x", "to"], &["e"], none()),
            node("Range", &["z", "last", "step"], &["range"], none()),
            node("Reshape", &["range", "two"], &["pairs"], none()),
            node("Transpose", &["pairs"], &["swapped"], none()),
            node("Reshape", &["swapped", "all"], &["pads"], none()),
            node("Pad", &["e", "pads"], &["y"], none()),
        ],
        vec![
            one("k2", 2),
            one("minus", -1),
            list("want", &[-1, 4]),
            Tensor::i64(&[], &[0]).to_proto("z"),
            Tensor::i64(&[], &[8]).to_proto("last"),
            Tensor::i64(&[], &[2]).to_proto("step"),
            list("two", &[2, 2]),
            list("all", &[-1]),
        ],
    );
    // Contents that tell a wrong fold: what folds is written as it is, so it must be right.
    let probes = vec![
        node("Shape", &["x"], &["s"], none()),
        node("Mod", &["s", "m"], &["a"], none()),
        node("Div", &["a", "m"], &["b"], none()),
        node("Max", &["b", "s", "m"], &["c"], none()),
        node("Tile", &["c", "t"], &["d"], none()),
        node("NonZero", &["d"], &["e"], none()),
        node("Gather", &["d", "g"], &["f"], none()),
        node("ScatterND", &["f", "gi", "gu"], &["h"], none()),
        node("Split", &["h"], &["p", "q"], none()),
        node("Sub", &["p", "q"], &["r"], none()),
        node("Abs", &["r"], &["y"], none()),
    ];
    let lists = vec![
        list("m", &[-3, 3, -7]),
        list("t", &[3]),
        list("g", &[-1, 0, 4, 2]),
        Tensor::i64(&[1, 1], &[1]).to_proto("gi"),
        list("gu", &[77]),
    ];
    let mut proto = model(13, &[5, 4, 8], probes, lists);
    proto.graph.as_mut().unwrap().output = vec![info("y", Type::Int64, None), info("e", Type::Int64, None)];
    let mut graph = Graph::from_model(&Model::new(proto.clone())).unwrap();
    graph.infer().unwrap();
    let bytes = Model::new(proto).to_bytes();
    let mut session = Session::builder(&common::runtime()).unwrap().commit_from_memory(&bytes).unwrap();
    let x = ort::value::Tensor::from_array(([5usize, 4, 8], vec![0f32; 160])).unwrap();
    let outputs = session.run(ort::inputs!["x" => x]).unwrap();
    for name in ["y", "e"] {
        let expected = outputs[name].try_extract_tensor::<i64>().unwrap().1.to_vec();
        let folded = graph.constant(graph.find(name).unwrap()).and_then(Tensor::to_i64);
        assert_eq!(folded, Some(expected), "{name}");
    }
}
