//! Promise: nothing of an ONNX file is lost. Reading a model and writing it again, unchanged, gives
//! the same bytes.

mod common;

use gradcast::onnx::schema::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OptionalTypeProto, SequenceTypeProto,
    StringStringEntryProto, TypeProto, ValueInfoProto,
};
use gradcast::onnx::{Limits, Model, load};
use prost::Message;

#[test]
fn every_model_of_the_material_is_written_as_it_was_read() {
    for path in common::models() {
        let model = load(&path, &Limits::default()).unwrap();
        let written = model.to_bytes();
        assert!(written == std::fs::read(&path).unwrap(), "{} changed", path.display());
    }
}

/// Weights lie in the bytes of the file; they are not copied out of it.
#[test]
fn weights_share_the_bytes_of_the_file() {
    let Some(material) = common::material() else {
        return;
    };
    let path = material.join("models/mobilenet_v2_1.0_224_fp32.onnx");
    let bytes = bytes::Bytes::from(std::fs::read(path).unwrap());
    let range = bytes.as_ptr_range();
    let model = Model::from_bytes(bytes.clone(), &Limits::default()).unwrap();
    let graph = gradcast::onnx::Graph::from_model(&model).unwrap();
    let constants = graph.values().filter_map(|(_, v)| v.constant.as_ref());
    let large: Vec<_> = constants.filter(|t| t.data.len() > 1 << 16).collect();
    assert!(large.len() > 10);
    assert!(large.iter().all(|t| range.contains(&t.data.as_ptr())));
}

/// A field that is set to its default is not a field that is absent, and the members of a `oneof`
/// keep their place among the other fields.
#[test]
fn defaults_and_rare_fields_survive() {
    let entry = StringStringEntryProto { key: Some("k".into()), value: Some(String::new()) };
    let inner = TypeProto { denotation: Some("IMAGE".into()), ..TypeProto::default() };
    let optional = TypeProto {
        optional_type: Some(OptionalTypeProto { elem_type: Some(Box::new(inner)) }),
        denotation: Some(String::new()),
        ..TypeProto::default()
    };
    let sequence = TypeProto {
        sequence_type: Some(SequenceTypeProto { elem_type: Some(Box::new(optional)) }),
        ..TypeProto::default()
    };
    let attribute = AttributeProto {
        name: Some("axes".into()),
        i: Some(0),
        f: Some(0.0),
        ints: vec![0, -1],
        floats: vec![0.0],
        strings: vec![bytes::Bytes::new()],
        ..AttributeProto::default()
    };
    let node = NodeProto {
        op_type: Some(String::new()),
        domain: Some(String::new()),
        overload: Some("o".into()),
        input: vec![String::new(), "x".into()],
        attribute: vec![attribute],
        metadata_props: vec![entry.clone()],
        ..NodeProto::default()
    };
    let proto = ModelProto {
        ir_version: Some(10),
        model_version: Some(0),
        doc_string: Some(String::new()),
        metadata_props: vec![entry],
        functions: vec![FunctionProto { node: vec![node.clone()], ..FunctionProto::default() }],
        opset_import: vec![gradcast::onnx::schema::OperatorSetIdProto { domain: None, version: Some(17) }],
        graph: Some(GraphProto {
            node: vec![node],
            input: vec![ValueInfoProto { name: Some("x".into()), r#type: Some(sequence), ..ValueInfoProto::default() }],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    let bytes = proto.encode_to_vec();
    let model = Model::from_bytes(bytes.clone(), &Limits::default()).unwrap();
    assert_eq!(model.proto, proto);
    assert_eq!(model.to_bytes(), bytes);
}
