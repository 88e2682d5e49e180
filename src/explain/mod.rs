//! What Grad-CAM is: a classifier in, a classifier that explains itself and a report out.
//!
//! [`explain`] reads an ONNX classifier and writes another ONNX model in standard operators. One run
//! of it is the one forward and one backward pass of the paper:
//!
//! ```text
//! gradcast.frames  u8 [N,H,W,3] ─ preprocess ─► the model ─► gradcast.scores f32 [N,C], gradcast.probabilities f32 [N,C]
//!                                                  │ ▲ gradient of the score
//! gradcast.classes i64 [N,K] (−1: the most probable) ─► gradcast.explained i64 [N,K], gradcast.maps f32 [N,K,h,w]
//! ```
//!
//! The maps are after ReLU and before any normalisation. A class outside the model's makes the run fail.
//!
//! - `input`: the picture, its fixed size, and the stage that makes it of a frame's bytes.
//! - `score`: which value is the class score.
//! - `head`: the classifier's head and the sparse gradient behind it.
//! - `layer`: which layer the map is drawn from.
//! - [`gradient`]: the reverse sweep and its table of rules.
//! - `method`: weights, and their sum with the activation.
//! - `emit`: the vocabulary in which all of it is written.

mod emit;
mod error;
pub mod gradient;
mod graph_walk;
mod head;
mod input;
mod layer;
mod method;
mod report;
mod score;

use std::collections::{BTreeSet, HashMap};

pub use error::ExplainError;
pub use input::{Channels, Input, Preprocess};
pub use layer::{Layer, Layout};
pub use method::Method;
pub use report::{Inspection, Report, ScoreInfo};
pub use score::Ending;

use crate::onnx::{Attributes, DataType, Graph, Model, ValueId};
use emit::Emitter;
use gradient::{Path, sweep};
use graph_walk::node_name;
use head::{Factored, Head};
use input::Prepared;
use layer::Target;
use score::Score;

/// The names of the explained graph's inputs and outputs.
pub mod names {
    /// Input, uint8 `[N,H,W,3]`: red, green, blue. Absent where the model's own input is kept.
    pub const FRAMES: &str = "gradcast.frames";
    /// Input, int64 `[N,K]`: the classes to explain; −1 is the most probable one.
    pub const CLASSES: &str = "gradcast.classes";
    /// Output, float32 `[N,C]`: the raw scores.
    pub const SCORES: &str = "gradcast.scores";
    /// Output, float32 `[N,C]`: the probabilities.
    pub const PROBABILITIES: &str = "gradcast.probabilities";
    /// Output, int64 `[N,K]`: the classes that were explained, none of them negative.
    pub const EXPLAINED: &str = "gradcast.explained";
    /// Output, float32 `[N,K,h,w]`: the maps after ReLU, before normalisation.
    pub const MAPS: &str = "gradcast.maps";
}

/// What to explain, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The target layer: the name of a value or of a node. `None`: chosen from the graph.
    pub layer: Option<String>,
    /// The method.
    pub method: Method,
    /// Classes per run (`K`), at least 1.
    pub classes: usize,
    /// Pictures per run (`N`), at least 1.
    pub batch: usize,
    /// Width and height of the model's input. `None`: what the model states.
    pub input_size: Option<(usize, usize)>,
    /// How frames become the model's input. `None`: the model keeps its own input tensor.
    pub preprocess: Option<Preprocess>,
}

impl Default for Options {
    /// Grad-CAM of one class and one picture per run, the model's own input, the layer chosen from
    /// the graph.
    fn default() -> Self {
        Self { layer: None, method: Method::default(), classes: 1, batch: 1, input_size: None, preprocess: None }
    }
}

/// A model that explains itself.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The model; see the [module](self) for its inputs and outputs.
    pub model: Model,
    /// What was decided.
    pub report: Report,
}

/// Writes a model that also carries the gradient and the maps.
///
/// # Errors
/// [`ExplainError`] says what stands in the way: no class score, no such layer, no layer with height
/// and width, an operator without a gradient, frames that do not fit the model's input.
pub fn explain(model: &Model, options: &Options) -> Result<Explained, ExplainError> {
    let mut prepared = input::prepare(model, options)?;
    let known = Known::of(&prepared)?;
    let target = known.target(&prepared, options.layer.as_deref())?;
    let mut notes = prepared.notes.clone();
    notes.extend(known.score.notes.iter().cloned());
    notes.extend(known.score.assumption());
    notes.extend(target.notes);

    let score = known.score_info(&prepared.graph);
    let written =
        write(&mut prepared.graph, &known, &target.target, options, prepared.batch).map_err(
            |failure| match failure {
                Failure::Error(error) => error,
                Failure::Obstacle(obstacle) => known.no_gradient(&prepared, &target.target.layer, obstacle),
            },
        )?;
    if let Some(preprocess) = &options.preprocess {
        input::frames(&mut prepared, preprocess, names::FRAMES)?;
    }
    let mut inputs = std::mem::take(&mut prepared.graph.inputs);
    inputs.sort_by_key(|&input| prepared.graph.value(input).name == names::CLASSES);
    prepared.graph.inputs = inputs;
    prepared.graph.set_outputs(&written.outputs);
    let report = Report {
        method: options.method,
        input: prepared.input,
        preprocess: options.preprocess,
        batch: prepared.batch,
        classes: options.classes,
        score,
        layer: target.target.layer,
        reason: target.target.reason,
        sparse_seed: written.sparse,
        rules: written.rules.into_iter().collect(),
        assumptions: notes,
    };
    Ok(Explained { model: prepared.graph.to_model(), report })
}

