//! Small questions about a graph that several parts of the explanation ask.

use crate::onnx::{DataType, Graph, Node, NodeId, ValueId};

/// The node that makes `value`, with its id.
pub(super) fn producer(graph: &Graph, value: ValueId) -> Option<(NodeId, &Node)> {
    let id = graph.producer(value)?;
    Some((id, graph.node(id)))
}

/// Whether `value` holds real numbers that a gradient can be counted in. A tensor whose type could
/// not be worked out (behind an unknown operator) is taken for one; it is cast where it is read.
pub(super) fn is_float(graph: &Graph, value: ValueId) -> bool {
    let floats = [DataType::Float, DataType::Float16, DataType::Bfloat16, DataType::Double];
    match graph.dtype(value) {
        Some(dtype) => floats.contains(&dtype),
        None => graph.shape(value).is_some(),
    }
}

/// The name people see for a node: its own, or its first output's.
pub(super) fn node_name(graph: &Graph, node: &Node) -> String {
    match (node.name.is_empty(), node.output(0)) {
        (true, Some(output)) => graph.value(output).name.clone(),
        _ => node.name.clone(),
    }
}

/// Follows `value` back through operators that only rename, reshape, retype or (de)quantise it.
pub(super) fn is_pass_through(op: &str) -> bool {
    matches!(
        op,
        "Identity"
            | "Dropout"
            | "Cast"
            | "Reshape"
            | "Flatten"
            | "Squeeze"
            | "Unsqueeze"
            | "QuantizeLinear"
            | "DequantizeLinear"
    )
}

/// Whether an operator pools.
pub(super) fn is_pool(op: &str) -> bool {
    matches!(
        op,
        "MaxPool"
            | "AveragePool"
            | "LpPool"
            | "GlobalAveragePool"
            | "GlobalMaxPool"
            | "GlobalLpPool"
            | "ReduceMean"
            | "ReduceMax"
            | "ReduceSum"
    )
}
