//! A model into the arena.

use std::collections::{HashMap, HashSet};

use super::graph::{Graph, Node, Opaque, Value, ValueId, declared_dtype, static_shape};
use super::infer;
use super::names;
use super::schema::{AttributeType, GraphProto, ModelProto, NodeProto, TensorProto};
use super::tensor::Tensor;
use super::{Attributes, DataType, GraphError, Model};

/// The operator set that older models are rewritten to.
pub(super) const BASE_OPSET: i64 = 13;
/// The oldest operator set that is understood.
pub(super) const OLDEST_OPSET: i64 = 7;
/// The newest operator set whose operators are known; later ones are read as if they were alike.
pub(super) const NEWEST_OPSET: i64 = 26;

impl Graph {
    /// Reads the graph of a model. The model's own functions are unfolded, operator sets 7 to 12
    /// are rewritten to 13, initialisers leave the list of inputs, `Constant` nodes become
    /// constants, and an `If` whose condition is known goes. Weights are shared with the model,
    /// not copied. Shapes are inferred as far as the declared input shapes are static.
    ///
    /// # Errors
    /// No graph, too old an operator set, names that do not add up, damaged constants.
    pub fn from_model(model: &Model) -> Result<Self, GraphError> {
        let proto = &model.proto;
        let mut graph = proto.graph.clone().ok_or(GraphError::NoGraph)?;
        let found = standard_opset(proto);
        let mut opset = found.unwrap_or(BASE_OPSET);
        if opset < OLDEST_OPSET {
            return Err(GraphError::Opset { found: opset });
        }
        if opset > NEWEST_OPSET {
            tracing::warn!(
                opset,
                "the model uses a newer operator set than is known ({NEWEST_OPSET}); operators that changed since may be misread"
            );
        }
        super::functions::unfold(&mut graph, &proto.functions, model.limits().nodes)?;
        if opset < BASE_OPSET {
            let facts = super::uplift::Facts::of(&graph, opset)?;
            super::uplift::uplift(&mut graph, opset, &facts)?;
            opset = BASE_OPSET;
        }
        let mut arena = build(&graph, opset)?;
        arena.shell = shell(proto, &graph);
        arena.path = model.path.clone();
        arena.limits = model.limits().clone();
        infer::graph(&mut arena, infer::Mode::Unconditional)?;
        infer::graph(&mut arena, infer::Mode::Lenient)?;
        Ok(arena)
    }
}

/// The version of the standard operators a model imports, `None` where it imports others only.
pub(super) fn standard_opset(proto: &ModelProto) -> Option<i64> {
    let standard = |domain: &str| matches!(domain, "" | "ai.onnx");
    let import = proto.opset_import.iter().filter(|o| standard(o.domain()));
    match import.map(|o| o.version()).max() {
        None if proto.opset_import.is_empty() => Some(1),
        found => found,
    }
}

