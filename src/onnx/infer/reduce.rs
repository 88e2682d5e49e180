//! Reductions over axes.

use super::super::DataType;
use super::{Call, Facts, List, Table, axis, one};

pub(super) const RULES: Table = &[
    ("ReduceL1", reduce),
    ("ReduceL2", reduce),
    ("ReduceLogSum", reduce),
    ("ReduceLogSumExp", reduce),
    ("ReduceMax", reduce),
    ("ReduceMean", reduce),
    ("ReduceMin", reduce),
    ("ReduceProd", reduce),
    ("ReduceSum", reduce),
    ("ReduceSumSquare", reduce),
    ("ArgMax", arg),
    ("ArgMin", arg),
];

/// The axes a reduction runs over, from the input or the attribute; `None` where not known yet.
pub(super) fn reduced_axes(call: &Call, rank: usize) -> Result<Option<Vec<bool>>, String> {
    let given = match call.list(1, "axes") {
        List::Unknown => return Ok(None),
        List::Absent => Vec::new(),
        List::Known(axes) => axes,
    };
    // No axes: all of them, unless the node says that then nothing is reduced.
    let all = given.is_empty() && call.int("noop_with_empty_axes", 0) == 0;
    let mut reduced = vec![all; rank];
    for a in given {
        reduced[axis(a, rank)?] = true;
    }
    Ok(Some(reduced))
}

/// `shape` with the marked axes gone, or kept as 1.
fn collapse(shape: &[usize], reduced: &[bool], keep: bool) -> Vec<usize> {
    let axes = shape.iter().zip(reduced);
    axes.filter_map(|(&d, &gone)| if gone { keep.then_some(1) } else { Some(d) }).collect()
}

fn reduce(call: &Call) -> Facts {
    let Some(shape) = call.shape(0) else {
        return one(call.dtype(0), None);
    };
    let keep = call.int("keepdims", 1) != 0;
    let reduced = reduced_axes(call, shape.len())?;
    one(call.dtype(0), reduced.map(|r| collapse(shape, &r, keep)))
}

fn arg(call: &Call) -> Facts {
    let Some(shape) = call.shape(0) else {
        return one(Some(DataType::Int64), None);
    };
    let mut reduced = vec![false; shape.len()];
    reduced[axis(call.int("axis", 0), shape.len())?] = true;
    let keep = call.int("keepdims", 1) != 0;
    one(Some(DataType::Int64), Some(collapse(shape, &reduced, keep)))
}
