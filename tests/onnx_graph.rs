//! Promise: whatever form an ONNX file has, the graph that is read from it means the same. Old
//! operator sets, control flow, model-local functions and odd constants are made by hand, read,
//! written, and run beside the original.

mod common;

use common::onnx::{info, model, node, none};
use gradcast::onnx::schema::{
    AttributeProto, AttributeType, DataType as Type, FunctionProto, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto,
};
use gradcast::onnx::{Attributes, Graph, Limits, Model, Tensor};
use ort::session::{Session, SessionInputValue};

fn read(proto: &ModelProto) -> Graph {
    use prost::Message;
    let model = Model::from_bytes(proto.encode_to_vec(), &Limits::default()).unwrap();
    Graph::from_model(&model).unwrap()
}

fn ops(graph: &Graph) -> Vec<&str> {
    graph.nodes().map(|(_, n)| n.op_type.as_str()).collect()
}

fn run(bytes: &[u8], dims: &[usize], data: Vec<f32>) -> (Vec<i64>, Vec<f32>) {
    let mut session = Session::builder(&common::runtime()).unwrap().commit_from_memory(bytes).unwrap();
    let x = ort::value::Tensor::from_array((dims, data)).unwrap();
    let inputs: Vec<(&str, SessionInputValue)> = vec![("x", x.into())];
    let outputs = session.run(inputs).unwrap();
    let (shape, values) = outputs["y"].try_extract_tensor::<f32>().unwrap();
    (shape.to_vec(), values.to_vec())
}

/// Reads, infers and writes `proto` and runs both with inputs of shape `dims`; answers the graph.
fn alike(proto: &ModelProto, dims: &[usize]) -> Graph {
    let mut graph = read(proto);
    assert!(graph.opset() >= 13);
    graph.set_input_shape(graph.inputs[0], dims);
    graph.infer().unwrap();
    let len: usize = dims.iter().product();
    let data: Vec<f32> = (0..len).map(|i| ((i * 37 % 101) as f32 - 50.0) / 17.0).collect();
    let original = Model::new(proto.clone()).to_bytes();
    let (shape, expected) = run(&original, dims, data.clone());
    let (new_shape, found) = run(&graph.to_model().to_bytes(), dims, data);
    assert_eq!(shape, new_shape);
    let inferred: Option<Vec<i64>> = graph.shape(graph.outputs[0]).map(|s| s.iter().map(|&d| d as i64).collect());
    // What the branches of an If that stays answer is not known.
    assert!(inferred == Some(shape) || ops(&graph).contains(&"If"), "{:?}", ops(&graph));
    for (a, b) in expected.iter().zip(&found) {
        assert!((a - b).abs() <= 1e-5 * a.abs().max(1.0), "{a} became {b}");
    }
    graph
}

