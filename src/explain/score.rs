//! Which value is the class score: the raw number per class, before any softmax.

use serde::Serialize;

use super::emit::Emitter;
use super::error::{ExplainError, RuleError};
use super::graph_walk::{is_float, producer};
use crate::onnx::{Attributes, Graph, ValueId};

/// How a model turns scores into probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// It ends in a Softmax.
    Softmax,
    /// It ends in a LogSoftmax.
    LogSoftmax,
    /// It ends in a Sigmoid: several classes may be present at once, or there is one only.
    Sigmoid,
    /// It ends in the scores themselves.
    None,
}

/// The class score of a model.
#[derive(Debug, Clone)]
pub(super) struct Score {
    /// The graph output it was found behind.
    pub(super) output: ValueId,
    /// The scores as the model has them, `[N,C]` apart from axes of length 1.
    pub(super) value: ValueId,
    /// Where the gradient starts: `value`, or what it is before a last quantisation. The saturation
    /// of a quantised score says nothing about the picture, so it must not gate the gradient.
    pub(super) origin: ValueId,
    /// What the model makes of the scores, and the value that holds it.
    pub(super) ending: Ending,
    pub(super) probabilities: Option<ValueId>,
    pub(super) classes: usize,
    /// What was decided on the way, in words.
    pub(super) notes: Vec<String>,
}

/// Finds the score behind the outputs of a graph whose shapes are inferred for `batch` pictures.
///
/// Looks through Softmax, LogSoftmax, Sigmoid, Identity, Cast, Dropout, ZipMap, quantisation, and
/// reshapes that leave `[N,C]` in order. Of several outputs the one with a softmax wins, then the
/// one with most classes.
pub(super) fn find(graph: &Graph, batch: usize) -> Result<Score, ExplainError> {
    let mut found: Vec<Score> = Vec::new();
    let mut refused = Vec::new();
    for &output in &graph.outputs {
        match behind(graph, output, batch) {
            Ok(score) => found.push(score),
            Err(reason) => refused.push(format!("`{}` {reason}", graph.value(output).name)),
        }
    }
    let several = graph.outputs.len() > 1;
    // min_by_key keeps the first of equals: the order of the outputs decides last.
    let best = found.into_iter().min_by_key(|score| (score.ending == Ending::None, usize::MAX - score.classes));
    let mut best = best.ok_or_else(|| match refused.is_empty() {
        true => ExplainError::Score("it has no outputs".into()),
        false => ExplainError::Score(refused.join("; ")),
    })?;
    if several {
        let name = &graph.value(best.output).name;
        best.notes.push(format!("of {} outputs, `{name}` was taken for the classifier's", graph.outputs.len()));
    }
    Ok(best)
}

/// Walks back from one output to the score, or says why there is none behind it.
fn behind(graph: &Graph, output: ValueId, batch: usize) -> Result<Score, String> {
    let (mut raw, mut ending, mut probabilities) = (output, Ending::None, None);
    if !is_float(graph, output) {
        raw = first_float(graph, output, batch).ok_or("holds no real numbers")?;
    }
    let mut at = Some(output);
    while let Some(value) = at {
        if let Some((end, input)) = ending_at(graph, value) {
            (ending, probabilities, raw) = (end, Some(value), input);
            break;
        }
        at = look_through(graph, value, batch);
    }
    let classes = classes(graph, raw, batch)?;
    let (mut origin, mut at) = (raw, Some(raw));
    while let Some(value) = at {
        if is_float(graph, value) {
            origin = value;
        }
        at = look_through(graph, value, batch);
    }
    let mut notes = Vec::new();
    let quantised = producer(graph, raw).is_some_and(|(_, node)| node.op_type == "DequantizeLinear");
    if quantised && origin != raw {
        notes.push("the gradient starts before the score's own quantisation, whose saturation it ignores".to_owned());
    }
    Ok(Score { output, value: raw, origin, ending, probabilities, classes, notes })
}

/// The nearest real-valued tensor behind a quantised output.
fn first_float(graph: &Graph, value: ValueId, batch: usize) -> Option<ValueId> {
    let mut at = value;
    while !is_float(graph, at) {
        at = look_through(graph, at, batch)?;
    }
    Some(at)
}

/// The kind and the input of the node that makes probabilities, if `value` comes from one.
fn ending_at(graph: &Graph, value: ValueId) -> Option<(Ending, ValueId)> {
    let (_, node) = producer(graph, value)?;
    let ending = match (node.domain.as_str(), node.op_type.as_str()) {
        ("", "Softmax") => Ending::Softmax,
        ("", "LogSoftmax") => Ending::LogSoftmax,
        ("", "Sigmoid") => Ending::Sigmoid,
        _ => return None,
    };
    Some((ending, node.input(0)?))
}

