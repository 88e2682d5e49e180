//! Reverse-mode differentiation of an ONNX graph, written as more of the same graph.
//!
//! The sweep below walks the nodes between a layer and the score from the score backwards; for each
//! it asks the table of [`rules`] what the node does to a gradient. All operators it writes are
//! standard ones, because ONNX Runtime has no gradient operators, and so that every execution
//! provider runs them.
//!
//! A gradient need not have the full shape of the value it belongs to; it must *broadcast* to it.
//! After a global average pool, for instance, it stays `[N,C,1,1]` until some rule really needs
//! every entry. Gradients are always float32, whatever the model computes in.

pub(crate) mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::emit::Emitter;
use super::error::RuleError;
use crate::onnx::{Graph, NodeId, ValueId};
use rules::{Kind, Site};

/// The nodes and values on the way from some values to others.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    /// Ascending, which is topological.
    pub(crate) nodes: Vec<NodeId>,
    /// Values a change of the origin can reach and that can reach the goal, both ends included.
    pub(crate) values: HashSet<ValueId>,
    /// Nodes whose `If`/`Loop`/`Scan` body reads a value of the path without listing it.
    captured: HashSet<NodeId>,
}

impl Path {
    /// Everything between any of `origins` and `goal`. Operators whose output does not change with
    /// small changes of their input (`Shape`, `ArgMax`, comparisons…) end a way, see
    /// [`Kind::Constant`].
    pub(crate) fn between(graph: &Graph, origins: &[ValueId], goal: ValueId) -> Self {
        let mut reached: HashSet<ValueId> = origins.iter().copied().collect();
        let mut touched = BTreeSet::new();
        let mut captured = HashSet::new();
        let mut open = origins.to_vec();
        let mut readers: HashMap<ValueId, Vec<NodeId>> = HashMap::new();
        for (id, node) in graph.nodes() {
            for value in node.reads() {
                readers.entry(value).or_default().push(id);
            }
        }
        while let Some(value) = open.pop() {
            for &consumer in readers.get(&value).into_iter().flatten() {
                let node = graph.node(consumer);
                if !node.inputs.contains(&Some(value)) {
                    captured.insert(consumer);
                }
                let flat =
                    rules::find(&node.domain, &node.op_type).is_some_and(|rule| matches!(rule.kind, Kind::Constant));
                if flat || !touched.insert(consumer) {
                    continue;
                }
                for &output in node.outputs.iter().flatten() {
                    if !graph.is_constant(output) && graph.constant(output).is_none() && reached.insert(output) {
                        open.push(output);
                    }
                }
            }
        }
        let mut values = HashSet::new();
        let mut nodes = Vec::new();
        if reached.contains(&goal) {
            values.insert(goal);
        }
        for &id in touched.iter().rev() {
            let node = graph.node(id);
            let leads_on = node.outputs.iter().flatten().any(|output| values.contains(output));
            let begins_after = !node.outputs.iter().flatten().all(|output| origins.contains(output));
            if leads_on && begins_after {
                nodes.push(id);
                values.extend(node.inputs.iter().flatten().filter(|input| reached.contains(input)));
            }
        }
        nodes.reverse();
        captured.retain(|id| nodes.contains(id));
        Self { nodes, values, captured }
    }
}

/// Why the sweep stopped at a node.
#[derive(Debug, Clone)]
pub(crate) struct Obstacle {
    pub(crate) node: NodeId,
    pub(crate) error: RuleError,
}

/// What a sweep found.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// The gradient of each value of the path that one reached.
    pub(crate) gradients: HashMap<ValueId, ValueId>,
    /// The operators that were differentiated.
    pub(crate) used: BTreeSet<String>,
    /// Nodes that could not be, in the order of the sweep.
    pub(crate) obstacles: Vec<Obstacle>,
}

impl Swept {
    /// The obstacle to name: an operator without a rule rather than a shape that is unknown because
    /// of one.
    pub(crate) fn obstacle(&self) -> Option<&Obstacle> {
        let unknown = |obstacle: &&Obstacle| matches!(obstacle.error, RuleError::UnknownShape(_));
        self.obstacles.iter().find(|obstacle| !unknown(obstacle)).or(self.obstacles.first())
    }
}

/// Why a node is refused without asking its rule.
fn refusal(captured: bool) -> RuleError {
    RuleError::unsupported(match captured {
        true => "its body reads values of the path from outside",
        false => rules::NO_RULE,
    })
}

/// Gradients that still wait for the rest of their sum.
#[derive(Default)]
struct Pending(BTreeMap<ValueId, Vec<ValueId>>);

impl Pending {
    fn put(&mut self, of: ValueId, gradient: ValueId) {
        self.0.entry(of).or_default().push(gradient);
    }

