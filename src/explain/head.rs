//! The classifier's head, walked with a gradient that is almost all zeros.
//!
//! At the score the gradient is one-hot: 1 for the class, 0 for all others. Through biases, gates
//! and pooling it stays zero in every other channel, and at the matrix that makes the classes out
//! of features it becomes *one row* of that matrix. Gathering the row replaces the dense backward
//! pass of the head, which for SqueezeNet's 1×1-convolution head would cost a quarter of the
//! forward pass, by next to nothing.

use super::emit::Emitter;
use super::error::RuleError;
use super::gradient::rules::{self, Kind, Range, quant_bounds};
use super::graph_walk::{is_float, producer};
use super::score::Score;
use crate::onnx::{Attributes, DataType, Graph, Node, NodeId, ValueId};

/// The nodes of a head, from the score back to the classifier's matrix.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// From the score backwards: operators through which a one-hot gradient stays one-hot.
    chain: Vec<NodeId>,
    /// The node that makes classes out of features.
    classifier: NodeId,
    /// What that node reads: the features.
    pub(super) features: ValueId,
}

/// A gradient as a product: `value · share`, each broadcastable to the tensor it belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factored {
    /// `[N,C,1,1]` or, for flat features, `[N,C]`.
    pub(super) value: ValueId,
    /// `[N,1,h,w]`: how much of it each place gets; `None`: all of it everywhere.
    pub(super) share: Option<ValueId>,
}

impl Factored {
    /// The product.
    pub(super) fn multiplied(self, emit: &mut Emitter) -> ValueId {
        match self.share {
            Some(share) => emit.mul(self.value, share),
            None => self.value,
        }
    }
}

impl Head {
    /// Finds the head behind a score. `None` where the score is made in a way that is not known
    /// here; the sweep then starts at the score with a dense one-hot gradient.
    pub(super) fn of(graph: &Graph, score: &Score) -> Option<Self> {
        let (mut at, mut chain) = (score.origin, Vec::new());
        loop {
            // A second reader on the way to the score would bring a gradient of its own.
            let alone =
                |last| graph.consumers(at).into_iter().all(|reader| reader == last || is_flat(graph.node(reader)));
            if chain.last().is_some_and(|&last| !alone(last)) {
                return None;
            }
            let (id, node) = producer(graph, at)?;
            if !node.domain.is_empty() || node.output(0) != Some(at) {
                return None;
            }
            if is_classifier(graph, node, score.classes) {
                return Some(Self { chain, classifier: id, features: node.input(0)? });
            }
            at = stays_one_hot(graph, node, score.classes)?;
            chain.push(id);
        }
    }

    /// The classifier's node.
    pub(super) fn classifier(&self) -> NodeId {
        self.classifier
    }

    /// Whether the value lies inside the head, between the features and the score.
    pub(super) fn contains(&self, graph: &Graph, value: ValueId) -> bool {
        let makes = |id: &NodeId| graph.node(*id).outputs.contains(&Some(value));
        self.chain.iter().any(makes) || makes(&self.classifier)
    }

    /// The gradient of the score of `class` (int64 `[N]`) with respect to the features.
    pub(super) fn gradient(&self, emit: &mut Emitter, score: &Score, class: ValueId) -> Result<Factored, RuleError> {
        // The share of the one-hot gradient: broadcastable to the tensor with its class axis at 1.
        let mut share: Option<ValueId> = None;
        for &id in &self.chain {
            let node = emit.graph.node(id).clone();
            share = step_back(emit, &node, share, class, score.classes)?;
        }
        let node = emit.graph.node(self.classifier).clone();
        let weight = node.input(1).ok_or_else(|| RuleError::unsupported("its weight is missing"))?;
        let features = emit.dims(self.features)?;
        let (batch, channels) = (emit.dims(class)?[0], features.get(1).copied().unwrap_or(1));
        let (class_axis, factor) = match node.op_type.as_str() {
            "Conv" => (0, 1.0),
            "Gemm" => (
                if node.attributes.int("transB").unwrap_or(0) != 0 { 0 } else { 1 },
                node.attributes.float("alpha").unwrap_or(1.0),
            ),
            _ => (1, 1.0),
        };
        let row = gather_row(emit, weight, class, class_axis)?;
        let row = emit.scale(row, factor);
        let mut shape = vec![1; features.len()];
        shape[0] = batch;
        shape[1.min(features.len() - 1)] = channels;
        let row = emit.reshape(row, &shape);
        let Some(share) = share else {
            return Ok(Factored { value: row, share: None });
        };
        if emit.dims(share)?.iter().skip(1).all(|&n| n == 1) {
            let mut flat = vec![1; features.len()];
            flat[0] = emit.dims(share)?.first().copied().unwrap_or(1);
            let share = emit.reshape(share, &flat);
            return Ok(Factored { value: emit.mul(row, share), share: None });
        }
        Ok(Factored { value: row, share: Some(share) })
    }
}

