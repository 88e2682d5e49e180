//! Operators that move entries without changing them.

use super::{Contributions, Site, wrap};
use crate::explain::error::RuleError;
use crate::onnx::DataType;

/// Identity, Dropout in inference, Cast: `g`. A cast to integers or booleans ends the way.
pub(super) fn pass(site: &mut Site) -> Contributions {
    let floats = [DataType::Float, DataType::Float16, DataType::Bfloat16, DataType::Double];
    let output = site.output()?;
    let ends = site.node.op_type == "Cast" && site.emit.graph.dtype(output).is_some_and(|d| !floats.contains(&d));
    Ok(if ends { Vec::new() } else { vec![(0, site.g()?)] })
}

/// Reshape, Flatten, Squeeze, Unsqueeze: the input's shape again.
pub(super) fn reshape(site: &mut Site) -> Contributions {
    let (dims, to) = (site.y_dims()?, site.x_dims(0)?);
    let g = if dims == to { site.g()? } else { site.g_full()? };
    let same = dims == to;
    Ok(vec![(0, if same { g } else { site.emit.reshape(g, &to) })])
}

/// The inverse permutation.
pub(super) fn transpose(site: &mut Site) -> Contributions {
    let (g, rank) = (site.g()?, site.x_dims(0)?.len());
    let mut inverse = vec![0; rank];
    let perm: Vec<i64> = match site.node.attributes.ints("perm") {
        Some(perm) => perm.to_vec(),
        None => (0..rank as i64).rev().collect(),
    };
    for (to, &from) in perm.iter().enumerate().take(rank) {
        inverse[wrap(from, rank)?] = to;
    }
    Ok(vec![(0, site.emit.transpose(g, &inverse))])
}

/// Sums over the axes along which the input was repeated.
pub(super) fn expand(site: &mut Site) -> Contributions {
    let g = site.g()?;
    Ok(vec![site.shrink(0, g)?])
}

/// A slice for each operand. A gradient that is the same along the axis needs none.
pub(super) fn concat(site: &mut Site) -> Contributions {
    let (g, rank) = (site.g()?, site.y_dims()?.len());
    let axis = site.axis("axis", 0, rank)?;
    let varies = site.emit.dims(g)?[axis] > 1;
    let (mut start, mut given) = (0, Vec::new());
    for index in 0..site.node.inputs.len() {
        let length = site.x_dims(index)?.get(axis).copied();
        let length = length.ok_or_else(|| RuleError::unsupported("its operands differ in rank"))? as i64;
        if site.wants(index) {
            let part = if varies { site.emit.slice(g, &[axis], &[start], &[start + length], &[1]) } else { g };
            given.push((index, part));
        }
        start += length;
    }
    Ok(given)
}

/// The parts' gradients side by side; zeros for a part the score does not depend on.
pub(super) fn split(site: &mut Site) -> Contributions {
    let rank = site.x_dims(0)?.len();
    let axis = site.axis("axis", 0, rank)?;
    let mut parts = Vec::with_capacity(site.node.outputs.len());
    for (&output, &gradient) in site.node.outputs.iter().zip(site.incoming) {
        let output = output.ok_or_else(|| RuleError::unsupported("one of its outputs has no name"))?;
        let dims = site.emit.dims(output)?;
        let gradient = gradient.unwrap_or_else(|| site.emit.scalar(0.0));
        parts.push(site.emit.expand(gradient, &dims));
    }
    Ok(vec![(0, site.emit.concat(&parts, axis))])
}