    /// The sum of what came in for `of`.
    fn take(&mut self, emit: &mut Emitter, of: ValueId) -> Option<ValueId> {
        self.0.remove(&of)?.into_iter().reduce(|sum, next| emit.add(sum, next))
    }
}

/// Walks `path` backwards from `seeds` (value, gradient), all of them values of the path.
///
/// An obstacle does not end the sweep: the gradients behind it are incomplete and left out, those
/// beside it are right. So one sweep tells of every layer whether it can be explained.
pub(crate) fn sweep(emit: &mut Emitter, path: &Path, seeds: &[(ValueId, ValueId)]) -> Swept {
    let mut swept = Swept::default();
    let mut pending = Pending::default();
    let mut spoilt: HashSet<ValueId> = HashSet::new();
    for &(value, gradient) in seeds {
        pending.put(value, gradient);
    }
    for &id in path.nodes.iter().rev() {
        let node = emit.graph.node(id).clone();
        let active: Vec<bool> =
            node.inputs.iter().map(|input| input.is_some_and(|input| path.values.contains(&input))).collect();
        let sources: Vec<ValueId> =
            node.inputs.iter().zip(&active).filter(|(_, active)| **active).filter_map(|(input, _)| *input).collect();
        let captured = path.captured.contains(&id);
        if node.outputs.iter().flatten().any(|output| spoilt.contains(output)) {
            // Behind an obstacle; what has no rule here may be why a shape was unknown there.
            if captured || rules::find(&node.domain, &node.op_type).is_none() {
                swept.obstacles.push(Obstacle { node: id, error: refusal(captured) });
            }
            spoilt.extend(sources);
            continue;
        }
        let mut incoming = Vec::with_capacity(node.outputs.len());
        for output in &node.outputs {
            let gradient = output.and_then(|output| {
                let sum = pending.take(emit, output)?;
                swept.gradients.insert(output, sum);
                Some(sum)
            });
            incoming.push(gradient);
        }
        if incoming.iter().all(Option::is_none) {
            continue;
        }
        let given = if captured {
            Err(refusal(captured))
        } else {
            rules::apply(&mut Site { emit: &mut *emit, node: &node, incoming: &incoming, active: &active })
        };
        match given {
            Ok(contributions) => {
                swept.used.insert(node.op_type.clone());
                for (input, gradient) in contributions {
                    if let Some(value) = node.input(input).filter(|_| active[input]) {
                        pending.put(value, gradient);
                    }
                }
            }
            Err(error) => {
                spoilt.extend(sources);
                swept.obstacles.push(Obstacle { node: id, error });
            }
        }
    }
    let rest: Vec<ValueId> = pending.0.keys().copied().collect();
    for value in rest {
        if let Some(sum) = pending.take(emit, value) {
            swept.gradients.insert(value, sum);
        }
    }
    swept.gradients.retain(|value, _| !spoilt.contains(value));
    swept
}

/// Why [`differentiate`] gave up: the operator, its node, and the reason.
#[derive(Debug, Clone, thiserror::Error)]
#[error("operator {op} (node `{node}`): {reason}")]
pub struct NoGradient {
    /// The operator.
    pub op: String,
    /// The node's name, or its first output's.
    pub node: String,
    /// What is in the way.
    pub reason: String,
}

/// Appends the gradient of `Σ seed · of` with respect to `wrt` to a graph with known shapes.
///
/// `seed` is float32 and has the shape of `of`. Answers a float32 value of the full shape of `wrt`,
/// or `None` where `of` does not depend on it.
///
/// # Errors
/// An operator between the two has no rule, or not in the form it is used in.
pub fn differentiate(
    graph: &mut Graph,
    of: ValueId,
    seed: ValueId,
    wrt: ValueId,
) -> Result<Option<ValueId>, NoGradient> {
    let path = Path::between(graph, &[wrt], of);
    let mut emit = Emitter::new(graph);
    let swept = sweep(&mut emit, &path, &[(of, seed)]);
    if let Some(obstacle) = swept.obstacle() {
        let node = emit.graph.node(obstacle.node);
        return Err(NoGradient {
            op: node.op_type.clone(),
            node: super::graph_walk::node_name(emit.graph, node),
            reason: obstacle.error.reason(),
        });
    }
    let gradient = swept.gradients.get(&wrt).copied().filter(|_| path.values.contains(&wrt));
    let dims = emit.dims(wrt).ok();
    Ok(gradient.zip(dims).map(|(gradient, dims)| emit.expand(gradient, &dims)))
}

/// The operators that have a row in the table of rules; `true` for those with a derivative, `false`
/// for those through which no gradient flows.
pub fn operators() -> impl Iterator<Item = (&'static str, bool)> {
    rules::RULES.iter().map(|rule| (rule.op, matches!(rule.kind, Kind::Gradient(_))))
}