#[test]
fn old_operator_sets_mean_the_same_in_13() {
    let ints = |name: &str, v: &[i64]| none().with_ints(name, v);
    let cases: Vec<(&str, i64, Vec<NodeProto>)> = vec![
        ("clip", 7, vec![node("Clip", &["x"], &["y"], none().with_float("min", -1.0).with_float("max", 1.5))]),
        ("clip below", 10, vec![node("Clip", &["x"], &["y"], none().with_float("min", -1.0))]),
        ("pad", 9, vec![node("Pad", &["x"], &["y"], ints("pads", &[0, 0, 1, 2, 0, 0, 0, 3]).with_float("value", 0.5))]),
        (
            "slice",
            9,
            vec![node(
                "Slice",
                &["x"],
                &["y"],
                ints("starts", &[1, -3]).with_ints("ends", &[9000, -1]).with_ints("axes", &[1, 3]),
            )],
        ),
        (
            "squeeze",
            11,
            vec![
                node("ReduceMean", &["x"], &["m"], ints("axes", &[2, 3])),
                node("Squeeze", &["m"], &["s"], ints("axes", &[2])),
                node("Unsqueeze", &["s"], &["y"], ints("axes", &[0, 4])),
            ],
        ),
        ("reduce sum", 12, vec![node("ReduceSum", &["x"], &["y"], ints("axes", &[1, -1]).with_int("keepdims", 0))]),
        (
            "split",
            7,
            vec![
                node("Split", &["x"], &["a", "b"], ints("split", &[1, 5]).with_int("axis", 2)),
                node("Transpose", &["b"], &["y"], ints("perm", &[0, 2, 1, 3])),
            ],
        ),
        ("dropout", 7, vec![node("Dropout", &["x"], &["y", "mask"], none().with_float("ratio", 0.9))]),
        ("top k", 9, vec![node("TopK", &["x"], &["y", "i"], none().with_int("k", 3).with_int("axis", 3))]),
        (
            "upsample 7",
            7,
            vec![node(
                "Upsample",
                &["x"],
                &["y"],
                none().with_floats("scales", &[1.0, 1.0, 2.0, 3.0]).with_string("mode", "nearest"),
            )],
        ),
        (
            "upsample 7 linear",
            7,
            vec![node(
                "Upsample",
                &["x"],
                &["y"],
                none().with_floats("scales", &[1.0, 1.0, 2.0, 2.0]).with_string("mode", "linear"),
            )],
        ),
        (
            "upsample 9",
            9,
            vec![
                node("Constant", &[], &["s"], none().with_tensor("value", &Tensor::f32(&[4], &[1.0, 1.0, 2.0, 2.0]))),
                node("Upsample", &["x", "s"], &["y"], none()),
            ],
        ),
        (
            "resize 10",
            10,
            vec![
                node("Constant", &[], &["s"], none().with_tensor("value", &Tensor::f32(&[4], &[1.0, 1.0, 0.5, 1.5]))),
                node("Resize", &["x", "s"], &["y"], none().with_string("mode", "nearest")),
            ],
        ),
        ("softmax of maps", 9, vec![node("Softmax", &["x"], &["y"], none())]),
        ("softmax over axis 2", 12, vec![node("Softmax", &["x"], &["y"], none().with_int("axis", -2))]),
        ("log-softmax", 8, vec![node("LogSoftmax", &["x"], &["y"], none().with_int("axis", 0))]),
        ("hardmax", 11, vec![node("Hardmax", &["x"], &["y"], none())]),
        ("softmax of last axis", 7, vec![node("Softmax", &["x"], &["y"], none().with_int("axis", 3))]),
        (
            "softmax of a score",
            9,
            vec![node("GlobalAveragePool", &["x"], &["p"], none()), node("Softmax", &["p"], &["y"], none())],
        ),
    ];
    for (what, opset, nodes) in cases {
        println!("{what}");
        alike(&model(opset, &[-1, 4, 6, 5], nodes, Vec::new()), &[2, 4, 6, 5]);
    }
}

/// A softmax over one axis stays one node, also where the batch is free; only where later axes
/// take part is it wrapped.
#[test]
fn a_softmax_is_only_wrapped_where_it_must_be() {
    let score = vec![node("GlobalAveragePool", &["x"], &["p"], none()), node("Softmax", &["p"], &["y"], none())];
    let graph = read(&model(9, &[-1, 4, -1, -1], score, Vec::new()));
    assert_eq!(ops(&graph), ["GlobalAveragePool", "Softmax"]);
    let (_, softmax) = graph.nodes().last().unwrap();
    assert_eq!(softmax.attributes.int("axis"), Some(1));

    let flat = vec![node("Flatten", &["x"], &["f"], none()), node("Softmax", &["f"], &["y"], none())];
    let graph = read(&model(9, &[-1, 4, 6, 5], flat, Vec::new()));
    assert_eq!(ops(&graph), ["Flatten", "Softmax"]);

    let maps = vec![node("Softmax", &["x"], &["y"], none())];
    let graph = read(&model(9, &[1, 4, 6, 5], maps, Vec::new()));
    assert_eq!(ops(&graph), ["Shape", "Flatten", "Softmax", "Reshape"]);
}

/// The bounds of a Clip take the type of what is clipped.
#[test]
fn attributes_become_inputs_of_the_right_type() {
    let mut proto = model(
        7,
        &[1, 3],
        vec![node("Clip", &["x"], &["y"], none().with_float("min", 0.0).with_float("max", 6.0))],
        Vec::new(),
    );
    let graph = proto.graph.as_mut().unwrap();
    graph.input = vec![info("x", Type::Float16, Some(&[1, 3]))];
    let graph = read(&proto);
    let (_, clip) = graph.nodes().next().unwrap();
    assert_eq!(graph.dtype(clip.input(2).unwrap()), Some(Type::Float16));
    assert_eq!(graph.constant(clip.input(2).unwrap()).unwrap().to_f32(), Some(vec![6.0]));
}