/// Each entry back where it was taken from, zeros between.
pub(super) fn slice(site: &mut Site) -> Contributions {
    let known = |site: &Site, index: usize| -> Result<Option<Vec<i64>>, RuleError> {
        let Some(input) = site.node.input(index) else {
            return Ok(None);
        };
        let known = site.emit.known_ints(input);
        Ok(Some(known.ok_or_else(|| RuleError::unsupported("what it cuts out is not known beforehand"))?))
    };
    let (from, to) = (site.x_dims(0)?, site.y_dims()?);
    let starts = known(site, 1)?.unwrap_or_default();
    let axes = known(site, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = known(site, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let mut g = site.g_full()?;
    for ((&start, &axis), &step) in starts.iter().zip(&axes).zip(&steps) {
        let axis = wrap(axis, from.len())?;
        let (length, taken) = (from[axis] as i64, to[axis] as i64);
        let start = if start < 0 { start + length } else { start };
        if step == 0 || taken == 0 {
            return Err(RuleError::unsupported("it cuts out nothing"));
        }
        let first = if step > 0 { start.clamp(0, length) } else { start.clamp(0, length - 1) };
        let lowest = if step > 0 { first } else { first + (taken - 1) * step };
        if step < 0 {
            g = site.emit.slice(g, &[axis], &[-1], &[-taken - 1], &[-1]);
        }
        g = site.emit.spread(g, axis, lowest.max(0) as usize, step.unsigned_abs() as usize, from[axis])?;
    }
    Ok(vec![(0, g)])
}

/// Constant padding: the part of `g` that lies on the input. Where `Pad` cropped, zeros.
pub(super) fn pad(site: &mut Site) -> Contributions {
    if site.node.attributes.string("mode").is_some_and(|mode| mode != "constant") {
        return Err(RuleError::unsupported("only constant padding has a rule"));
    }
    let unknown = || RuleError::unsupported("how much it pads is not known beforehand");
    let dims = site.x_dims(0)?;
    let given = site.emit.known_ints(site.input(1)?).ok_or_else(unknown)?;
    let axes: Vec<i64> = match site.node.input(3) {
        Some(axes) => site.emit.known_ints(axes).ok_or_else(unknown)?,
        None => (0..dims.len() as i64).collect(),
    };
    if given.len() != 2 * axes.len() {
        return Err(RuleError::unsupported("its pads do not fit its axes"));
    }
    let mut g = site.g_full()?;
    let mut zeros = vec![0; 2 * dims.len()];
    let (mut cut, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (i, &axis) in axes.iter().enumerate() {
        let axis = wrap(axis, dims.len())?;
        let (before, after) = (given[i], given[axes.len() + i]);
        zeros[axis] = (-before).max(0);
        zeros[dims.len() + axis] = (-after).max(0);
        if before > 0 || after > 0 {
            let inner = dims[axis] as i64 + before.min(0) + after.min(0);
            cut.push(axis);
            starts.push(before.max(0));
            ends.push(before.max(0) + inner);
        }
    }
    if !cut.is_empty() {
        let steps = vec![1; cut.len()];
        g = site.emit.slice(g, &cut, &starts, &ends, &steps);
    }
    Ok(vec![(0, site.emit.pad(g, &zeros, 0.0))])
}

/// One index: `g` at its place, zeros elsewhere. Several: a product with a one-hot matrix, which
/// also adds up entries that were taken more than once.
pub(super) fn gather(site: &mut Site) -> Contributions {
    site.only_first("an index")?;
    let from = site.x_dims(0)?;
    let axis = site.axis("axis", 0, from.len())?;
    let indices = site.input(1)?;
    let known = site.emit.known_ints(indices);
    let known = known.ok_or_else(|| RuleError::unsupported("its indices are not known beforehand"))?;
    let places: Vec<usize> = known.iter().map(|&index| wrap(index, from[axis])).collect::<Result<_, _>>()?;
    let mut taken = from.clone();
    taken[axis] = places.len();
    let g = site.g_full()?;
    let g = site.emit.reshape(g, &taken);
    if let [place] = places[..] {
        return Ok(vec![(0, site.emit.spread(g, axis, place, 1, from[axis])?)]);
    }
    let mut one_hot = vec![0.0; places.len() * from[axis]];
    for (row, place) in places.iter().enumerate() {
        one_hot[row * from[axis] + place] = 1.0;
    }
    let one_hot = site.emit.floats(&[places.len(), from[axis]], &one_hot);
    let mut perm: Vec<usize> = (0..from.len()).collect();
    let last = from.len() - 1;
    perm.swap(axis, last);
    let rows = site.emit.transpose(g, &perm);
    let sums = site.emit.op("MatMul", &[rows, one_hot]);
    Ok(vec![(0, site.emit.transpose(sums, &perm))])
}

/// `DepthToSpace` (DCR) undone: blocks become channels again.
pub(super) fn depth_to_space(site: &mut Site) -> Contributions {
    // The node's reshaped output is [N, C, H, b, W, b]; see the operator's definition.
    let blocks_last = [0, 1, 3, 5, 2, 4];
    let blocks_first = [0, 3, 5, 1, 2, 4];
    let crd = site.node.attributes.string("mode") == Some("CRD");
    let (from, to, b) = (site.x_dims(0)?, site.y_dims()?, block(site)?);
    let apart = [to[0], to[1], from[2], b, from[3], b];
    let g = site.g_full()?;
    let g = site.emit.reshape(g, &apart);
    let g = site.emit.transpose(g, if crd { &blocks_last } else { &blocks_first });
    Ok(vec![(0, site.emit.reshape(g, &from))])
}

/// `SpaceToDepth` undone: channels become blocks again.
pub(super) fn space_to_depth(site: &mut Site) -> Contributions {
    let (from, to, b) = (site.x_dims(0)?, site.y_dims()?, block(site)?);
    let apart = [to[0], b, b, from[1], to[2], to[3]];
    let g = site.g_full()?;
    let g = site.emit.reshape(g, &apart);
    let g = site.emit.transpose(g, &[0, 3, 4, 1, 5, 2]);
    Ok(vec![(0, site.emit.reshape(g, &from))])
}

fn block(site: &Site) -> Result<usize, RuleError> {
    usize::try_from(site.int("blocksize", 0))
        .ok()
        .filter(|&block| block > 0 && site.x_dims(0).is_ok_and(|dims| dims.len() == 4))
        .ok_or_else(|| RuleError::unsupported("its blocksize does not fit its input"))
}