/// A model's message without what the arena holds.
fn shell(proto: &ModelProto, graph: &GraphProto) -> ModelProto {
    ModelProto {
        ir_version: proto.ir_version,
        opset_import: proto.opset_import.clone(),
        producer_name: proto.producer_name.clone(),
        producer_version: proto.producer_version.clone(),
        domain: proto.domain.clone(),
        model_version: proto.model_version,
        doc_string: proto.doc_string.clone(),
        metadata_props: proto.metadata_props.clone(),
        graph: Some(GraphProto {
            name: graph.name.clone(),
            doc_string: graph.doc_string.clone(),
            metadata_props: graph.metadata_props.clone(),
            quantization_annotation: graph.quantization_annotation.clone(),
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    }
}

/// The arena of a graph message, nothing inferred yet.
pub(super) fn build(proto: &GraphProto, opset: i64) -> Result<Graph, GraphError> {
    let mut graph = Graph { opset, ..Graph::default() };
    graph.reserve(proto);
    for tensor in &proto.initializer {
        // Repeated initialisers exist in the wild; the first one counts.
        if !tensor.name().is_empty() && graph.find(tensor.name()).is_none() {
            constant(&mut graph, tensor.name(), tensor)?;
        }
    }
    for sparse in &proto.sparse_initializer {
        let Some(values) = &sparse.values else {
            continue;
        };
        if values.name().is_empty() || graph.find(values.name()).is_some() {
            continue;
        }
        let shape = sparse.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
        let value =
            Value { name: values.name().to_owned(), dtype: Some(values.data_type()), shape, ..Value::default() };
        let id = graph.push_value(value, false);
        graph.opaque.insert(id, Opaque::Sparse(Box::new(sparse.clone())));
    }
    for input in &proto.input {
        if input.name().is_empty() || graph.find(input.name()).is_some() {
            continue;
        }
        let value = Value {
            name: input.name().to_owned(),
            dtype: declared_dtype(input),
            shape: static_shape(input),
            ..Value::default()
        };
        let id = graph.push_value(value, true);
        graph.inputs.push(id);
        graph.declared.insert(id, input.clone());
    }
    graph.add_protos(&proto.node, &HashMap::new())?;
    for info in proto.value_info.iter().chain(&proto.output) {
        if let Some(id) = graph.find(info.name()) {
            graph.declared.insert(id, info.clone());
        }
    }
    for output in &proto.output {
        let id = graph.find(output.name());
        graph.outputs.push(id.ok_or_else(|| GraphError::UndefinedOutput(output.name().into()))?);
    }
    graph.sort()?;
    Ok(graph)
}

/// Adds a constant of the file.
pub(super) fn constant(graph: &mut Graph, name: &str, tensor: &TensorProto) -> Result<ValueId, GraphError> {
    let damaged = |source| GraphError::Tensor { name: name.to_owned(), source };
    Ok(match Tensor::from_proto(tensor).map_err(damaged)? {
        Some(tensor) => graph.push_constant(name.to_owned(), tensor),
        None => {
            let shape = tensor.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
            let dtype = Some(tensor.data_type());
            let value = Value { name: name.to_owned(), dtype, shape, ..Value::default() };
            let id = graph.push_value(value, false);
            graph.opaque.insert(id, Opaque::Dense(Box::new(tensor.clone())));
            id
        }
    })
}

impl Graph {
    /// Appends nodes of a message. `bound` gives outputs that exist already (those of an `If` that
    /// is being replaced); every other output becomes a new value.
    pub(super) fn add_protos(
        &mut self,
        protos: &[NodeProto],
        bound: &HashMap<String, ValueId>,
    ) -> Result<(), GraphError> {
        for proto in protos {
            for name in proto.output.iter().filter(|n| !n.is_empty() && !bound.contains_key(*n)) {
                if self.find(name).is_some() {
                    return Err(GraphError::Duplicate(name.clone()));
                }
                if !self.add_constant_node(proto, name)? {
                    self.push_value(Value { name: name.clone(), ..Value::default() }, true);
                }
            }
        }
        for proto in protos {
            let known = proto
                .output
                .first()
                .and_then(|n| self.find(n))
                .is_some_and(|v| self.value(v).constant.is_some() || self.opaque.contains_key(&v));
            if is_constant_node(proto) && known {
                continue;
            }
            let node = self.node_of(proto, bound)?;
            self.push_node(node);
        }
        Ok(())
    }

    fn node_of(&self, proto: &NodeProto, bound: &HashMap<String, ValueId>) -> Result<Node, GraphError> {
        let label = || match proto.name() {
            "" => format!("{} (unnamed)", proto.op_type()),
            name => format!("{name:?}"),
        };
        let read =
            |name: &str| self.find(name).ok_or_else(|| GraphError::Undefined { node: label(), value: name.to_owned() });
        let optional = |name: &String| match name.as_str() {
            "" => Ok(None),
            name => read(name).map(Some),
        };
        let mut captures = Vec::new();
        let mut seen = HashSet::new();
        for body in names::bodies(proto) {
            for name in names::captured(body) {
                let value = read(name)?;
                if seen.insert(value) {
                    captures.push(value);
                }
            }
        }
        let made = |name: &String| bound.get(name).copied().or_else(|| self.find(name));
        Ok(Node {
            name: proto.name().to_owned(),
            op_type: proto.op_type().to_owned(),
            domain: match proto.domain() {
                "ai.onnx" => String::new(),
                domain => domain.to_owned(),
            },
            inputs: proto.input.iter().map(optional).collect::<Result<_, _>>()?,
            outputs: proto.output.iter().map(made).collect(),
            attributes: Attributes(proto.attribute.clone()),
            captures,
        })
    }

    /// Adds the value of a `Constant` node as a constant; `false` where the node is none or has no
    /// attribute that is known.
    fn add_constant_node(&mut self, proto: &NodeProto, name: &str) -> Result<bool, GraphError> {
        if !is_constant_node(proto) {
            return Ok(false);
        }
        let Some(attribute) = proto.attribute.first() else {
            return Ok(false);
        };
        let tensor = match attribute.name() {
            "value" => match &attribute.t {
                Some(tensor) => return constant(self, name, tensor).map(|_| true),
                None => return Ok(false),
            },
            "sparse_value" => {
                let Some(sparse) = &attribute.sparse_tensor else {
                    return Ok(false);
                };
                let shape = sparse.dims.iter().map(|&d| usize::try_from(d).ok()).collect();
                let dtype = sparse.values.as_ref().map(|v| v.data_type());
                let value = Value { name: name.to_owned(), dtype, shape, ..Value::default() };
                let id = self.push_value(value, false);
                self.opaque.insert(id, Opaque::Sparse(sparse.clone()));
                return Ok(true);
            }
            "value_float" => Tensor::scalar(attribute.f()),
            "value_floats" => Tensor::f32(&[attribute.floats.len()], &attribute.floats),
            "value_int" => Tensor::i64(&[], &[attribute.i()]),
            "value_ints" => Tensor::vec_i64(&attribute.ints),
            "value_string" | "value_strings" => {
                let list = attribute.r#type() == AttributeType::Strings;
                let tensor = TensorProto {
                    dims: if list { vec![attribute.strings.len() as i64] } else { Vec::new() },
                    data_type: Some(DataType::String.into()),
                    string_data: match list {
                        true => attribute.strings.clone(),
                        false => attribute.s.clone().into_iter().collect(),
                    },
                    ..TensorProto::default()
                };
                return constant(self, name, &tensor).map(|_| true);
            }
            _ => return Ok(false),
        };
        self.push_constant(name.to_owned(), tensor);
        Ok(true)
    }
}

fn is_constant_node(proto: &NodeProto) -> bool {
    proto.op_type() == "Constant" && matches!(proto.domain(), "" | "ai.onnx")
}
