//! Reductions. Their gradients keep the reduced axes at length 1 and are never expanded here.

use super::{Contributions, Site, wrap};
use crate::explain::error::RuleError;
use crate::onnx::ValueId;

/// `g`, the same for every entry of the sum.
pub(super) fn sum(site: &mut Site) -> Contributions {
    let axes = axes(site)?;
    Ok(vec![(0, kept(site, &axes)?)])
}

/// `g / count`.
pub(super) fn mean(site: &mut Site) -> Contributions {
    let axes = axes(site)?;
    average_over(site, &axes, false)
}

/// The entries that equal the extremum share `g` in equal parts.
pub(super) fn extremum(site: &mut Site) -> Contributions {
    let axes = axes(site)?;
    extremum_over(site, &axes, false)
}

/// `g / count`; `keeps` says that the operator never drops the axes.
pub(super) fn average_over(site: &mut Site, axes: &[usize], keeps: bool) -> Contributions {
    let dims = site.x_dims(0)?;
    let count: usize = axes.iter().map(|&axis| dims[axis]).product();
    let g = if keeps { site.g()? } else { kept(site, axes)? };
    Ok(vec![(0, site.emit.scale(g, 1.0 / count.max(1) as f32))])
}

/// See [`extremum`]; `keeps` says that the operator never drops the axes.
pub(super) fn extremum_over(site: &mut Site, axes: &[usize], keeps: bool) -> Contributions {
    let (x, dims) = (site.x(0)?, site.x_dims(0)?);
    let g = if keeps { site.g()? } else { kept(site, axes)? };
    let y = site.y()?;
    let y = site.emit.reshape(y, &reduced(&dims, axes));
    let equal = site.emit.op("Equal", &[x, y]);
    let mask = site.emit.float(equal);
    let ties = site.emit.sum(mask, axes);
    let part = site.emit.div(g, ties);
    Ok(vec![(0, site.emit.mul(part, mask))])
}

fn reduced(dims: &[usize], axes: &[usize]) -> Vec<usize> {
    dims.iter().enumerate().map(|(axis, &n)| if axes.contains(&axis) { 1 } else { n }).collect()
}

/// The incoming gradient with the reduced axes put back at length 1.
fn kept(site: &mut Site, axes: &[usize]) -> Result<ValueId, RuleError> {
    let dims = site.x_dims(0)?;
    if site.int("keepdims", 1) != 0 {
        return site.g();
    }
    let g = site.g_full()?;
    Ok(site.emit.reshape(g, &reduced(&dims, axes)))
}

/// The reduced axes: an attribute before opset 13 or 18, an input since; none means all.
fn axes(site: &Site) -> Result<Vec<usize>, RuleError> {
    let rank = site.x_dims(0)?.len();
    let given = match site.node.input(1) {
        Some(input) => Some(
            site.emit.known_ints(input).ok_or_else(|| RuleError::unsupported("its axes are not known beforehand"))?,
        ),
        None => site.node.attributes.ints("axes").map(|axes| axes.to_vec()),
    };
    match given.filter(|axes| !axes.is_empty()) {
        Some(axes) => axes.iter().map(|&axis| wrap(axis, rank)).collect(),
        None if site.int("noop_with_empty_axes", 0) != 0 => Ok(Vec::new()),
        None => Ok((0..rank).collect()),
    }
}
