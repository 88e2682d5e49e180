//! Normalisation, and softmax.

use super::{Contributions, Site};
use crate::explain::error::RuleError;
use crate::onnx::{Attributes, ValueId};

/// Inference: `g · scale/√(var + ε)` per channel. Written in the graph; it folds when loaded.
pub(super) fn batch(site: &mut Site) -> Contributions {
    site.only_first("a statistic")?;
    if site.int("training_mode", 0) != 0 {
        return Err(RuleError::unsupported("it is in training mode"));
    }
    let (g, scale, variance) = (site.g()?, site.x(1)?, site.x(4)?);
    let epsilon = site.real("epsilon", 1e-5);
    let sum = site.emit.offset(variance, epsilon);
    let deviation = site.emit.op("Sqrt", &[sum]);
    let factor = site.emit.div(scale, deviation);
    let factor = per_channel(site, factor)?;
    Ok(vec![(0, site.emit.mul(g, factor))])
}

/// `[C]` as `[C,1,…]`, which broadcasts along axis 1 of the input.
fn per_channel(site: &mut Site, value: ValueId) -> Result<ValueId, RuleError> {
    let (rank, channels) = (site.x_dims(0)?.len(), site.emit.dims(value)?);
    let mut dims = vec![1; rank.saturating_sub(1)];
    if let (Some(first), [channels]) = (dims.first_mut(), channels.as_slice()) {
        *first = *channels;
        return Ok(site.emit.reshape(value, &dims));
    }
    Ok(value)
}

/// Over the axes from `axis` on.
pub(super) fn layer(site: &mut Site) -> Contributions {
    site.only_first("a scale")?;
    let rank = site.x_dims(0)?.len();
    let axes: Vec<usize> = (site.axis("axis", -1, rank)?..rank).collect();
    let scale = site.x(1)?;
    standardised(site, scale, &axes)
}

/// Over space, per sample and channel.
pub(super) fn instance(site: &mut Site) -> Contributions {
    site.only_first("a scale")?;
    let axes: Vec<usize> = (2..site.x_dims(0)?.len()).collect();
    let scale = site.x(1)?;
    let scale = per_channel(site, scale)?;
    standardised(site, scale, &axes)
}

/// `x̂ = (x − mean)·inv`, `gs = g·scale`: `dx = inv·(gs − mean(gs) − x̂·mean(gs·x̂))`.
fn standardised(site: &mut Site, scale: ValueId, axes: &[usize]) -> Contributions {
    let (x, g, epsilon) = (site.x(0)?, site.g_full()?, site.real("epsilon", 1e-5));
    let emit = &mut *site.emit;
    let mean = emit.mean(x, axes);
    let centred = emit.sub(x, mean);
    let square = emit.mul(centred, centred);
    let variance = emit.mean(square, axes);
    let sum = emit.offset(variance, epsilon);
    let deviation = emit.op("Sqrt", &[sum]);
    let inverse = emit.op("Reciprocal", &[deviation]);
    let normed = emit.mul(centred, inverse);
    let scaled = emit.mul(g, scale);
    let level = emit.mean(scaled, axes);
    let levelled = emit.sub(scaled, level);
    let along = emit.mul(scaled, normed);
    let along = emit.mean(along, axes);
    let along = emit.mul(normed, along);
    let rest = emit.sub(levelled, along);
    Ok(vec![(0, emit.mul(inverse, rest))])
}

/// `D = bias + α·win(x²)/size`: `dx = g·D^(−β) − 2αβ/size·x·win(g·x·D^(−β−1))`.
///
/// `win(·)/size`, the mean over a window of channels, is an average pool over `[N,1,C,H·W]` that
/// counts its padding. The second window looks the other way, which matters for even sizes.
pub(super) fn local_response(site: &mut Site) -> Contributions {
    let (x, g, dims) = (site.x(0)?, site.g_full()?, site.x_dims(0)?);
    let (alpha, beta, bias) = (site.real("alpha", 1e-4), site.real("beta", 0.75), site.real("bias", 1.0));
    let size = site.int("size", 1).max(1);
    if dims.len() < 3 {
        return Err(RuleError::unsupported("its input has no space"));
    }
    let (fewer, more) = ((size - 1) / 2, size - 1 - (size - 1) / 2);
    let emit = &mut *site.emit;
    let flat = [dims[0], 1, dims[1], dims[2..].iter().product()];
    let window = |emit: &mut crate::explain::emit::Emitter, value: ValueId, before: i64, after: i64| {
        let value = emit.reshape(value, &flat);
        let attributes = Attributes::new()
            .with_ints("kernel_shape", &[size, 1])
            .with_ints("pads", &[before, 0, after, 0])
            .with_int("count_include_pad", 1);
        let mean = emit.op_with("AveragePool", &[value], attributes);
        emit.reshape(mean, &dims)
    };
    let square = emit.mul(x, x);
    let energy = window(emit, square, fewer, more);
    let energy = emit.scale(energy, alpha);
    let base = emit.offset(energy, bias);
    let exponent = emit.scalar(-beta);
    let power = emit.op("Pow", &[base, exponent]);
    let direct = emit.mul(g, power);
    let cross = emit.mul(direct, x);
    let cross = emit.div(cross, base);
    let cross = window(emit, cross, more, fewer);
    let cross = emit.mul(x, cross);
    let cross = emit.scale(cross, 2.0 * alpha * beta);
    Ok(vec![(0, emit.sub(direct, cross))])
}

/// `t = g·y`: `dx = t − y·Σt`.
pub(super) fn softmax(site: &mut Site) -> Contributions {
    let (y, g, axis) = (site.y()?, site.g()?, softmax_axis(site)?);
    let t = site.emit.mul(g, y);
    let sum = site.emit.sum(t, &[axis]);
    let part = site.emit.mul(y, sum);
    Ok(vec![(0, site.emit.sub(t, part))])
}

/// `dx = g − e^y·Σg`.
pub(super) fn log_softmax(site: &mut Site) -> Contributions {
    let (y, g, axis) = (site.y()?, site.g_full()?, softmax_axis(site)?);
    let sum = site.emit.sum(g, &[axis]);
    let probabilities = site.emit.op("Exp", &[y]);
    let part = site.emit.mul(probabilities, sum);
    Ok(vec![(0, site.emit.sub(g, part))])
}

fn softmax_axis(site: &Site) -> Result<usize, RuleError> {
    let rank = site.x_dims(0)?.len();
    site.axis("axis", -1, rank)
}