/// Whether no gradient flows through `node`.
fn is_flat(node: &Node) -> bool {
    rules::find(&node.domain, &node.op_type).is_some_and(|rule| matches!(rule.kind, Kind::Constant))
}

/// Whether `node` makes `classes` scores per sample and place as products with rows of a matrix
/// that does not depend on the picture.
fn is_classifier(graph: &Graph, node: &Node, classes: usize) -> bool {
    let constant = node.input(1).is_some_and(|weight| graph.is_constant(weight));
    let (Some(x), Some(weight), true) =
        (node.input(0).and_then(|x| graph.shape(x)), node.input(1).and_then(|w| graph.shape(w)), constant)
    else {
        return false;
    };
    match node.op_type.as_str() {
        "Gemm" => x.len() == 2 && weight.len() == 2 && node.attributes.int("transA").unwrap_or(0) == 0,
        "MatMul" => x.len() == 2 && weight.len() == 2,
        "Conv" => {
            let zero = |name: &str| node.attributes.ints(name).unwrap_or_default().iter().all(|&pad| pad == 0);
            let one = |name: &str| node.attributes.ints(name).unwrap_or_default().iter().all(|&step| step == 1);
            weight.len() > 2
                && weight.first() == Some(&classes)
                && weight[2..].iter().all(|&k| k == 1)
                && node.attributes.int("group").unwrap_or(1) == 1
                && zero("pads")
                && (one("strides") || x[2..].iter().all(|&length| length == 1))
        }
        _ => false,
    }
}

/// The input through which a one-hot gradient of `node` stays one-hot, or `None`.
fn stays_one_hot(graph: &Graph, node: &Node, classes: usize) -> Option<ValueId> {
    let varying: Vec<ValueId> =
        node.inputs.iter().flatten().copied().filter(|&input| !graph.is_constant(input)).collect();
    let [input] = varying[..] else { return None };
    let (x, y) = (graph.shape(input)?, graph.shape(node.output(0)?)?);
    let on_axis_one = |dims: &[usize]| dims.len() >= 2 && dims[1] == classes;
    if !on_axis_one(x) || !on_axis_one(y) {
        return None;
    }
    let flat = |dims: &[usize]| dims[2..].iter().all(|&n| n == 1);
    let fits = match node.op_type.as_str() {
        "Identity" | "Dropout" | "Relu" | "Clip" => true,
        "Cast" => is_float(graph, input) && is_float(graph, node.output(0)?),
        // A bias must not repeat the classes: it adds nothing to the gradient then.
        "Add" => x == y,
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => flat(x) && flat(y) && x[0] == y[0],
        "GlobalAveragePool" => true,
        "AveragePool" => {
            let kernel = node.attributes.ints("kernel_shape").unwrap_or_default();
            let covers = kernel.iter().map(|&k| k as usize).eq(x[2..].iter().copied());
            covers && node.attributes.ints("pads").unwrap_or_default().iter().all(|&pad| pad == 0) && flat(y)
        }
        "ReduceMean" => {
            let means = |dims: &[usize]| dims.len() == 2 || flat(dims);
            x.len() > 2 && means(y) && x[0] == y[0]
        }
        "QuantizeLinear" | "DequantizeLinear" => {
            let scale = graph.shape(node.input(1)?)?;
            scale.iter().product::<usize>() == 1
                && (node.op_type == "DequantizeLinear" || quant_bounds(graph.dtype(node.output(0)?)?).is_some())
        }
        _ => false,
    };
    fits.then_some(input)
}