/// One step back through an operator that says the same thing in another form.
fn look_through(graph: &Graph, value: ValueId, batch: usize) -> Option<ValueId> {
    let (_, node) = producer(graph, value)?;
    let input = node.input(0).filter(|&input| !graph.is_constant(input))?;
    let same = match (node.domain.as_str(), node.op_type.as_str()) {
        ("ai.onnx.ml", "ZipMap") | ("", "Identity" | "Cast" | "Dropout" | "QuantizeLinear") => {
            node.output(0) == Some(value)
        }
        ("", "DequantizeLinear") => is_requantised(graph, input),
        ("", "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose") => {
            let before = classes(graph, input, batch);
            before.is_ok() && before == classes(graph, value, batch)
        }
        _ => false,
    };
    same.then_some(input)
}

/// Whether an integer tensor comes straight (or through reshapes) from a QuantizeLinear.
fn is_requantised(graph: &Graph, value: ValueId) -> bool {
    let mut at = value;
    while let Some((_, node)) = producer(graph, at) {
        match (node.op_type.as_str(), node.input(0)) {
            ("QuantizeLinear", _) => return true,
            ("Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Identity", Some(input)) => at = input,
            _ => return false,
        }
    }
    false
}

/// The number of classes in a tensor of scores: `[N,C]`, axes of length 1 after it allowed.
fn classes(graph: &Graph, value: ValueId, batch: usize) -> Result<usize, String> {
    let dims = graph.shape(value).ok_or("has no shape that is known beforehand")?;
    let shape = format!("has the shape {dims:?}");
    match dims {
        [n] if *n == batch => Ok(1),
        [count] if batch == 1 => Ok(*count),
        [n, rest @ ..] if *n == batch => {
            let long: Vec<usize> = rest.iter().copied().filter(|&length| length != 1).collect();
            match long[..] {
                [] => Ok(1),
                [count] if count > 0 => Ok(count),
                _ => Err(format!("{shape}, which is no score per class")),
            }
        }
        _ => Err(format!("{shape}, which does not begin with the batch ({batch})")),
    }
}

impl Score {
    /// `[N,C]` float32: the raw scores.
    pub(super) fn scores(&self, emit: &mut Emitter, batch: usize) -> ValueId {
        self.flat(emit, self.value, batch)
    }

    /// `[N,C]` float32: the model's own probabilities, or the softmax of its scores.
    pub(super) fn probabilities(&self, emit: &mut Emitter, batch: usize) -> ValueId {
        match (self.ending, self.probabilities) {
            (Ending::LogSoftmax, Some(value)) => {
                let value = self.flat(emit, value, batch);
                emit.op("Exp", &[value])
            }
            (Ending::Softmax | Ending::Sigmoid, Some(value)) => self.flat(emit, value, batch),
            _ if self.classes == 1 => {
                let scores = self.scores(emit, batch);
                emit.op("Sigmoid", &[scores])
            }
            _ => {
                let scores = self.scores(emit, batch);
                emit.op_with("Softmax", &[scores], Attributes::new().with_int("axis", 1))
            }
        }
    }

    fn flat(&self, emit: &mut Emitter, value: ValueId, batch: usize) -> ValueId {
        let value = emit.float(value);
        emit.reshape(value, &[batch, self.classes])
    }

    /// What is said about the probabilities.
    pub(super) fn assumption(&self) -> Option<String> {
        match (self.ending, self.classes) {
            (Ending::None, 1) => {
                Some("the model ends in one score: its probability is taken to be the score's sigmoid".into())
            }
            (Ending::None, _) => Some("the model ends in scores: their softmax is taken for the probabilities".into()),
            _ => None,
        }
    }

    /// A gradient of 1 for the chosen class of each sample at [`origin`](Self::origin), 0 elsewhere.
    ///
    /// `class` is int64 `[N]`. Compared with a ramp rather than made by OneHot, which TensorRT
    /// lacks in this form.
    pub(super) fn one_hot(&self, emit: &mut Emitter, class: ValueId) -> Result<ValueId, RuleError> {
        let batch = emit.dims(class)?[0];
        let ramp: Vec<i64> = (0..self.classes as i64).collect();
        let ramp = emit.ints(&ramp);
        let class = emit.reshape(class, &[batch, 1]);
        let equal = emit.op("Equal", &[class, ramp]);
        let seed = emit.float(equal);
        let dims = emit.dims(self.origin)?;
        Ok(emit.reshape(seed, &dims))
    }
}
