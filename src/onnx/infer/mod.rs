//! Shapes and types of every value, and folding of what is known: one rule per operator.
//!
//! A rule sees the types, static shapes and contents of a node's inputs ([`Call`]) and answers a
//! [`Fact`] per output. It says what it can: an unknown input makes an unknown output, never an
//! error; only a contradiction is an error. Families of operators are files; each brings its table.

mod control;
mod conv;
mod elementwise;
mod fold;
mod index;
mod matrix;
mod normalise;
mod quant;
mod reduce;
mod shape;

use std::collections::HashMap;
use std::sync::OnceLock;

use super::graph::{Graph, Node, NodeId, declared_dtype, static_shape};
use super::tensor::{Tensor, count};
use super::{DataType, GraphError};

/// Only constants of up to this many elements are folded: shape arithmetic, not weights.
pub(super) const FOLD_ELEMENTS: usize = 4096;

/// How a whole graph is inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// As if no input shape were known: what folds then, folds for every input. Contradictions
    /// leave values unknown.
    Unconditional,
    /// With the shapes there are; contradictions leave values unknown, and no `If` is replaced.
    Lenient,
    /// With the shapes there are; contradictions are errors.
    Strict,
}

/// What a rule knows about one output.
#[derive(Debug, Clone, Default)]
pub(super) struct Fact {
    pub dtype: Option<DataType>,
    pub shape: Option<Vec<usize>>,
    pub constant: Option<Tensor>,
}

impl Fact {
    fn new(dtype: Option<DataType>, shape: Option<Vec<usize>>) -> Self {
        Self { dtype, shape, constant: None }
    }
}

/// What a rule answers: a fact per output (fewer: the rest is unknown), or what does not fit.
type Facts = Result<Vec<Fact>, String>;
/// The rule of an operator.
type Rule = fn(&Call) -> Facts;
/// The rules of a family of operators.
type Table = &'static [(&'static str, Rule)];

/// The rule of an operator, `None` where it is not known.
fn rule(domain: &str, op_type: &str) -> Option<Rule> {
    static STANDARD: OnceLock<HashMap<&str, Rule>> = OnceLock::new();
    static MICROSOFT: OnceLock<HashMap<&str, Rule>> = OnceLock::new();
    let gather = |tables: &[Table]| tables.iter().flat_map(|t| t.iter().copied()).collect();
    let table = match domain {
        "" => STANDARD.get_or_init(|| {
            gather(&[
                control::RULES,
                conv::RULES,
                elementwise::RULES,
                index::RULES,
                matrix::RULES,
                normalise::RULES,
                quant::RULES,
                reduce::RULES,
                shape::RULES,
            ])
        }),
        "com.microsoft" => MICROSOFT.get_or_init(|| gather(&[quant::MICROSOFT])),
        _ => return None,
    };
    table.get(op_type).copied()
}

/// A node, as its rule sees it.
struct Call<'a> {
    graph: &'a Graph,
    node: &'a Node,
}

impl<'a> Call<'a> {
    fn has(&self, input: usize) -> bool {
        self.node.input(input).is_some()
    }

    fn dtype(&self, input: usize) -> Option<DataType> {
        self.graph.dtype(self.node.input(input)?)
    }

    fn shape(&self, input: usize) -> Option<&'a [usize]> {
        self.graph.shape(self.node.input(input)?)
    }

    fn rank(&self, input: usize) -> Option<usize> {
        self.shape(input).map(<[usize]>::len)
    }

    fn constant(&self, input: usize) -> Option<&'a Tensor> {
        self.graph.constant(self.node.input(input)?)
    }

    /// The contents of a small input as integers.
    fn integers(&self, input: usize) -> Option<Vec<i64>> {
        let tensor = self.constant(input).filter(|t| t.len() <= FOLD_ELEMENTS)?;
        tensor.to_i64()
    }

    /// The shapes of all inputs from `first` on; `None` where one is unknown or left out.
    fn shapes_from(&self, first: usize) -> Option<Vec<&'a [usize]>> {
        (first..self.node.inputs.len()).map(|i| self.shape(i)).collect()
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.node.attributes.int(name).unwrap_or(default)
    }

    fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.node.attributes.ints(name)
    }

    fn string(&self, name: &str) -> Option<&'a str> {
        self.node.attributes.string(name)
    }

    /// A list that newer operator sets give as an input and older ones as an attribute.
    fn list(&self, input: usize, attribute: &str) -> List {
        if self.has(input) {
            return self.integers(input).map_or(List::Unknown, List::Known);
        }
        self.ints(attribute).map_or(List::Absent, |l| List::Known(l.to_vec()))
    }
}

/// A list that may be left out, or be there but not known yet.
enum List {
    Absent,
    Unknown,
    Known(Vec<i64>),
}

/// One output.
fn one(dtype: Option<DataType>, shape: Option<Vec<usize>>) -> Facts {
    Ok(vec![Fact::new(dtype, shape)])
}

/// The type and shape of the first input.
fn same(call: &Call) -> Facts {
    one(call.dtype(0), call.shape(0).map(<[usize]>::to_vec))
}

