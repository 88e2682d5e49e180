//! Promise: shapes and types are those the runtime computes, and a graph that was read and written
//! again, older operator sets rewritten, gives the scores of the original.

mod common;

use std::collections::HashMap;
use std::path::Path;

use gradcast::onnx::schema::ValueInfoProto;
use gradcast::onnx::{DataType, Graph, Limits, Model, ValueId, load};
use ort::environment::Environment;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{Session, SessionInputValue};
use ort::value::{DynValue, Tensor, TensorElementType};

/// What a run answers: name, type, dimensions, and the values of floats and bytes.
type Answers = HashMap<String, (TensorElementType, Vec<usize>, Vec<f32>)>;

fn session(environment: &Environment, bytes: &[u8]) -> ort::Result<Session> {
    Session::builder(environment)?.with_optimization_level(GraphOptimizationLevel::Disable)?.commit_from_memory(bytes)
}

/// A picture that is the same at every run, in the type the input takes.
fn picture(dtype: DataType, dims: &[usize]) -> DynValue {
    let len = dims.iter().product();
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let bytes: Vec<u8> = (0..len).map(|_| next()).collect();
    let scaled = bytes.iter().map(|&b| f32::from(b) / 64.0 - 2.0);
    match dtype {
        DataType::Uint8 => Tensor::from_array((dims, bytes)).unwrap().into_dyn(),
        DataType::Float => Tensor::from_array((dims, scaled.collect::<Vec<_>>())).unwrap().into_dyn(),
        DataType::Float16 => {
            let halves: Vec<half::f16> = scaled.map(half::f16::from_f32).collect();
            Tensor::from_array((dims, halves)).unwrap().into_dyn()
        }
        other => panic!("an input of {other:?}"),
    }
}

fn run(environment: &Environment, model: &[u8], input: &str, value: &DynValue) -> Answers {
    let mut session = session(environment, model).unwrap();
    let inputs: Vec<(String, SessionInputValue)> = vec![(input.to_owned(), value.into())];
    let outputs = session.run(inputs).unwrap();
    let answers = outputs.iter().filter_map(|(name, value)| {
        let shape = value.shape();
        let dims: Vec<usize> = shape.iter().map(|&d| d as usize).collect();
        let dtype = value.dtype().tensor_type()?;
        let values = match dtype {
            TensorElementType::Float32 => value.try_extract_tensor::<f32>().unwrap().1.to_vec(),
            TensorElementType::Float16 => {
                let halves = value.try_extract_tensor::<half::f16>().unwrap().1;
                halves.iter().map(|h| h.to_f32()).collect()
            }
            TensorElementType::Uint8 => {
                let bytes = value.try_extract_tensor::<u8>().unwrap().1;
                bytes.iter().map(|&b| f32::from(b)).collect()
            }
            _ => Vec::new(),
        };
        Some((name.to_owned(), (dtype, dims, values)))
    });
    answers.collect()
}

fn element_type(dtype: DataType) -> TensorElementType {
    match dtype {
        DataType::Float => TensorElementType::Float32,
        DataType::Float16 => TensorElementType::Float16,
        DataType::Uint8 => TensorElementType::Uint8,
        DataType::Int8 => TensorElementType::Int8,
        DataType::Int32 => TensorElementType::Int32,
        DataType::Int64 => TensorElementType::Int64,
        DataType::Bool => TensorElementType::Bool,
        other => panic!("no counterpart of {other:?} is needed here"),
    }
}

/// The graph with a batch where the model leaves it free, its input and the input's shape.
fn prepared(model: &Model) -> (Graph, ValueId, Vec<usize>) {
    let mut graph = Graph::from_model(model).unwrap();
    assert_eq!(graph.inputs.len(), 1, "initialisers are no inputs");
    let input = graph.inputs[0];
    let declared = graph.declared_shape(input).unwrap();
    let dims: Vec<usize> = declared.into_iter().map(|d| d.unwrap_or(2)).collect();
    graph.set_input_shape(input, &dims);
    graph.infer().unwrap();
    (graph, input, dims)
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap().to_string_lossy()
}