/// Looks at a model without writing one: its input, its score, and every layer that can be explained.
///
/// Only batch and input size of `options` matter.
///
/// # Errors
/// As [`explain`]; a missing default layer is no error here.
pub fn inspect(model: &Model, options: &Options) -> Result<Inspection, ExplainError> {
    let prepared = input::prepare(model, options)?;
    let known = Known::of(&prepared)?;
    let layers = known.explainable(&prepared);
    let (default, reason) = match known.choose(&prepared.graph) {
        Ok(target) if layers.contains(&target.layer) => (Some(target.layer.name), target.reason),
        Ok(target) => (
            None,
            format!("`{}` would be it ({}), but its gradient cannot be written", target.layer.name, target.reason),
        ),
        Err(error) => (None, error.to_string()),
    };
    let mut assumptions = prepared.notes.clone();
    assumptions.extend(known.score.notes.iter().cloned());
    assumptions.extend(known.score.assumption());
    let score = known.score_info(&prepared.graph);
    Ok(Inspection { input: prepared.input, batch: prepared.batch, score, layers, default, reason, assumptions })
}

/// What is known of a graph before anything is written into it.
struct Known {
    score: Score,
    head: Option<Head>,
    /// From the picture to the score.
    path: Path,
    layouts: HashMap<ValueId, Layout>,
}

/// A target with what is to be said about it.
struct Chosen {
    target: Target,
    notes: Vec<String>,
}

/// An operator that could not be differentiated: its type, its node's name, the reason.
struct Blocked {
    op: String,
    node: String,
    reason: String,
}

enum Failure {
    Error(ExplainError),
    Obstacle(Blocked),
}

impl<E: Into<ExplainError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Known {
    fn of(prepared: &Prepared) -> Result<Self, ExplainError> {
        let Prepared { graph, image, batch, input, .. } = prepared;
        let score = score::find(graph, *batch)?;
        let head = Head::of(graph, &score);
        let path = Path::between(graph, &[*image], score.origin);
        if path.nodes.is_empty() {
            let output = &graph.value(score.output).name;
            return Err(ExplainError::Score(format!(
                "`{output}` does not depend on the picture in a way that has a gradient"
            )));
        }
        let layouts = layer::layouts(graph, *image, input.layout);
        Ok(Self { score, head, path, layouts })
    }

    fn score_info(&self, graph: &Graph) -> ScoreInfo {
        ScoreInfo {
            output: graph.value(self.score.output).name.clone(),
            value: graph.value(self.score.value).name.clone(),
            ending: self.score.ending,
            classes: self.score.classes,
        }
    }

    fn choose(&self, graph: &Graph) -> Result<Target, ExplainError> {
        layer::choose(graph, &self.score, self.head.as_ref(), &self.path, &self.layouts)
    }

    /// The layer that was asked for, or the one that is chosen.
    fn target(&self, prepared: &Prepared, name: Option<&str>) -> Result<Chosen, ExplainError> {
        let graph = &prepared.graph;
        let Some(name) = name else {
            return Ok(Chosen { target: self.choose(graph)?, notes: Vec::new() });
        };
        let nearest = || self.explainable(prepared).into_iter().map(|layer| layer.name).collect();
        let Some((value, seen)) = layer::named(graph, name) else {
            return Err(ExplainError::NoSuchLayer { name: name.into(), nearest: nearest() });
        };
        match layer::fit(graph, value, &self.path, &self.layouts) {
            Ok((layer, note)) => {
                let target = Target { value, layer, reason: "asked for by name".into() };
                Ok(Chosen { target, notes: seen.into_iter().chain(note).collect() })
            }
            Err(reason) => Err(ExplainError::UnfitLayer { name: name.into(), reason, nearest: nearest() }),
        }
    }

    /// The layers whose gradient can be written, nearest to the score first: one trial sweep over
    /// the whole model, in a copy.
    fn explainable(&self, prepared: &Prepared) -> Vec<Layer> {
        let mut graph = prepared.graph.clone();
        let candidates = layer::candidates(&graph, &self.path, &self.layouts);
        let mut emit = Emitter::new(&mut graph);
        let first = emit.ints(&vec![0; prepared.batch]);
        let Ok(seed) = self.score.one_hot(&mut emit, first) else {
            return Vec::new();
        };
        let swept = sweep(&mut emit, &self.path, &[(self.score.origin, seed)]);
        candidates
            .into_iter()
            .filter(|(value, _)| swept.gradients.contains_key(value))
            .map(|(_, layer)| layer)
            .collect()
    }