/// An axis counted from the front.
fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let from_front = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    from_front
        .and_then(|a| usize::try_from(a).ok())
        .filter(|&a| a < rank)
        .ok_or_else(|| format!("axis {axis} of a tensor with {rank} axes"))
}

/// The shape that shapes broadcast to.
fn broadcast(shapes: &[&[usize]]) -> Result<Vec<usize>, String> {
    let rank = shapes.iter().map(|s| s.len()).max().unwrap_or(0);
    let mut out = vec![1; rank];
    for shape in shapes {
        for (o, &d) in out[rank - shape.len()..].iter_mut().zip(*shape) {
            match (*o, d) {
                (1, d) => *o = d,
                (_, 1) => {}
                (a, b) if a == b => {}
                _ => return Err(format!("shapes {shapes:?} do not broadcast")),
            }
        }
    }
    Ok(out)
}

/// Infers a whole graph; see [`Graph::infer`].
pub(super) fn graph(graph: &mut Graph, mode: Mode) -> Result<(), GraphError> {
    let hidden: Vec<_> = match mode {
        Mode::Unconditional => {
            let inputs = graph.inputs.clone();
            inputs.into_iter().map(|v| (v, graph.values[v.index()].shape.take())).collect()
        }
        _ => Vec::new(),
    };
    let result = passes(graph, mode);
    for (value, shape) in hidden {
        graph.values[value.index()].shape = shape;
    }
    result
}

/// Infers until no `If` is left whose condition is known.
fn passes(graph: &mut Graph, mode: Mode) -> Result<(), GraphError> {
    loop {
        for value in graph.values.iter_mut().filter(|v| v.producer.is_some()) {
            (value.dtype, value.shape, value.constant) = (None, None, None);
        }
        for index in graph.order()? {
            let result = node_with(graph, NodeId(index as u32), mode != Mode::Unconditional);
            if mode == Mode::Strict {
                result?;
            }
        }
        if mode == Mode::Lenient || !control::replace_known_ifs(graph)? {
            return Ok(());
        }
    }
}

/// Infers the outputs of one node from its inputs.
///
/// # Errors
/// What does not fit; the outputs are unknown then.
pub(super) fn node(graph: &mut Graph, id: NodeId) -> Result<(), GraphError> {
    node_with(graph, id, true)
}

fn node_with(graph: &mut Graph, id: NodeId, trust_declared: bool) -> Result<(), GraphError> {
    let node = &graph.nodes[id.index()];
    let varies = is_random(node) || node.reads().any(|v| !graph.is_constant(v));
    let call = Call { graph, node };
    let found = match rule(&node.domain, &node.op_type) {
        Some(rule) => rule(&call).and_then(|facts| checked(&call, facts)),
        None => Ok(Vec::new()),
    };
    let (facts, problem) = match found {
        Ok(facts) => (facts, None),
        Err(why) => {
            let (node, op_type) = (node.label(graph), node.op_type.clone());
            (Vec::new(), Some(GraphError::Shape { node, op_type, why }))
        }
    };
    let outputs = node.outputs.clone();
    for (slot, output) in outputs.into_iter().enumerate() {
        let Some(output) = output else { continue };
        let mut fact = facts.get(slot).cloned().unwrap_or_default();
        if let Some(declared) = graph.declared.get(&output) {
            fact.dtype = fact.dtype.or_else(|| declared_dtype(declared));
            if fact.shape.is_none() && problem.is_none() && trust_declared && !graph.reshaped {
                fact.shape = static_shape(declared);
            }
        }
        let value = &mut graph.values[output.index()];
        (value.dtype, value.shape, value.constant) = (fact.dtype, fact.shape, fact.constant);
        graph.varies[output.index()] = varies;
    }
    problem.map_or(Ok(()), Err)
}

/// Facts whose sizes are possible, with constants folded where all inputs are known and small.
fn checked(call: &Call, mut facts: Vec<Fact>) -> Facts {
    for shape in facts.iter().filter_map(|f| f.shape.as_ref()) {
        if count(shape).is_none_or(|n| n > isize::MAX as usize) {
            return Err(format!("its output would have the impossible shape {shape:?}"));
        }
    }
    fold::fold(call, &mut facts);
    Ok(facts)
}

/// Operators that answer something else at every run.
fn is_random(node: &Node) -> bool {
    node.domain.is_empty()
        && matches!(
            node.op_type.as_str(),
            "RandomNormal" | "RandomNormalLike" | "RandomUniform" | "RandomUniformLike" | "Multinomial" | "Bernoulli"
        )
}

/// Finds anew which values depend on a graph input.
pub(super) fn refresh_varies(graph: &mut Graph) {
    let order = graph.order().unwrap_or_else(|_| (0..graph.nodes.len()).collect());
    for index in order {
        let node = &graph.nodes[index];
        let varies = is_random(node) || node.reads().any(|v| !graph.is_constant(v));
        for output in graph.nodes[index].outputs.iter().flatten() {
            graph.varies[output.index()] = varies;
        }
    }
}