#[test]
fn every_value_has_the_shape_and_type_the_runtime_computes() {
    let environment = common::runtime();
    for path in common::models() {
        let model = load(&path, &Limits::default()).unwrap();
        let (graph, input, dims) = prepared(&model);

        let mut open = model.proto.clone();
        let proto = open.graph.as_mut().unwrap();
        let outputs = proto.node.iter().flat_map(|n| n.output.iter()).filter(|n| !n.is_empty());
        let known: Vec<String> = proto.output.iter().map(|o| o.name().to_owned()).collect();
        let more = outputs
            .filter(|n| !known.contains(n))
            .map(|n| ValueInfoProto { name: Some(n.clone()), ..ValueInfoProto::default() });
        let more: Vec<ValueInfoProto> = more.collect();
        proto.output.extend(more);
        let value = picture(graph.dtype(input).unwrap(), &dims);
        let bytes = Model::new(open).to_bytes();
        let answers = run(&environment, &bytes, &graph.value(input).name, &value);

        let mut compared = 0;
        for (answer, (dtype, shape, _)) in &answers {
            // A Constant node of the file, or a value that folding made unnecessary, is there too.
            let id = graph.find(answer).unwrap();
            assert_eq!(graph.shape(id), Some(&shape[..]), "{}: {answer}", name(&path));
            // Before operator set 10 the mask of a Dropout had the type of its input.
            let mask = graph
                .producer(id)
                .is_some_and(|n| graph.node(n).op_type == "Dropout" && graph.node(n).output(1) == Some(id));
            if !mask {
                let inferred = graph.dtype(id).map(element_type);
                assert_eq!(inferred, Some(*dtype), "{}: {answer}", name(&path));
            }
            compared += 1;
        }
        println!("{}: {compared} values as the runtime has them", name(&path));
        assert!(compared > 20, "{}", name(&path));
    }
}

#[test]
fn a_written_graph_scores_as_the_original() {
    let environment = common::runtime();
    for path in common::models() {
        let model = load(&path, &Limits::default()).unwrap();
        let (graph, input, dims) = prepared(&model);
        let written = graph.to_model();
        assert!(written.proto.ir_version() >= 8 && written.proto.ir_version() <= 13);
        let value = picture(graph.dtype(input).unwrap(), &dims);
        let feed = &graph.value(input).name;
        let expected = run(&environment, &std::fs::read(&path).unwrap(), feed, &value);
        let found = run(&environment, &written.to_bytes(), feed, &value);
        assert_eq!(expected.len(), found.len());
        for (answer, (dtype, shape, values)) in &expected {
            let (new_dtype, new_shape, new_values) = &found[answer];
            assert_eq!((dtype, shape), (new_dtype, new_shape), "{}: {answer}", name(&path));
            // The constant weights of the light models overflow in places, alike in both.
            let light = path.parent().is_some_and(|p| p.ends_with("light"));
            assert!(light || values.iter().all(|v| v.is_finite()), "{}", name(&path));
            let finite = values.iter().filter(|v| v.is_finite());
            let largest = finite.fold(0f32, |m, v| m.max(v.abs()));
            let close = if *dtype == TensorElementType::Float16 { 1e-3 } else { 1e-5 };
            let same = |a: f32, b: f32| (a - b).abs() <= close * largest || a == b || (a.is_nan() && b.is_nan());
            assert!(!values.is_empty() && values.len() == new_values.len());
            let off = values.iter().zip(new_values).position(|(a, b)| !same(*a, *b));
            assert!(off.is_none(), "{}: {answer} differs at {off:?}", name(&path));
        }
    }
}

/// What was written can be read again, and then nothing changes any more.
#[test]
fn writing_twice_changes_nothing() {
    for path in common::models() {
        let model = load(&path, &Limits::default()).unwrap();
        let (graph, ..) = prepared(&model);
        let once = graph.to_model();
        let again = Model::from_bytes(once.to_bytes(), &Limits::default()).unwrap();
        let (graph, ..) = prepared(&again);
        assert!(graph.to_model().to_bytes() == once.to_bytes(), "{}", name(&path));
    }
}

/// The batch reaches every value that depends on the input.
#[test]
fn a_batch_goes_through_the_whole_graph() {
    let Some(material) = common::material() else {
        return;
    };
    let path = material.join("models/mobilenet_v2_1.0_224_fp32.onnx");
    let model = load(&path, &Limits::default()).unwrap();
    let mut graph = Graph::from_model(&model).unwrap();
    let input = graph.inputs[0];
    for batch in [8, 1] {
        graph.set_input_shape(input, &[batch, 3, 224, 224]);
        graph.infer().unwrap();
        for (id, node) in graph.nodes().map(|(id, n)| (id, n.clone())).collect::<Vec<_>>() {
            let output = node.output(0).unwrap();
            assert_eq!(graph.shape(output).unwrap()[0], batch, "{id:?}");
            assert!(!graph.is_constant(output));
        }
    }
}

/// A size the model cannot take is an error that says where and why.
#[test]
fn a_size_that_does_not_fit_is_said() {
    let Some(material) = common::material() else {
        return;
    };
    let path = material.join("models/light/light_bvlc_alexnet.onnx");
    let mut graph = Graph::from_model(&load(&path, &Limits::default()).unwrap()).unwrap();
    graph.set_input_shape(graph.inputs[0], &[1, 3, 320, 320]);
    let error = graph.infer().unwrap_err();
    assert!(error.to_string().contains("Reshape"), "{error}");
    assert!(error.hint().contains("--input-size"), "{}", error.hint());
}