    fn no_gradient(&self, prepared: &Prepared, layer: &Layer, blocked: Blocked) -> ExplainError {
        let nearest = self.explainable(prepared).into_iter().next().map(|layer| layer.name);
        ExplainError::NoGradient {
            op: blocked.op,
            node: blocked.node,
            layer: layer.name.clone(),
            reason: blocked.reason,
            nearest,
        }
    }
}

/// What [`write`] wrote.
struct Written {
    outputs: Vec<ValueId>,
    sparse: bool,
    rules: BTreeSet<String>,
}

/// Appends classes, gradients and maps to the graph.
fn write(
    graph: &mut Graph,
    known: &Known,
    target: &Target,
    options: &Options,
    batch: usize,
) -> Result<Written, Failure> {
    let mut score = known.score.clone();
    score.value = fence(graph, score.value);
    let target = &Target { value: fence(graph, target.value), ..target.clone() };
    let score = &score;
    // Found anew: what reads the target may read the fence now.
    let head = Head::of(graph, score).filter(|head| !head.contains(graph, target.value));
    let head = head.as_ref();
    let goal = head.map_or(score.origin, |head| head.features);
    let path = Path::between(graph, &[target.value], goal);

    let classes = graph.add_input(names::CLASSES, DataType::Int64, &[batch, options.classes]);
    let mut emit = Emitter::new(graph);
    let scores = score.scores(&mut emit, batch);
    let probabilities = score.probabilities(&mut emit, batch);
    let explained = resolve(&mut emit, scores, classes);

    let mut rules = BTreeSet::new();
    let mut gradients = Vec::with_capacity(options.classes);
    for slot in 0..options.classes {
        let class = slot_of(&mut emit, explained, slot, batch, options.classes);
        let start = match head {
            Some(head) => head.gradient(&mut emit, score, class)?,
            None => Factored { value: score.one_hot(&mut emit, class)?, share: None },
        };
        if target.value == goal {
            gradients.push(start);
            continue;
        }
        let seed = start.multiplied(&mut emit);
        let swept = sweep(&mut emit, &path, &[(goal, seed)]);
        if let Some(obstacle) = swept.obstacle() {
            let node = emit.graph.node(obstacle.node);
            return Err(Failure::Obstacle(Blocked {
                op: match node.domain.as_str() {
                    "" => node.op_type.clone(),
                    domain => format!("{domain}.{}", node.op_type),
                },
                node: node_name(emit.graph, node),
                reason: obstacle.error.reason(),
            }));
        }
        rules.extend(swept.used);
        let gradient = swept.gradients.get(&target.value).copied();
        let value = gradient.ok_or_else(|| ExplainError::UnfitLayer {
            name: target.layer.name.clone(),
            reason: "no gradient of the score reaches it".into(),
            nearest: Vec::new(),
        })?;
        gradients.push(Factored { value, share: None });
    }
    let maps = method::maps(&mut emit, options.method, target.value, target.layer.layout, &gradients)?;
    let outputs = vec![scores, probabilities, explained, maps];
    for (&value, name) in outputs.iter().zip([names::SCORES, names::PROBABILITIES, names::EXPLAINED, names::MAPS]) {
        emit.graph.rename(value, name);
    }
    Ok(Written { outputs, sparse: head.is_some(), rules })
}

/// Puts one reader between a dequantised value and everything that reads it, new nodes included.
///
/// ONNX Runtime fuses the node before a QuantizeLinear into an integer kernel, and makes uint8 of its
/// int8, only where the DequantizeLinear behind has a single reader; an explanation reads what the
/// model reads as well. (A Sum of one, because an Identity would be optimised away.) Values that are
/// not dequantised stay as they are.
fn fence(graph: &mut Graph, value: ValueId) -> ValueId {
    let dequantised = graph_walk::producer(graph, value).is_some_and(|(_, node)| node.op_type == "DequantizeLinear");
    if !dequantised {
        return value;
    }
    let seen = graph.add_node("Sum", &[Some(value)], 1, Attributes::new())[0];
    graph.replace_uses(value, seen);
    seen
}

/// int64 `[N,K]`: the classes asked for, the most probable one where a negative number stands.
fn resolve(emit: &mut Emitter, scores: ValueId, classes: ValueId) -> ValueId {
    let most = emit.op_with("ArgMax", &[scores], Attributes::new().with_int("axis", 1).with_int("keepdims", 1));
    let zero = emit.ints(&[0]);
    let open = emit.op("Less", &[classes, zero]);
    emit.op("Where", &[open, most, classes])
}

/// int64 `[N]`: column `slot` of `[N,K]`.
fn slot_of(emit: &mut Emitter, explained: ValueId, slot: usize, batch: usize, slots: usize) -> ValueId {
    let column = match slots {
        1 => explained,
        _ => emit.slice(explained, &[1], &[slot as i64], &[slot as i64 + 1], &[1]),
    };
    emit.reshape(column, &[batch])
}