#[test]
fn an_old_batch_normalisation_per_element_is_refused_in_words() {
    use prost::Message;
    let nodes = vec![node("BatchNormalization", &["x", "v", "v", "v", "v"], &["y"], none().with_int("spatial", 0))];
    let proto = model(8, &[1, 2], nodes, vec![Tensor::f32(&[2], &[1.0, 1.0]).to_proto("v")]);
    let model = Model::from_bytes(proto.encode_to_vec(), &Limits::default()).unwrap();
    let error = Graph::from_model(&model).unwrap_err();
    assert!(error.to_string().contains("spatial"), "{error}");
    assert!(error.hint().contains("version_converter"));
}

#[test]
fn every_form_of_constant_is_a_constant() {
    let attribute = |name: &str, kind: AttributeType, set: fn(&mut AttributeProto)| {
        let mut a = AttributeProto { name: Some(name.into()), r#type: Some(kind.into()), ..AttributeProto::default() };
        set(&mut a);
        Attributes(vec![a])
    };
    let nodes = vec![
        node("Constant", &[], &["a"], none().with_float("value_float", 2.0)),
        node("Constant", &[], &["b"], none().with_floats("value_floats", &[1.0, 2.0, 3.0])),
        node("Constant", &[], &["c"], none().with_int("value_int", 1)),
        node("Constant", &[], &["d"], none().with_ints("value_ints", &[0, 1])),
        node("Constant", &[], &["e"], none().with_tensor("value", &Tensor::scalar(0.5))),
        node("Constant", &[], &["s"], none().with_string("value_string", "kept")),
        node(
            "Constant",
            &[],
            &["t"],
            attribute("value_strings", AttributeType::Strings, |a| {
                a.strings = vec!["kept".into()];
            }),
        ),
        node("Mul", &["x", "b"], &["m"], none()),
        node("Add", &["m", "a"], &["n"], none()),
        node("Gather", &["n", "c"], &["g"], none().with_int("axis", 1)),
        node("Unsqueeze", &["g", "d"], &["u"], none()),
        node("Mul", &["u", "e"], &["y"], none()),
    ];
    let graph = alike(&model(13, &[4, 3], nodes, Vec::new()), &[4, 3]);
    assert_eq!(ops(&graph), ["Mul", "Add", "Gather", "Unsqueeze", "Mul"]);
    for name in ["a", "b", "c", "d", "e", "s", "t"] {
        assert!(graph.is_constant(graph.find(name).unwrap()), "{name}");
    }
}

fn branch(nodes: Vec<NodeProto>, output: &str) -> GraphProto {
    GraphProto {
        name: Some(format!("branch_{output}")),
        node: nodes,
        output: vec![info(output, Type::Float, None)],
        ..GraphProto::default()
    }
}

fn with_graph(mut attributes: Attributes, name: &str, graph: GraphProto) -> Attributes {
    attributes.0.push(AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::Graph.into()),
        g: Some(Box::new(graph)),
        ..AttributeProto::default()
    });
    attributes
}

/// What PyTorch exports for `squeeze`: an `If` on a shape.
fn conditional(condition: Vec<NodeProto>) -> ModelProto {
    let yes = branch(vec![node("Relu", &["h"], &["inner"], none()), node("Neg", &["inner"], &["r"], none())], "r");
    let no = branch(vec![node("Sigmoid", &["h"], &["inner"], none()), node("Neg", &["inner"], &["r"], none())], "r");
    let bodies = with_graph(with_graph(none(), "then_branch", yes), "else_branch", no);
    let mut nodes = vec![node("Add", &["x", "x"], &["h"], none())];
    nodes.extend(condition);
    nodes.push(node("If", &["c"], &["z"], bodies));
    nodes.push(node("Abs", &["z"], &["y"], none()));
    model(13, &[-1, 3], nodes, Vec::new())
}

fn one_row() -> Vec<NodeProto> {
    vec![
        node("Shape", &["x"], &["shape"], none()),
        node("Constant", &[], &["zero"], none().with_int("value_int", 0)),
        node("Constant", &[], &["one"], none().with_int("value_int", 1)),
        node("Gather", &["shape", "zero"], &["rows"], none()),
        node("Equal", &["rows", "one"], &["c"], none()),
    ]
}

