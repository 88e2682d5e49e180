//! Picking and placing elements by index.

use super::super::DataType;
use super::{Call, Fact, Facts, Table, axis, one, same};

pub(super) const RULES: Table = &[
    ("Gather", gather),
    ("GatherElements", gather_elements),
    ("GatherND", gather_nd),
    ("OneHot", one_hot),
    ("Scatter", same),
    ("ScatterElements", same),
    ("ScatterND", same),
    ("TopK", top_k),
    ("NonZero", non_zero),
    ("ReverseSequence", same),
];

/// The axis of the data gives way to the axes of the indices.
fn gather(call: &Call) -> Facts {
    let (Some(data), Some(indices)) = (call.shape(0), call.shape(1)) else {
        return one(call.dtype(0), None);
    };
    let at = axis(call.int("axis", 0), data.len())?;
    let shape = [&data[..at], indices, &data[at + 1..]].concat();
    one(call.dtype(0), Some(shape))
}

/// The last axis of the indices addresses axes of the data, after `batch_dims` common ones.
fn gather_nd(call: &Call) -> Facts {
    let (Some(data), Some(indices)) = (call.shape(0), call.shape(1)) else {
        return one(call.dtype(0), None);
    };
    let batch = usize::try_from(call.int("batch_dims", 0)).unwrap_or(usize::MAX);
    let misfit = || format!("indices of shape {indices:?} for data of shape {data:?}");
    let (&depth, outer) = indices.split_last().ok_or_else(misfit)?;
    let used = batch.checked_add(depth).filter(|&u| u <= data.len()).ok_or_else(misfit)?;
    if outer.len() < batch {
        return Err(misfit());
    }
    one(call.dtype(0), Some([outer, &data[used..]].concat()))
}

fn one_hot(call: &Call) -> Facts {
    let dtype = call.dtype(2);
    let (Some(indices), Some(depth)) = (call.shape(0), call.integers(1)) else {
        return one(dtype, None);
    };
    let depth = depth.first().and_then(|&d| usize::try_from(d).ok());
    let depth = depth.ok_or("its depth is negative")?;
    let at = axis(call.int("axis", -1), indices.len() + 1)?;
    let mut shape = indices.to_vec();
    shape.insert(at, depth);
    one(dtype, Some(shape))
}

fn top_k(call: &Call) -> Facts {
    let facts = |shape: Option<Vec<usize>>| {
        Ok(vec![Fact::new(call.dtype(0), shape.clone()), Fact::new(Some(DataType::Int64), shape)])
    };
    let k = match call.has(1) {
        true => call.integers(1).and_then(|k| k.first().copied()),
        false => call.node.attributes.int("k"),
    };
    let (Some(shape), Some(k)) = (call.shape(0), k) else {
        return facts(None);
    };
    let at = axis(call.int("axis", -1), shape.len())?;
    let k = usize::try_from(k).ok().filter(|&k| k <= shape[at]);
    let k = k.ok_or_else(|| format!("more elements are asked for than axis {at} of {shape:?} has"))?;
    let mut shape = shape.to_vec();
    shape[at] = k;
    facts(Some(shape))
}

/// How many elements are not zero is known only where the contents are; see `fold`.
fn non_zero(_: &Call) -> Facts {
    one(Some(DataType::Int64), None)
}

/// The shape is that of the indices.
fn gather_elements(call: &Call) -> Facts {
    if let (Some(rank), Some(indices)) = (call.rank(0), call.rank(1)) {
        axis(call.int("axis", 0), rank)?;
        if rank != indices {
            return Err(format!("the data have {rank} axes and the indices {indices}"));
        }
    }
    one(call.dtype(0), call.shape(1).map(<[usize]>::to_vec))
}
