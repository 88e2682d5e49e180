//! A graph as an arena: values and nodes live in two vectors and name each other by index.
//!
//! A graph read from a file has its nodes in topological order, and new nodes are appended, so an
//! edit (the backward pass, a new input stage) never invalidates an id. Only
//! [`Graph::replace_uses`] can make a node read what a later one makes; [`Graph::infer`] and
//! [`Graph::to_model`] sort for themselves.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::infer;
use super::names;
use super::schema::{DataType, GraphProto, ModelProto, SparseTensorProto, TensorProto, ValueInfoProto};
use super::tensor::Tensor;
use super::{Attributes, GraphError};

/// The prefix of every name the graph invents.
const FRESH: &str = "gradcast/";

/// Constants up to this many bytes are shared when they are equal.
const SHARED_BYTES: usize = 4096;

/// Names a [`Value`] of one [`Graph`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub(super) u32);

impl ValueId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Names a [`Node`] of one [`Graph`]; ascending ids are a topological order until
/// [`Graph::replace_uses`] is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Something that flows along an edge: a graph input, a constant, or the output of a node.
#[derive(Debug, Clone, Default)]
pub struct Value {
    /// The ONNX name; unique in its graph.
    pub name: String,
    /// The element type, where it is known.
    pub dtype: Option<DataType>,
    /// The static shape, where it is known. Batch and input size are fixed, so after
    /// [`Graph::infer`] nearly every value has one.
    pub shape: Option<Vec<usize>>,
    /// Its contents, where they are known when the graph is written: an initialiser, a `Constant`
    /// node, or shape arithmetic that folded.
    pub constant: Option<Tensor>,
    /// The node that makes it; `None` for inputs and initialisers.
    pub producer: Option<NodeId>,
}

/// One operator call. A missing optional input or output is `None` (ONNX: an empty name).
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// The name of the node; may be empty.
    pub name: String,
    /// The operator.
    pub op_type: String,
    /// Empty for the standard operators (`ai.onnx` is normalised to empty).
    pub domain: String,
    /// What it reads.
    pub inputs: Vec<Option<ValueId>>,
    /// What it makes.
    pub outputs: Vec<Option<ValueId>>,
    /// Its attributes, bodies of control flow included.
    pub attributes: Attributes,
    /// The outer values that its bodies (`If`, `Loop`, `Scan`) read by name.
    pub captures: Vec<ValueId>,
}

impl Node {
    /// The `index`-th input, `None` where it is absent or left out.
    pub fn input(&self, index: usize) -> Option<ValueId> {
        self.inputs.get(index).copied().flatten()
    }

    /// The `index`-th output, `None` where it is absent or left out.
    pub fn output(&self, index: usize) -> Option<ValueId> {
        self.outputs.get(index).copied().flatten()
    }

    /// Every value the node depends on: its inputs and what its bodies capture.
    pub fn reads(&self) -> impl Iterator<Item = ValueId> {
        self.inputs.iter().flatten().chain(&self.captures).copied()
    }

    /// How to call the node in a message: its name, or the name of its first output.
    pub(super) fn label(&self, graph: &Graph) -> String {
        if !self.name.is_empty() {
            return format!("{:?}", self.name);
        }
        let made = self.outputs.iter().flatten().next();
        made.map_or_else(|| "without a name".into(), |&v| format!("of {:?}", graph.value(v).name))
    }
}

/// A constant that has no raw bytes: strings, sparse tensors, types of a newer schema. It is
/// carried along and never looked into.
#[derive(Debug, Clone)]
pub(super) enum Opaque {
    Dense(Box<TensorProto>),
    Sparse(Box<SparseTensorProto>),
}