#[test]
fn an_if_goes_when_its_condition_becomes_known() {
    // Known only with the shape: both ways.
    let graph = alike(&conditional(one_row()), &[1, 3]);
    assert_eq!(ops(&graph).last_chunk(), Some(&["Relu", "Neg", "Abs"]));
    let graph = alike(&conditional(one_row()), &[2, 3]);
    assert_eq!(ops(&graph).last_chunk(), Some(&["Sigmoid", "Neg", "Abs"]));
    assert!(!ops(&graph.to_model().proto.graph.map(|_| graph).unwrap()).contains(&"If"));

    // Known without: gone at once.
    let truth = Tensor::from_i64(Type::Bool, &[], &[1]).unwrap();
    let fixed = vec![node("Constant", &[], &["c"], none().with_tensor("value", &truth))];
    assert_eq!(ops(&read(&conditional(fixed))), ["Add", "Relu", "Neg", "Abs"]);
}

/// A branch that answers an outer value, or its own constant.
#[test]
fn a_branch_may_answer_what_it_did_not_compute() {
    let truth = |t: i64| Tensor::from_i64(Type::Bool, &[], &[t]).unwrap();
    let yes = branch(vec![node("Constant", &[], &["k"], none().with_float("value_float", 4.0))], "k");
    let mut no = branch(vec![node("Identity", &["w"], &["o"], none())], "o");
    no.initializer = vec![Tensor::scalar(3.0).to_proto("w")];
    for (which, value) in [(1, 4.0), (0, 3.0)] {
        let bodies = with_graph(with_graph(none(), "then_branch", yes.clone()), "else_branch", no.clone());
        let nodes = vec![
            node("Constant", &[], &["c"], none().with_tensor("value", &truth(which))),
            node("If", &["c"], &["z"], bodies),
            node("Mul", &["x", "z"], &["y"], none()),
        ];
        let graph = alike(&model(13, &[2, 3], nodes, Vec::new()), &[2, 3]);
        let z = graph.find("z").unwrap();
        assert_eq!(graph.constant(z).and_then(Tensor::to_f32), Some(vec![value]));
    }
}

/// A body reads outer values by name: they have consumers, survive pruning and renaming, and can
/// be re-routed.
#[test]
fn captures_of_bodies_are_known() {
    let sum = node("ReduceSum", &["x"], &["total"], none().with_int("keepdims", 0));
    let limit = node("Constant", &[], &["limit"], none().with_float("value_float", 0.0));
    let condition = vec![sum, limit, node("Greater", &["total", "limit"], &["c"], none())];
    let proto = conditional(condition);
    let mut graph = alike(&proto, &[2, 3]);
    let h = graph.find("h").unwrap();
    let reader = graph.consumers(h);
    assert_eq!(reader.len(), 1);
    assert_eq!(graph.node(reader[0]).op_type, "If");
    assert!(graph.node(reader[0]).captures.contains(&h));
    assert!(!graph.is_constant(graph.find("z").unwrap()));

    let data = vec![1.0, -2.0, 3.0, 4.0, -5.0, 6.0];
    let (_, before) = run(&graph.to_model().to_bytes(), &[2, 3], data.clone());
    graph.rename(h, "inner");
    assert_eq!(graph.find("inner"), Some(h));
    graph.rename(h, "renamed");
    assert_eq!(run(&graph.to_model().to_bytes(), &[2, 3], data.clone()).1, before);
    // Twice the doubled input, halved again on the way.
    let half = graph.add_constant(Tensor::scalar(0.5));
    let halved = graph.add_node("Mul", &[Some(h), Some(half)], 1, none())[0];
    let back = graph.add_node("Add", &[Some(halved), Some(halved)], 1, none())[0];
    graph.replace_uses(h, back);
    assert_eq!(graph.consumers(h).len(), 1, "the new stage keeps reading it");
    graph.infer().unwrap();
    assert_eq!(run(&graph.to_model().to_bytes(), &[2, 3], data).1, before);
}

