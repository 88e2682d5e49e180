//! The arena into a model: what the outputs need, sorted, with its inputs and outputs described.

use std::collections::HashSet;

use super::Model;
use super::graph::{Graph, Opaque, ValueId};
use super::schema::{
    Dimension, GraphProto, NodeProto, OperatorSetIdProto, TensorShapeProto, TensorTypeProto, ValueInfoProto,
};

/// The lowest IR version that is written: older ones restrict initialisers and types.
const LOWEST_IR: i64 = 8;

impl Graph {
    /// The model of this graph: nodes and initialisers that no output needs are left out, values
    /// whose contents are known become initialisers instead of being computed, nodes are in
    /// topological order, and the declarations of intermediate values, which edits make stale, are
    /// dropped. Metadata and the operator sets of other domains are kept. The IR version is raised
    /// to 8 where it is lower.
    pub fn to_model(&self) -> Model {
        let (nodes, constants) = self.needed();
        let graph = GraphProto {
            node: self.node_protos(&nodes),
            initializer: constants.iter().filter_map(|&v| self.initializer(v)).collect(),
            sparse_initializer: constants
                .iter()
                .filter_map(|v| match self.opaque.get(v) {
                    Some(Opaque::Sparse(sparse)) => {
                        let mut sparse = sparse.clone();
                        sparse.values.as_mut()?.name = Some(self.value(*v).name.clone());
                        Some(*sparse)
                    }
                    _ => None,
                })
                .collect(),
            input: self.inputs.iter().map(|&v| self.describe(v)).collect(),
            output: self.outputs.iter().map(|&v| self.describe(v)).collect(),
            ..self.graph_shell(&nodes, &constants)
        };
        let mut proto = self.shell.clone();
        proto.ir_version = Some(proto.ir_version().max(LOWEST_IR));
        proto.graph = Some(graph);
        let standard = |o: &OperatorSetIdProto| matches!(o.domain(), "" | "ai.onnx");
        proto.opset_import.retain(|o| !standard(o));
        proto.opset_import.insert(0, OperatorSetIdProto { domain: Some(String::new()), version: Some(self.opset) });
        Model::assemble(proto, self.path.clone(), self.limits.clone())
    }

    /// The nodes the outputs need, in topological order, and the constants these read.
    fn needed(&self) -> (Vec<usize>, Vec<ValueId>) {
        let mut node_needed = vec![false; self.nodes.len()];
        let mut value_seen = vec![false; self.values.len()];
        let mut constants = Vec::new();
        // An output keeps its node even where its contents are known: runtimes expect an output
        // to be computed.
        let mut open: Vec<(ValueId, bool)> = self.outputs.iter().map(|&v| (v, true)).collect();
        while let Some((value, output)) = open.pop() {
            let first = !std::mem::replace(&mut value_seen[value.index()], true);
            let known = self.value(value).constant.is_some() || self.opaque.contains_key(&value);
            match self.producer(value) {
                Some(node) if (output || !known) && !std::mem::replace(&mut node_needed[node.index()], true) => {
                    open.extend(self.node(node).reads().map(|v| (v, false)));
                }
                _ if known && first => constants.push(value),
                _ => {}
            }
        }
        // A value that its needed node makes is not an initialiser as well.
        constants.retain(|&v| self.producer(v).is_none_or(|n| !node_needed[n.index()]));
        constants.sort_unstable();
        // A circle cannot be sorted; it is written as it stands, for the runtime to refuse.
        let order = self.order().unwrap_or_else(|_| (0..self.nodes.len()).collect());
        (order.into_iter().filter(|&i| node_needed[i]).collect(), constants)
    }

    fn node_protos(&self, nodes: &[usize]) -> Vec<NodeProto> {
        let mut taken = HashSet::new();
        let names = |list: &[Option<ValueId>]| -> Vec<String> {
            list.iter().map(|v| v.map_or_else(String::new, |v| self.value(v).name.clone())).collect()
        };
        nodes
            .iter()
            .map(|&index| {
                let node = &self.nodes[index];
                let mut name = node.name.clone();
                if !name.is_empty() && !taken.insert(name.clone()) {
                    let copies = 1u64..;
                    name = copies
                        .map(|n| format!("{}_{n}", node.name))
                        .find(|n| taken.insert(n.clone()))
                        .unwrap_or_default();
                }
                NodeProto {
                    name: (!name.is_empty()).then_some(name),
                    op_type: Some(node.op_type.clone()),
                    domain: (!node.domain.is_empty()).then(|| node.domain.clone()),
                    input: names(&node.inputs),
                    output: names(&node.outputs),
                    attribute: node.attributes.0.clone(),
                    ..NodeProto::default()
                }
            })
            .collect()
    }

    fn initializer(&self, id: ValueId) -> Option<super::schema::TensorProto> {
        let value = self.value(id);
        match (&value.constant, self.opaque.get(&id)) {
            (Some(tensor), _) => Some(tensor.to_proto(&value.name)),
            (None, Some(Opaque::Dense(tensor))) => {
                let mut tensor = tensor.clone();
                tensor.name = Some(value.name.clone());
                Some(*tensor)
            }
            _ => None,
        }
    }

    /// The declaration of a graph input or output: what is inferred, else what the file declared.
    fn describe(&self, id: ValueId) -> ValueInfoProto {
        let value = self.value(id);
        let mut info = self.declared.get(&id).cloned().unwrap_or_default();
        info.name = Some(value.name.clone());
        let declared = info.r#type.get_or_insert_default();
        let tensor_like = declared.sequence_type.is_none()
            && declared.map_type.is_none()
            && declared.optional_type.is_none()
            && declared.sparse_tensor_type.is_none()
            && declared.opaque_type.is_none();
        if !tensor_like {
            return info;
        }
        if value.dtype.is_none() && declared.tensor_type.is_none() {
            // Nothing is known: the runtime infers it.
            info.r#type = None;
            return info;
        }
        let tensor = declared.tensor_type.get_or_insert_with(TensorTypeProto::default);
        if let Some(dtype) = value.dtype {
            tensor.elem_type = Some(dtype.into());
        }
        match &value.shape {
            Some(dims) => tensor.shape = Some(shape_proto(dims)),
            // A declared output shape may not hold for the shapes the inputs have now.
            None if self.reshaped => tensor.shape = None,
            None => {}
        }
        info
    }

    /// The parts of the graph message that are neither nodes nor values.
    fn graph_shell(&self, nodes: &[usize], constants: &[ValueId]) -> GraphProto {
        let mut shell = self.shell.graph.clone().unwrap_or_default();
        let mut written: HashSet<&str> = HashSet::new();
        let made = nodes.iter().flat_map(|&n| self.nodes[n].outputs.iter().flatten().copied());
        written.extend(
            made.chain(constants.iter().copied())
                .chain(self.inputs.iter().copied())
                .map(|v| self.value(v).name.as_str()),
        );
        shell.quantization_annotation.retain(|a| {
            written.contains(a.tensor_name())
                && a.quant_parameter_tensor_names.iter().all(|p| written.contains(p.value()))
        });
        shell
    }
}

/// A static shape as a message.
fn shape_proto(dims: &[usize]) -> TensorShapeProto {
    let dim = |&d: &usize| Dimension { dim_value: Some(d as i64), ..Dimension::default() };
    TensorShapeProto { dim: dims.iter().map(dim).collect() }
}