/// What `node` leaves of a one-hot gradient's share; `None` is a share of 1.
fn step_back(
    emit: &mut Emitter,
    node: &Node,
    share: Option<ValueId>,
    class: ValueId,
    classes: usize,
) -> Result<Option<ValueId>, RuleError> {
    let missing = || RuleError::unsupported("an input of it is missing");
    let (input, output) = (node.input(0).ok_or_else(missing)?, node.output(0).ok_or_else(missing)?);
    match node.op_type.as_str() {
        "GlobalAveragePool" | "AveragePool" | "ReduceMean" => {
            let dims = emit.dims(input)?;
            let count: usize = dims[2..].iter().product();
            let mut shape = vec![1; dims.len()];
            let given = match share {
                Some(share) => {
                    shape[0] = emit.dims(share)?.first().copied().unwrap_or(1);
                    share
                }
                None => emit.scalar(1.0),
            };
            let given = emit.scale(given, 1.0 / count.max(1) as f32);
            Ok(Some(emit.reshape(given, &shape)))
        }
        "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => {
            let Some(share) = share else { return Ok(None) };
            let mut shape = vec![1; emit.dims(input)?.len()];
            shape[0] = emit.dims(share)?.first().copied().unwrap_or(1);
            Ok(Some(emit.reshape(share, &shape)))
        }
        "Relu" => {
            let y = channel_of(emit, output, class, classes)?;
            let gate = emit.above(y, 0.0);
            Ok(Some(keep(emit, gate, share)))
        }
        "Clip" => {
            let y = channel_of(emit, output, class, classes)?;
            let mut gates = Vec::new();
            for (index, comparison) in [(1, "Greater"), (2, "Less")] {
                if let Some(bound) = node.input(index) {
                    let bound = emit.float(bound);
                    gates.push(emit.op(comparison, &[y, bound]));
                }
            }
            let gate = gates.into_iter().reduce(|both, gate| emit.op("And", &[both, gate]));
            Ok(match gate {
                Some(gate) => Some(keep(emit, gate, share)),
                None => share,
            })
        }
        "QuantizeLinear" => {
            let mut kept = share;
            if let Some(range) = Range::of(emit, node)? {
                let told = channel_of(emit, range.value, class, classes)?;
                let gate = range.gate(emit, told);
                kept = Some(keep(emit, gate, share));
            }
            let (scale, one) = (scale_of(emit, node)?, emit.scalar(1.0));
            let shape = vec![1; emit.dims(input)?.len()];
            let kept = match kept {
                Some(kept) => kept,
                None => emit.reshape(one, &shape),
            };
            Ok(Some(emit.div(kept, scale)))
        }
        "DequantizeLinear" => {
            let scale = scale_of(emit, node)?;
            match share {
                Some(share) => Ok(Some(emit.mul(share, scale))),
                None => {
                    let shape = vec![1; emit.dims(input)?.len()];
                    Ok(Some(emit.reshape(scale, &shape)))
                }
            }
        }
        _ => Ok(share),
    }
}

fn scale_of(emit: &mut Emitter, node: &Node) -> Result<ValueId, RuleError> {
    let scale = node.input(1).ok_or_else(|| RuleError::unsupported("its scale is missing"))?;
    let scale = emit.float(scale);
    Ok(emit.reshape(scale, &[]))
}

/// `share` (or 1) where `gate` holds, 0 elsewhere.
fn keep(emit: &mut Emitter, gate: ValueId, share: Option<ValueId>) -> ValueId {
    match share {
        Some(share) => emit.keep_where(gate, share),
        None => emit.float(gate),
    }
}