/// An old operator inside a body is rewritten too.
#[test]
fn bodies_are_uplifted() {
    let clip = || none().with_float("min", -0.5).with_float("max", 0.5);
    let yes = branch(vec![node("Clip", &["x"], &["r"], clip())], "r");
    let no = branch(vec![node("Softmax", &["x"], &["q"], none())], "q");
    let bodies = with_graph(with_graph(none(), "then_branch", yes), "else_branch", no);
    let nodes = vec![
        node("ReduceSum", &["x"], &["total"], none().with_int("keepdims", 0)),
        node("Constant", &[], &["limit"], none().with_tensor("value", &Tensor::scalar(0.0))),
        node("Less", &["total", "limit"], &["c"], none()),
        node("If", &["c"], &["z"], bodies),
        node("Reshape", &["z", "to"], &["y"], none()),
    ];
    alike(&model(9, &[2, 3, 2], nodes, vec![Tensor::vec_i64(&[12]).to_proto("to")]), &[2, 3, 2]);
}

fn attribute_reference(name: &str, of: &str) -> Attributes {
    Attributes(vec![AttributeProto {
        name: Some(name.into()),
        ref_attr_name: Some(of.into()),
        r#type: Some(AttributeType::Float.into()),
        ..AttributeProto::default()
    }])
}

/// Functions that call functions, with attributes given, defaulted and left out.
#[test]
fn functions_are_unfolded() {
    let import = |domain: &str, version| OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) };
    let function = |name: &str, nodes| FunctionProto {
        name: Some(name.into()),
        domain: Some("mine".into()),
        input: vec!["a".into()],
        output: vec!["b".into()],
        node: nodes,
        opset_import: vec![import("", 13), import("mine", 1)],
        ..FunctionProto::default()
    };
    let mine = |mut n: NodeProto| {
        n.domain = Some("mine".into());
        n
    };
    let mut leaky = function(
        "Leaky",
        vec![
            node("LeakyRelu", &["a"], &["t"], attribute_reference("alpha", "slope")),
            node("Elu", &["t"], &["b"], attribute_reference("alpha", "bend")),
        ],
    );
    leaky.attribute = vec!["bend".into()];
    leaky.attribute_proto = none().with_float("slope", 0.3).0;
    let twice = function(
        "Twice",
        vec![
            mine(node("Leaky", &["a"], &["t"], none().with_float("slope", 0.7))),
            mine(node("Leaky", &["t"], &["b"], none())),
        ],
    );
    let nodes = vec![mine(node("Twice", &["x"], &["h"], none())), mine(node("Twice", &["h"], &["y"], none()))];
    let mut proto = model(13, &[-1, 3], nodes, Vec::new());
    proto.ir_version = Some(8);
    proto.opset_import.push(import("mine", 1));
    proto.functions = vec![leaky, twice];
    let graph = alike(&proto, &[2, 3]);
    assert_eq!(ops(&graph), ["LeakyRelu", "Elu"].repeat(4));

    // A function that calls itself has no end.
    proto.functions[1].node = vec![mine(node("Twice", &["a"], &["b"], none()))];
    let error = Graph::from_model(&Model::new(proto)).unwrap_err();
    assert!(error.to_string().contains("Twice"), "{error}");
}

/// Weights that are computed from constants are constants, and are left to the runtime.
#[test]
fn computed_weights_are_constants_without_contents() {
    let Some(material) = common::material() else {
        return;
    };
    let path = material.join("models/light/light_vgg19.onnx");
    let model = gradcast::onnx::load(&path, &Limits::default()).unwrap();
    let mut graph = Graph::from_model(&model).unwrap();
    graph.infer().unwrap();
    let convs: Vec<_> = graph.nodes().filter(|(_, n)| n.op_type == "Conv").collect();
    assert_eq!(convs.len(), 16);
    for (_, conv) in &convs[1..] {
        let weight = conv.input(1).unwrap();
        assert!(graph.is_constant(weight) && graph.constant(weight).is_none());
        assert!(!graph.is_constant(conv.output(0).unwrap()));
    }
    assert!(graph.to_model().to_bytes().len() < 1 << 17);
}