/// The graph of a model, ready to be understood and extended. Made by [`Graph::from_model`].
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub(super) values: Vec<Value>,
    pub(super) nodes: Vec<Node>,
    /// The graph inputs (initialisers are not among them).
    pub inputs: Vec<ValueId>,
    /// The graph outputs, in order.
    pub outputs: Vec<ValueId>,
    pub(super) names: HashMap<String, ValueId>,
    /// Names that bodies use for themselves: no outer value may take one.
    pub(super) reserved: HashSet<String>,
    /// Per value: whether it depends on a graph input (or on chance).
    pub(super) varies: Vec<bool>,
    pub(super) opaque: HashMap<ValueId, Opaque>,
    /// What the file says about inputs, outputs and intermediate values.
    pub(super) declared: HashMap<ValueId, ValueInfoProto>,
    /// An input has another shape than the file declares, so declared shapes say nothing.
    pub(super) reshaped: bool,
    pub(super) shared: HashMap<(DataType, Vec<usize>, Bytes), ValueId>,
    /// The model without its graph's contents.
    pub(super) shell: ModelProto,
    pub(super) path: Option<std::path::PathBuf>,
    pub(super) limits: super::Limits,
    pub(super) opset: i64,
    pub(super) fresh: u64,
}

impl Graph {
    /// The version of the standard operators that the nodes are written in; 13 or later.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// A value. Ids of another graph are a mistake of the caller and panic.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// A node. Ids of another graph are a mistake of the caller and panic.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// Every node, in order of id.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(i, n)| (NodeId(i as u32), n))
    }

    /// Every value, in order of id.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = (ValueId, &Value)> {
        self.values.iter().enumerate().map(|(i, v)| (ValueId(i as u32), v))
    }

    /// The value of this name.
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.names.get(name).copied()
    }

    /// The first node of this name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes().find(|(_, n)| n.name == name).map(|(id, _)| id)
    }

    /// The static shape of a value, where it is known.
    pub fn shape(&self, id: ValueId) -> Option<&[usize]> {
        self.value(id).shape.as_deref()
    }

    /// The element type of a value, where it is known.
    pub fn dtype(&self, id: ValueId) -> Option<DataType> {
        self.value(id).dtype
    }

    /// The contents of a value, where they are known.
    pub fn constant(&self, id: ValueId) -> Option<&Tensor> {
        self.value(id).constant.as_ref()
    }

    /// The node that makes a value; `None` for graph inputs and constants of the file.
    pub fn producer(&self, id: ValueId) -> Option<NodeId> {
        self.value(id).producer
    }

    /// The nodes that read a value, bodies that capture it included, each once, in order of id.
    pub fn consumers(&self, id: ValueId) -> Vec<NodeId> {
        self.nodes().filter(|(_, n)| n.reads().any(|v| v == id)).map(|(n, _)| n).collect()
    }

    /// Whether a value is the same whatever the graph inputs are, its contents known or not: an
    /// initialiser, what is computed from such, and what [`Graph::infer`] folded.
    pub fn is_constant(&self, id: ValueId) -> bool {
        self.value(id).constant.is_some() || !self.varies[id.index()]
    }

    /// Adds a graph input of a fixed shape. A value that has the name already gets another.
    pub fn add_input(&mut self, name: &str, dtype: DataType, dims: &[usize]) -> ValueId {
        self.vacate(name);
        let value = Value { name: name.to_owned(), dtype: Some(dtype), shape: Some(dims.to_vec()), ..Value::default() };
        let id = self.push_value(value, true);
        self.inputs.push(id);
        id
    }

    /// Adds a constant. An equal one that was added before is used again.
    pub fn add_constant(&mut self, tensor: Tensor) -> ValueId {
        let key = (tensor.data.len() <= SHARED_BYTES).then(|| (tensor.dtype, tensor.dims.clone(), tensor.data.clone()));
        if let Some(&id) = key.as_ref().and_then(|k| self.shared.get(k)) {
            return id;
        }
        let name = self.fresh_name("constant");
        let id = self.push_constant(name, tensor);
        if let Some(key) = key {
            self.shared.insert(key, id);
        }
        id
    }

    /// Appends a standard operator and answers its outputs, their types and shapes inferred as far
    /// as those of the inputs are known. Shapes that do not fit leave the outputs unknown here;
    /// [`Graph::infer`] reports them.
    pub fn add_node(
        &mut self,
        op_type: &str,
        inputs: &[Option<ValueId>],
        n_outputs: usize,
        attributes: Attributes,
    ) -> Vec<ValueId> {
        let name = self.fresh_name(op_type);
        let outputs: Vec<ValueId> = (0..n_outputs)
            .map(|i| {
                let name = if i == 0 { name.clone() } else { self.fresh_name(op_type) };
                self.push_value(Value { name, ..Value::default() }, true)
            })
            .collect();
        let mut captures = Vec::new();
        for body in attributes.graphs() {
            captures.extend(names::captured(body).into_iter().filter_map(|n| self.find(n)));
            let mut inner = HashSet::new();
            names::graph_names(body, &mut inner);
            self.reserved.extend(inner.into_iter().map(str::to_owned));
        }
        let id = self.push_node(Node {
            name,
            op_type: op_type.to_owned(),
            domain: String::new(),
            inputs: inputs.to_vec(),
            outputs: outputs.iter().copied().map(Some).collect(),
            attributes,
            captures,
        });
        if let Err(error) = infer::node(self, id) {
            tracing::debug!(%error, "shapes of an added node are unknown");
        }
        outputs
    }

    /// Gives a value another name, everywhere it is used. A value that has the name already gets
    /// a fresh one.
    pub fn rename(&mut self, id: ValueId, name: &str) {
        if self.value(id).name == name {
            return;
        }
        self.vacate(name);
        self.set_name(id, name.to_owned());
    }

    /// Makes every node that reads `old` read `new` instead, captures by bodies included. Nodes
    /// that `new` itself depends on keep reading `old` (the new input stage that is put between
    /// the two), and graph outputs stay what they are ([`Graph::set_outputs`]).
    pub fn replace_uses(&mut self, old: ValueId, new: ValueId) {
        if old == new {
            return;
        }
        let keep = self.ancestors(new);
        let (old_name, new_name) = (self.value(old).name.clone(), self.value(new).name.clone());
        for (index, node) in self.nodes.iter_mut().enumerate() {
            if keep[index] {
                continue;
            }
            for input in node.inputs.iter_mut().flatten().filter(|v| **v == old) {
                *input = new;
            }
            if node.captures.contains(&old) {
                node.captures.retain(|&v| v != old && v != new);
                node.captures.push(new);
                for body in node.attributes.graphs_mut() {
                    names::recapture(body, &old_name, &new_name);
                }
            }
        }
        infer::refresh_varies(self);
    }

    /// Sets the graph outputs, in order.
    pub fn set_outputs(&mut self, outputs: &[ValueId]) {
        self.outputs = outputs.to_vec();
    }

    /// Takes a value out of the graph inputs (something else feeds its readers now).
    pub fn remove_input(&mut self, id: ValueId) {
        self.inputs.retain(|&v| v != id);
    }

    /// Fixes the shape of a graph input. Takes effect with [`Graph::infer`].
    pub fn set_input_shape(&mut self, input: ValueId, dims: &[usize]) {
        let declared = self.declared.get(&input).and_then(static_shape);
        if declared.is_some_and(|d| d != dims) {
            self.reshaped = true;
        }
        self.values[input.index()].shape = Some(dims.to_vec());
    }

    /// The dimensions the file declares for a value, `None` for one that is free; `None` altogether
    /// where even the rank is not given.
    pub fn declared_shape(&self, id: ValueId) -> Option<Vec<Option<usize>>> {
        let tensor = self.declared.get(&id)?.r#type.as_ref()?.tensor_type.as_ref()?;
        let dims = &tensor.shape.as_ref()?.dim;
        Some(dims.iter().map(|d| d.dim_value.and_then(|v| usize::try_from(v).ok())).collect())
    }

    /// Infers the static shape and type of every value from those of the graph inputs, and folds
    /// constants of up to 4096 elements (shape arithmetic). An `If` whose condition becomes known
    /// is replaced by the branch it takes; node ids from before are void then, value ids stay.
    ///
    /// A value whose shape cannot be known (an unknown operator, a data-dependent size) is left
    /// without one; that is no error.
    ///
    /// # Errors
    /// The shapes or attributes of a node contradict each other, or the nodes form a circle.
    pub fn infer(&mut self) -> Result<(), GraphError> {
        infer::graph(self, infer::Mode::Strict)
    }

    // What the modules around build on.

    pub(super) fn push_value(&mut self, value: Value, varies: bool) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.names.insert(value.name.clone(), id);
        self.values.push(value);
        self.varies.push(varies);
        id
    }

    pub(super) fn push_constant(&mut self, name: String, tensor: Tensor) -> ValueId {
        let value = Value {
            name,
            dtype: Some(tensor.dtype),
            shape: Some(tensor.dims.clone()),
            constant: Some(tensor),
            producer: None,
        };
        self.push_value(value, false)
    }

    pub(super) fn push_node(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        for output in node.outputs.iter().flatten() {
            self.values[output.index()].producer = Some(id);
        }
        self.nodes.push(node);
        id
    }

    /// A name nobody has: `gradcast/<what>_<n>`.
    pub(super) fn fresh_name(&mut self, what: &str) -> String {
        loop {
            let name = format!("{FRESH}{what}_{}", self.fresh);
            self.fresh += 1;
            if !self.names.contains_key(&name) && !self.reserved.contains(&name) {
                return name;
            }
        }
    }

    /// Puts the nodes into topological order and renumbers them.
    pub(super) fn sort(&mut self) -> Result<(), GraphError> {
        let order = self.order()?;
        let mut old: Vec<Option<Node>> = std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        self.nodes = order.into_iter().filter_map(|i| old[i].take()).collect();
        self.renumber();
        Ok(())
    }

    /// The indices of the nodes in a stable topological order.
    pub(super) fn order(&self) -> Result<Vec<usize>, GraphError> {
        super::order::topological(&self.nodes, self.values.len())
            .map_err(|stuck| GraphError::Cycle(self.nodes[stuck].label(self)))
    }

    /// Sets the producer of every value from the nodes.
    pub(super) fn renumber(&mut self) {
        for value in &mut self.values {
            value.producer = None;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            for output in node.outputs.iter().flatten() {
                self.values[output.index()].producer = Some(NodeId(index as u32));
            }
        }
    }

    /// Per node: whether `value` depends on it.
    fn ancestors(&self, value: ValueId) -> Vec<bool> {
        let mut found = vec![false; self.nodes.len()];
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            let Some(NodeId(node)) = self.producer(value) else {
                continue;
            };
            let node = node as usize;
            if !std::mem::replace(&mut found[node], true) {
                open.extend(self.nodes[node].reads());
            }
        }
        found
    }

    /// Takes `name` away from whoever has it: a value, or one inside a body, which would hide an
    /// outer one of that name.
    fn vacate(&mut self, name: &str) {
        if self.reserved.remove(name) {
            let other = self.fresh_name("inner");
            for node in &mut self.nodes {
                for body in node.attributes.graphs_mut() {
                    names::rename_inner(body, name, &other);
                }
            }
            self.reserved.insert(other);
        }
        if let Some(holder) = self.find(name) {
            let other = self.fresh_name("displaced");
            self.set_name(holder, other);
        }
    }

    fn set_name(&mut self, id: ValueId, name: String) {
        let old = std::mem::replace(&mut self.values[id.index()].name, name.clone());
        self.names.remove(&old);
        for node in self.nodes.iter_mut().filter(|n| n.captures.contains(&id)) {
            for body in node.attributes.graphs_mut() {
                names::recapture(body, &old, &name);
            }
        }
        self.names.insert(name, id);
    }

    /// The bodies' own names, so that no fresh one collides with them.
    pub(super) fn reserve(&mut self, graph: &GraphProto) {
        let mut inner = HashSet::new();
        for node in &graph.node {
            names::inner_names(node, &mut inner);
        }
        self.reserved.extend(inner.into_iter().map(str::to_owned));
    }
}

/// The shape of a declaration, where every dimension is a number.
pub(super) fn static_shape(info: &ValueInfoProto) -> Option<Vec<usize>> {
    let tensor = info.r#type.as_ref()?.tensor_type.as_ref()?;
    let dims = &tensor.shape.as_ref()?.dim;
    dims.iter().map(|d| usize::try_from(d.dim_value?).ok()).collect()
}

/// The element type of a declaration.
pub(super) fn declared_dtype(info: &ValueInfoProto) -> Option<DataType> {
    let tensor = info.r#type.as_ref()?.tensor_type.as_ref()?;
    Some(tensor.elem_type()).filter(|&t| t != DataType::Undefined)
}
