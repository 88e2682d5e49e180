//! Small models made by hand.

use gradcast::onnx::Attributes;
use gradcast::onnx::schema::{
    DataType as Type, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, ValueInfoProto,
};

/// `op(inputs) -> outputs`, an empty name for one left out.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: Attributes) -> NodeProto {
    let list = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    NodeProto {
        op_type: Some(op.into()),
        input: list(inputs),
        output: list(outputs),
        attribute: attributes.0,
        ..NodeProto::default()
    }
}

/// No attributes.
pub fn none() -> Attributes {
    Attributes::new()
}

/// A value of some type; a dimension below 0 is free.
pub fn info(name: &str, dtype: Type, dims: Option<&[i64]>) -> ValueInfoProto {
    let dim = |&d: &i64| match d {
        -1 => Dimension { dim_param: Some("N".into()), ..Dimension::default() },
        d => Dimension { dim_value: Some(d), ..Dimension::default() },
    };
    let shape = dims.map(|d| TensorShapeProto { dim: d.iter().map(dim).collect() });
    ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto { elem_type: Some(dtype.into()), shape }),
            ..TypeProto::default()
        }),
        ..ValueInfoProto::default()
    }
}

/// A model with the float input `x` and the output `y`.
pub fn model(opset: i64, x: &[i64], nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> ModelProto {
    ModelProto {
        ir_version: Some(if opset < 9 { 3 } else { 7 }),
        opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) }],
        graph: Some(GraphProto {
            name: Some("test".into()),
            node: nodes,
            // IR 3 wants initialisers among the inputs.
            input: std::iter::once(info("x", Type::Float, Some(x)))
                .chain(constants.iter().map(|t| info(t.name(), t.data_type(), Some(&t.dims))))
                .collect(),
            output: vec![info("y", Type::Float, None)],
            initializer: constants,
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}