/// What no output needs is not written; names stay unique; equal constants are shared.
#[test]
fn edits_are_written_clean() {
    let nodes = vec![
        node("Relu", &["x"], &["r"], none()),
        node("Conv", &["r", "w"], &["y"], none()),
        node("Sigmoid", &["y"], &["unused"], none()),
    ];
    let weight = Tensor::f32(&[1, 2, 1, 1], &[1.0, 2.0]);
    let mut graph = read(&model(13, &[-1, 2, 4, 4], nodes, vec![weight.to_proto("w"), weight.to_proto("v")]));
    graph.set_input_shape(graph.inputs[0], &[3, 2, 4, 4]);
    graph.infer().unwrap();

    let frames = graph.add_input("x", Type::Uint8, &[3, 2, 4, 4]);
    assert_eq!(graph.value(graph.inputs[0]).name, "gradcast/displaced_0");
    let to = none().with_int("to", Type::Float as i64);
    let cast = graph.add_node("Cast", &[Some(frames)], 1, to)[0];
    assert_eq!(graph.shape(cast), Some(&[3, 2, 4, 4][..]));
    assert_eq!(graph.dtype(cast), Some(Type::Float));
    let old = graph.inputs[0];
    graph.replace_uses(old, cast);
    graph.remove_input(old);
    let (a, b) = (graph.add_constant(Tensor::scalar(2.0)), graph.add_constant(Tensor::scalar(2.0)));
    assert_eq!(a, b);
    let y = graph.find("y").unwrap();
    let doubled = graph.add_node("Mul", &[Some(y), Some(a)], 1, none())[0];
    graph.rename(doubled, "y2");
    graph.set_outputs(&[doubled, y]);
    graph.infer().unwrap();

    let model = graph.to_model();
    let written = model.proto.graph.as_ref().unwrap();
    let order: Vec<&str> = written.node.iter().map(|n| n.op_type()).collect();
    assert_eq!(order, ["Cast", "Relu", "Conv", "Mul"]);
    let constants: Vec<&str> = written.initializer.iter().map(|t| t.name()).collect();
    assert_eq!(constants.len(), 2, "{constants:?}");
    assert_eq!(written.output[0].name(), "y2");
    assert_eq!(written.output[0], info("y2", Type::Float, Some(&[3, 1, 4, 4])));
    assert_eq!(model.proto.ir_version(), 8);
    Session::builder(&common::runtime()).unwrap().commit_from_memory(&model.to_bytes()).unwrap();
}

/// Nodes in the wrong order are sorted; a circle, a name made twice and a name made never are
/// said.
#[test]
fn names_that_do_not_add_up_are_said() {
    let wrong_order = vec![node("Neg", &["h"], &["y"], none()), node("Abs", &["x"], &["h"], none())];
    assert_eq!(ops(&read(&model(13, &[2], wrong_order, Vec::new()))), ["Abs", "Neg"]);

    let fails = |nodes: Vec<NodeProto>| {
        Graph::from_model(&Model::new(model(13, &[2], nodes, Vec::new()))).unwrap_err().to_string()
    };
    let circle = fails(vec![node("Add", &["y", "x"], &["h"], none()), node("Neg", &["h"], &["y"], none())]);
    assert!(circle.contains("circle"), "{circle}");
    let twice = fails(vec![node("Neg", &["x"], &["y"], none()), node("Abs", &["x"], &["y"], none())]);
    assert!(twice.contains("\"y\" is made twice"), "{twice}");
    let never = fails(vec![node("Neg", &["nowhere"], &["y"], none())]);
    assert!(never.contains("\"nowhere\""), "{never}");
    let output = fails(vec![node("Neg", &["x"], &["z"], none())]);
    assert!(output.contains("output \"y\""), "{output}");
}

/// An operator nobody knows has the shape the file declares, unless the input has another one.
#[test]
fn unknown_operators_have_the_declared_shape() {
    let mut strange = node("Strange", &["x"], &["h"], none());
    strange.domain = Some("elsewhere".into());
    let mut proto = model(13, &[2, 3], vec![strange, node("Relu", &["h"], &["y"], none())], Vec::new());
    proto.opset_import.push(OperatorSetIdProto { domain: Some("elsewhere".into()), version: Some(1) });
    proto.graph.as_mut().unwrap().value_info = vec![info("h", Type::Float, Some(&[2, 7]))];
    let mut graph = read(&proto);
    graph.infer().unwrap();
    assert_eq!(graph.shape(graph.outputs[0]), Some(&[2, 7][..]));
    graph.set_input_shape(graph.inputs[0], &[4, 3]);
    graph.infer().unwrap();
    assert_eq!(graph.shape(graph.outputs[0]), None);
    assert_eq!(graph.dtype(graph.outputs[0]), Some(Type::Float));
}