/// The channel of each sample's own class: `[N,C,…]` to float32 `[N,1,…]`.
///
/// One plain Gather over `[N·C,…]`, which every provider runs.
fn channel_of(emit: &mut Emitter, value: ValueId, class: ValueId, classes: usize) -> Result<ValueId, RuleError> {
    let dims = emit.dims(value)?;
    let batch = dims[0];
    let rows = emit.reshape(value, &[&[batch * classes], &dims[2..]].concat());
    let offsets: Vec<i64> = (0..batch).map(|sample| (sample * classes) as i64).collect();
    let offsets = emit.ints(&offsets);
    let index = if batch == 1 { class } else { emit.add(class, offsets) };
    let taken = emit.op_with("Gather", &[rows, index], Attributes::new().with_int("axis", 0));
    let taken = emit.float(taken);
    Ok(emit.reshape(taken, &[&[batch, 1], &dims[2..]].concat()))
}

/// Per sample the slice of a weight at its class along `axis`: float32 `[N, rest…]`.
///
/// Looks through what makes a weight out of smaller or narrower constants, and gathers there: an
/// int8 row is dequantised, not the int8 matrix.
fn gather_row(emit: &mut Emitter, weight: ValueId, class: ValueId, axis: usize) -> Result<ValueId, RuleError> {
    let made_by = producer(emit.graph, weight).map(|(_, node)| node.clone());
    if let Some(node) = made_by.filter(|node| node.domain.is_empty()) {
        match (node.op_type.as_str(), node.input(0)) {
            ("Identity" | "Cast", Some(input)) => return gather_row(emit, input, class, axis),
            ("Transpose", Some(input)) if emit.dims(input)?.len() == 2 => {
                return gather_row(emit, input, class, 1 - axis);
            }
            ("DequantizeLinear", Some(input)) if node.attributes.int("block_size").unwrap_or(0) == 0 => {
                return dequantised_row(emit, &node, input, class, axis);
            }
            _ => {}
        }
    }
    // A type that Gather or Cast might not take is not met here: weights are floats or 8-bit.
    let rows = emit.op_with("Gather", &[weight, class], Attributes::new().with_int("axis", axis as i64));
    let rows = emit.float(rows);
    let rank = emit.dims(weight)?.len();
    // Gather puts the samples where the class axis was.
    let mut perm: Vec<usize> = (0..rank).collect();
    perm.remove(axis);
    let perm: Vec<usize> = [axis].into_iter().chain(perm).collect();
    Ok(emit.transpose(rows, &perm))
}

/// `(q − z)·s` of one row, with the scale and zero point of that row where there is one per class.
fn dequantised_row(
    emit: &mut Emitter,
    node: &Node,
    q: ValueId,
    class: ValueId,
    axis: usize,
) -> Result<ValueId, RuleError> {
    let rank = emit.dims(q)?.len();
    let q_row = gather_row(emit, q, class, axis)?;
    let along = node.attributes.int("axis").unwrap_or(1);
    let along = if along < 0 { along + rank as i64 } else { along } as usize;
    let parameter = |emit: &mut Emitter, index: usize| -> Result<Option<ValueId>, RuleError> {
        let Some(value) = node.input(index) else {
            return Ok(None);
        };
        let dims = emit.dims(value)?;
        let count: usize = dims.iter().product();
        // The row has the class axis in front and the others behind, in order.
        let mut shape = vec![1; rank];
        if count == 1 {
            let value = emit.float(value);
            return Ok(Some(emit.reshape(value, &[])));
        }
        if along == axis {
            let value = emit.op_with("Gather", &[value, class], Attributes::new().with_int("axis", 0));
            let value = emit.float(value);
            shape[0] = emit.dims(class)?[0];
            return Ok(Some(emit.reshape(value, &shape)));
        }
        shape[if along < axis { along + 1 } else { along }] = count;
        let value = emit.float(value);
        Ok(Some(emit.reshape(value, &shape)))
    };
    let zero = match node.input(2).map(|zero| (emit.graph.dtype(zero), zero)) {
        Some((Some(DataType::Int8 | DataType::Uint8 | DataType::Int16 | DataType::Uint16 | DataType::Int32), _)) => {
            parameter(emit, 2)?
        }
        _ => None,
    };
    let scale = parameter(emit, 1)?.ok_or_else(|| RuleError::unsupported("its scale is missing"))?;
    let centred = match zero {
        Some(zero) => emit.sub(q_row, zero),
        None => q_row,
    };
    Ok(emit.mul(centred, scale))
}
