//! Quantised models (QDQ): the gradient of the real numbers that the integers stand for.
//!
//! An integer tensor's gradient is counted per integer step, so that it stays right where the
//! scales of the two ends differ.

use super::{Contributions, Site};
use crate::explain::emit::Emitter;
use crate::explain::error::RuleError;
use crate::onnx::{DataType, Node, ValueId};

/// `y = (q − z)·s`: `dq = g·s`.
pub(super) fn dequantize(site: &mut Site) -> Contributions {
    site.only_first("a scale")?;
    let (g, scale) = (site.g()?, scale(site)?);
    Ok(vec![(0, site.emit.mul(g, scale))])
}

/// `q = round(x/s) + z`, saturated: `dx = g/s` where `min < q < max`.
///
/// The gate matters: the quantiser deletes a Relu and lets the saturation do its work, so passing
/// the gradient straight through explains another model (correlation 0.68 with the float model's
/// map, 0.96 with the gate).
pub(super) fn quantize(site: &mut Site) -> Contributions {
    site.only_first("a scale")?;
    let (mut g, scale) = (site.g()?, scale(site)?);
    if let Some(range) = Range::of(site.emit, site.node)? {
        let gate = range.gate(site.emit, range.value);
        g = site.emit.keep_where(gate, g);
    }
    Ok(vec![(0, site.emit.div(g, scale))])
}

/// The scale, shaped to broadcast along its axis.
fn scale(site: &mut Site) -> Result<ValueId, RuleError> {
    let (scale, rank) = (site.x(1)?, site.y_dims()?.len());
    if site.int("block_size", 0) != 0 {
        return Err(RuleError::unsupported("blocked quantisation has no rule"));
    }
    let dims = site.emit.dims(scale)?;
    if dims.iter().product::<usize>() == 1 {
        return Ok(site.emit.reshape(scale, &[]));
    }
    let axis = site.axis("axis", 1, rank)?;
    let mut shape = vec![1; rank];
    shape[axis] = dims[0];
    Ok(site.emit.reshape(scale, &shape))
}

/// What tells where a QuantizeLinear saturates, and the bounds it must lie between.
///
/// Asked of the integers, the question would be simple. But ONNX Runtime turns int8 activations into
/// uint8, for which its kernels run several times faster, only where a single DequantizeLinear reads
/// the integers and a single node reads that. So the question is asked elsewhere where it can be.
pub(crate) struct Range {
    pub(crate) value: ValueId,
    low: f32,
    high: f32,
}

impl Range {
    /// For a QuantizeLinear; `None` where it cannot saturate.
    pub(crate) fn of(emit: &mut Emitter, node: &Node) -> Result<Option<Self>, RuleError> {
        let unknown = || RuleError::unsupported("its output is not an integer it has a rule for");
        let (input, output) = node.input(0).zip(node.output(0)).ok_or_else(unknown)?;
        let (low, high) = emit.graph.dtype(output).and_then(bounds).ok_or_else(unknown)?;
        let integers = Self { value: output, low, high };
        let Some((scale, zero)) = parameters(emit, node) else {
            return Ok(Some(integers));
        };
        if requantises(emit, input, (scale, zero)) {
            return Ok(None);
        }
        let Some(value) = averaged(emit, input)? else {
            return Ok(Some(integers));
        };
        // Halfway between two steps, so that rounding does not matter.
        let real = |q: f32| (q - zero) * scale;
        Ok(Some(Self { value, low: real(low + 0.5), high: real(high - 0.5) }))
    }

    /// `low < value < high`, as booleans, for the value or a part of it.
    pub(crate) fn gate(&self, emit: &mut Emitter, value: ValueId) -> ValueId {
        let value = emit.float(value);
        let (above, below) = (emit.above(value, self.low), emit.below(value, self.high));
        emit.op("And", &[above, below])
    }
}

/// Scale and zero point of a node that quantises a whole tensor alike, where they are known.
fn parameters(emit: &Emitter, node: &Node) -> Option<(f32, f32)> {
    let zero = match node.input(2) {
        Some(zero) => emit.known_scalar(zero)?,
        None => 0.0,
    };
    Some((emit.known_scalar(node.input(1)?)?, zero))
}

/// Whether `value` only moves what was dequantised with the same parameters: it cannot saturate.
fn requantises(emit: &Emitter, value: ValueId, parameters_of: (f32, f32)) -> bool {
    let mut at = value;
    while let Some(node) = emit.graph.producer(at).map(|id| emit.graph.node(id)) {
        match (node.op_type.as_str(), node.input(0)) {
            ("DequantizeLinear", _) => return parameters(emit, node) == Some(parameters_of),
            ("Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Transpose" | "Identity" | "MaxPool", Some(input)) => {
                at = input
            }
            _ => return false,
        }
    }
    false
}

/// A second computation of `value` where it is the mean over the space of something: cheaper than
/// taking the model's own out of its quantised form.
fn averaged(emit: &mut Emitter, value: ValueId) -> Result<Option<ValueId>, RuleError> {
    let made_by = emit.graph.producer(value).map(|id| emit.graph.node(id));
    let Some((node, input)) = made_by.and_then(|node| Some((node, node.input(0)?))) else {
        return Ok(None);
    };
    if node.op_type != "GlobalAveragePool" {
        return Ok(None);
    }
    let axes: Vec<usize> = (2..emit.dims(input)?.len()).collect();
    let input = emit.float(input);
    Ok(Some(emit.mean(input, &axes)))
}

/// The least and greatest value of a quantised type.
pub(crate) fn bounds(dtype: DataType) -> Option<(f32, f32)> {
    match dtype {
        DataType::Int8 => Some((-128.0, 127.0)),
        DataType::Uint8 => Some((0.0, 255.0)),
        DataType::Int16 => Some((-32768.0, 32767.0)),
        DataType::Uint16 => Some((0.0, 65535.0)),
        _ => None,
    }
}
