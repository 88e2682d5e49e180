//! Operators that move elements without computing: reshaping, joining, cutting, padding, resizing;
//! and those that make shapes or are made from shapes.

use super::super::tensor::{Tensor, count};
use super::super::{DataType, schema::AttributeType};
use super::{Call, Fact, Facts, List, Table, axis, broadcast, one, same};

pub(super) const RULES: Table = &[
    ("Concat", concat),
    ("Constant", constant),
    ("ConstantOfShape", constant_of_shape),
    ("DepthToSpace", depth_to_space),
    ("Expand", expand),
    ("EyeLike", eye_like),
    ("Flatten", flatten),
    ("Pad", pad),
    ("Range", range),
    ("Reshape", reshape),
    ("Resize", resize),
    ("Shape", shape_of),
    ("Size", size_of),
    ("Slice", slice),
    ("SpaceToDepth", space_to_depth),
    ("Split", split),
    ("Squeeze", squeeze),
    ("Tile", tile),
    ("Transpose", transpose),
    ("Unsqueeze", unsqueeze),
    ("Upsample", upsample),
];

/// Integers as sizes.
fn sizes(values: &[i64], what: &str) -> Result<Vec<usize>, String> {
    let sizes: Option<Vec<usize>> = values.iter().map(|&v| usize::try_from(v).ok()).collect();
    sizes.ok_or_else(|| format!("{what} {values:?} has a negative entry"))
}

/// The shape of parts joined along an axis.
pub(super) fn joined(parts: &[&[usize]], along: usize) -> Result<Vec<usize>, String> {
    let mut out = parts.first().ok_or("nothing to join")?.to_vec();
    for part in &parts[1..] {
        let fits = part.len() == out.len() && (0..out.len()).all(|i| i == along || part[i] == out[i]);
        if !fits {
            return Err(format!("shapes {parts:?} do not join along axis {along}"));
        }
        out[along] = out[along].checked_add(part[along]).ok_or("its output is impossibly large")?;
    }
    Ok(out)
}

fn concat(call: &Call) -> Facts {
    let dtype = call.dtype(0);
    let Some(parts) = call.shapes_from(0) else {
        return one(dtype, None);
    };
    let Some(first) = parts.first() else {
        return Err("nothing to join".into());
    };
    let given = call.node.attributes.int("axis").ok_or("its axis is not given")?;
    let along = axis(given, first.len())?;
    one(dtype, Some(joined(&parts, along)?))
}

/// Most `Constant` nodes are constants of the graph already; this one was the result of an `If`.
fn constant(call: &Call) -> Facts {
    let Some(a) = call.node.attributes.0.first() else {
        return Ok(Vec::new());
    };
    let tensor = match (a.name(), a.r#type()) {
        ("value", _) => call.node.attributes.tensor("value"),
        ("value_float", _) => Some(Tensor::scalar(a.f())),
        ("value_floats", AttributeType::Floats) => Some(Tensor::f32(&[a.floats.len()], &a.floats)),
        ("value_int", _) => Some(Tensor::i64(&[], &[a.i()])),
        ("value_ints", AttributeType::Ints) => Some(Tensor::vec_i64(&a.ints)),
        _ => None,
    };
    let fact = |t: Tensor| Fact { dtype: Some(t.dtype), shape: Some(t.dims.clone()), constant: Some(t) };
    Ok(tensor.map(fact).into_iter().collect())
}

fn constant_of_shape(call: &Call) -> Facts {
    let dtype = call.node.attributes.tensor("value").map_or(DataType::Float, |t| t.dtype);
    let shape = call.integers(0).map(|s| sizes(&s, "the shape")).transpose()?;
    one(Some(dtype), shape)
}

fn block(call: &Call) -> Result<Option<[usize; 5]>, String> {
    let Some(shape) = call.shape(0) else {
        return Ok(None);
    };
    let b = call.node.attributes.int("blocksize").and_then(|b| usize::try_from(b).ok());
    match (shape, b.filter(|&b| b > 0 && b < 1 << 16)) {
        ([n, c, h, w], Some(b)) => Ok(Some([*n, *c, *h, *w, b])),
        _ => Err(format!("blocks of {b:?} on shape {shape:?}")),
    }
}

fn depth_to_space(call: &Call) -> Facts {
    let shape = block(call)?.map(|[n, c, h, w, b]| vec![n, c / (b * b), h.saturating_mul(b), w.saturating_mul(b)]);
    one(call.dtype(0), shape)
}

fn space_to_depth(call: &Call) -> Facts {
    let shape = block(call)?.map(|[n, c, h, w, b]| vec![n, c.saturating_mul(b * b), h / b, w / b]);
    one(call.dtype(0), shape)
}

fn expand(call: &Call) -> Facts {
    let (Some(shape), Some(to)) = (call.shape(0), call.integers(1)) else {
        return one(call.dtype(0), None);
    };
    one(call.dtype(0), Some(broadcast(&[shape, &sizes(&to, "the shape")?])?))
}

fn eye_like(call: &Call) -> Facts {
    let given = call.node.attributes.int("dtype").and_then(|t| i32::try_from(t).ok());
    let dtype = given.and_then(|t| DataType::try_from(t).ok()).or(call.dtype(0));
    one(dtype, call.shape(0).map(<[usize]>::to_vec))
}

fn flatten(call: &Call) -> Facts {
    let Some(shape) = call.shape(0) else {
        return one(call.dtype(0), None);
    };
    let given = call.int("axis", 1);
    let at = match usize::try_from(given) {
        Ok(a) if a == shape.len() => a,
        _ => axis(given, shape.len())?,
    };
    let sides = count(&shape[..at]).zip(count(&shape[at..]));
    let (rows, columns) = sides.ok_or("its output is impossibly large")?;
    one(call.dtype(0), Some(vec![rows, columns]))
}

fn pad(call: &Call) -> Facts {
    let dtype = call.dtype(0);
    let (Some(shape), List::Known(pads)) = (call.shape(0), call.list(1, "pads")) else {
        return one(dtype, None);
    };
    let axes: Vec<i64> = match (call.has(3), call.integers(3)) {
        (true, Some(axes)) => axes,
        (true, None) => return one(dtype, None),
        (false, _) => (0..shape.len() as i64).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("pads {pads:?} for {} axes", axes.len()));
    }
    let mut out = shape.to_vec();
    for (i, &a) in axes.iter().enumerate() {
        let at = axis(a, shape.len())?;
        let padded = i128::from(pads[i]) + i128::from(pads[i + axes.len()]) + out[at] as i128;
        out[at] = usize::try_from(padded).map_err(|_| format!("pads {pads:?} on {shape:?}"))?;
    }
    one(dtype, Some(out))
}

fn range(call: &Call) -> Facts {
    let dtype = call.dtype(0);
    let number = |i: usize| call.constant(i).and_then(Tensor::to_f64)?.first().copied();
    let (Some(start), Some(limit), Some(delta)) = (number(0), number(1), number(2)) else {
        return one(dtype, None);
    };
    if delta == 0.0 {
        return Err("a step of 0".into());
    }
    let len = ((limit - start) / delta).ceil().max(0.0);
    one(dtype, Some(vec![len as usize]))
}

fn reshape(call: &Call) -> Facts {
    let dtype = call.dtype(0);
    let (Some(shape), Some(to)) = (call.shape(0), call.integers(1)) else {
        // A target without -1 and 0 says it all, whatever comes in.
        let fixed = call.integers(1).filter(|t| t.iter().all(|&d| d > 0));
        return one(dtype, fixed.map(|t| sizes(&t, "the shape")).transpose()?);
    };
    let misfit = || format!("{shape:?} does not reshape to {to:?}");
    let keep_zero = call.int("allowzero", 0) != 0;
    let mut free = None;
    let mut out = Vec::with_capacity(to.len());
    for (i, &d) in to.iter().enumerate() {
        out.push(match d {
            -1 if free.replace(i).is_none() => 1,
            0 if !keep_zero => *shape.get(i).ok_or_else(misfit)?,
            d => usize::try_from(d).map_err(|_| misfit())?,
        });
    }
    let (total, rest) = (count(shape).ok_or_else(misfit)?, count(&out).ok_or_else(misfit)?);
    if let Some(i) = free {
        out[i] = total.checked_div(rest).ok_or_else(misfit)?;
    }
    if count(&out) != Some(total) {
        return Err(misfit());
    }
    one(dtype, Some(out))
}

/// Inputs: x, roi, scales, sizes.
fn resize(call: &Call) -> Facts {
    let dtype = call.dtype(0);
    let Some(shape) = call.shape(0) else {
        return one(dtype, None);
    };
    let axes: Vec<i64> = match call.ints("axes") {
        Some(axes) => axes.to_vec(),
        None => (0..shape.len() as i64).collect(),
    };
    let axes = axes.into_iter().map(|a| axis(a, shape.len())).collect::<Result<Vec<_>, _>>()?;
    // An input that is there but empty counts as left out.
    let given = |i: usize| call.has(i) && call.shape(i) != Some(&[0]);
    // In operator set 10 the scales are the second input.
    let at = if call.node.inputs.len() == 2 { 1 } else { 2 };
    if given(3) {
        let Some(to) = call.integers(3) else {
            return one(dtype, None);
        };
        let to = sizes(&to, "the sizes")?;
        if to.len() != axes.len() {
            return Err(format!("{} sizes for {} axes", to.len(), axes.len()));
        }
        let ratios = || axes.iter().zip(&to).map(|(&a, &t)| t as f64 / shape[a] as f64);
        let ratio = match call.string("keep_aspect_ratio_policy") {
            Some("not_larger") => Some(ratios().fold(f64::INFINITY, f64::min)),
            Some("not_smaller") => Some(ratios().fold(0.0, f64::max)),
            _ => None,
        };
        let mut out = shape.to_vec();
        for (&a, &t) in axes.iter().zip(&to) {
            out[a] = ratio.map_or(t, |r| (r * shape[a] as f64).round() as usize);
        }
        return one(dtype, Some(out));
    }
    if !given(at) {
        return one(dtype, None);
    }
    let Some(scales) = call.constant(at).and_then(Tensor::to_f32) else {
        return one(dtype, None);
    };
    one(dtype, Some(scaled(shape, &axes, &scales)?))
}

/// Operator sets 7 to 9: scales as an attribute, then as the second input.
fn upsample(call: &Call) -> Facts {
    let dtype = call.dtype(0);
    let Some(shape) = call.shape(0) else {
        return one(dtype, None);
    };
    let scales = match call.has(1) {
        true => call.constant(1).and_then(Tensor::to_f32),
        false => call.node.attributes.floats("scales").map(<[f32]>::to_vec),
    };
    let axes: Vec<usize> = (0..shape.len()).collect();
    one(dtype, scales.map(|s| scaled(shape, &axes, &s)).transpose()?)
}

fn scaled(shape: &[usize], axes: &[usize], scales: &[f32]) -> Result<Vec<usize>, String> {
    if scales.len() != axes.len() || scales.iter().any(|&s| s <= 0.0 || !s.is_finite()) {
        return Err(format!("scales {scales:?} for {} axes", axes.len()));
    }
    let mut out = shape.to_vec();
    for (&a, &scale) in axes.iter().zip(scales) {
        out[a] = (shape[a] as f32 * scale).floor() as usize;
    }
    Ok(out)
}

fn shape_of(call: &Call) -> Facts {
    let Some(shape) = call.shape(0) else {
        return one(Some(DataType::Int64), None);
    };
    let rank = shape.len() as i64;
    let bound = |name: &str, default: i64| {
        let given = call.int(name, default);
        (if given < 0 { given.saturating_add(rank) } else { given }).clamp(0, rank) as usize
    };
    let (start, end) = (bound("start", 0), bound("end", rank));
    let part: Vec<i64> = shape[start..end.max(start)].iter().map(|&d| d as i64).collect();
    let fact = Fact::new(Some(DataType::Int64), Some(vec![part.len()]));
    Ok(vec![Fact { constant: Some(Tensor::vec_i64(&part)), ..fact }])
}

fn size_of(call: &Call) -> Facts {
    let total = call.shape(0).and_then(count).map(|n| Tensor::i64(&[], &[n as i64]));
    Ok(vec![Fact { constant: total, ..Fact::new(Some(DataType::Int64), Some(Vec::new())) }])
}

/// One cut of a slice: from where, in which steps, how many.
pub(super) struct Cut {
    pub start: usize,
    pub step: i64,
    pub len: usize,
}

/// The cut along every axis of `shape`, `None` where not known yet.
pub(super) fn cuts(call: &Call, shape: &[usize]) -> Result<Option<Vec<Cut>>, String> {
    let lists = (call.list(1, "starts"), call.list(2, "ends"), call.list(3, "axes"), call.list(4, "steps"));
    let (List::Known(starts), List::Known(ends)) = (lists.0, lists.1) else {
        return Ok(None);
    };
    let axes = match lists.2 {
        List::Unknown => return Ok(None),
        List::Known(axes) => axes,
        List::Absent => (0..starts.len() as i64).collect(),
    };
    let steps = match lists.3 {
        List::Unknown => return Ok(None),
        List::Known(steps) => steps,
        List::Absent => vec![1; starts.len()],
    };
    if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err("its starts, ends, axes and steps differ in number".into());
    }
    let whole = |&d: &usize| Cut { start: 0, step: 1, len: d };
    let mut cuts: Vec<Cut> = shape.iter().map(whole).collect();
    for (i, &a) in axes.iter().enumerate() {
        let at = axis(a, shape.len())?;
        let (size, step) = (shape[at] as i64, steps[i]);
        if step == 0 {
            return Err("a step of 0".into());
        }
        let from_front = |v: i64| if v < 0 { v.saturating_add(size) } else { v };
        // Backwards, the last element is the furthest start and "before the first" the furthest end.
        let (low, high) = if step > 0 { (0, size) } else { (-1, size - 1) };
        let start = from_front(starts[i]).clamp(low.max(0), high.max(0));
        let end = from_front(ends[i]).clamp(low, high.max(low));
        let span = if step > 0 { end - start } else { start - end };
        let len = if size == 0 || span <= 0 { 0 } else { (span as u64).div_ceil(step.unsigned_abs()) as usize };
        cuts[at] = Cut { start: start as usize, step, len };
    }
    Ok(Some(cuts))
}

fn slice(call: &Call) -> Facts {
    let Some(shape) = call.shape(0) else {
        return one(call.dtype(0), None);
    };
    let out = cuts(call, shape)?.map(|cuts| cuts.iter().map(|c| c.len).collect());
    one(call.dtype(0), out)
}

fn split(call: &Call) -> Facts {
    let parts = call.node.outputs.len();
    let dtype = call.dtype(0);
    let unknown = Ok(vec![Fact::new(dtype, None); parts]);
    let Some(shape) = call.shape(0) else {
        return unknown;
    };
    let along = axis(call.int("axis", 0), shape.len())?;
    let lengths = match call.list(1, "split") {
        List::Unknown => return unknown,
        List::Known(lengths) => sizes(&lengths, "split")?,
        List::Absent => {
            // Equal parts; the last one is smaller where they do not come out even.
            let chunk = shape[along].div_ceil(parts.max(1));
            let rest = |i: usize| shape[along].saturating_sub(i.saturating_mul(chunk));
            (0..parts).map(|i| rest(i).min(chunk)).collect()
        }
    };
    let total = lengths.iter().try_fold(0usize, |n, &l| n.checked_add(l));
    if lengths.len() != parts || total != Some(shape[along]) {
        return Err(format!("{lengths:?} parts of axis {along} of {shape:?}"));
    }
    let part = |length: usize| {
        let mut part = shape.to_vec();
        part[along] = length;
        Fact::new(dtype, Some(part))
    };
    Ok(lengths.into_iter().map(part).collect())
}

fn squeeze(call: &Call) -> Facts {
    let Some(shape) = call.shape(0) else {
        return one(call.dtype(0), None);
    };
    let mut gone = vec![false; shape.len()];
    match call.list(1, "axes") {
        List::Unknown => return one(call.dtype(0), None),
        List::Absent => gone.iter_mut().zip(shape).for_each(|(g, &d)| *g = d == 1),
        List::Known(axes) => {
            for a in axes {
                let at = axis(a, shape.len())?;
                if shape[at] != 1 {
                    return Err(format!("axis {at} of {shape:?} is not 1"));
                }
                gone[at] = true;
            }
        }
    }
    let kept = shape.iter().zip(gone).filter(|(_, g)| !g).map(|(&d, _)| d);
    one(call.dtype(0), Some(kept.collect()))
}

fn unsqueeze(call: &Call) -> Facts {
    let (Some(shape), List::Known(axes)) = (call.shape(0), call.list(1, "axes")) else {
        return one(call.dtype(0), None);
    };
    let mut new = vec![false; shape.len() + axes.len()];
    for &a in &axes {
        let at = axis(a, new.len())?;
        if std::mem::replace(&mut new[at], true) {
            return Err(format!("axes {axes:?} name one place twice"));
        }
    }
    let mut old = shape.iter().copied();
    let out = new.iter().map(|&n| if n { Some(1) } else { old.next() });
    one(call.dtype(0), out.collect())
}

fn tile(call: &Call) -> Facts {
    let (Some(shape), Some(repeats)) = (call.shape(0), call.integers(1)) else {
        return one(call.dtype(0), None);
    };
    let repeats = sizes(&repeats, "repeats")?;
    if repeats.len() != shape.len() {
        return Err(format!("{} repeats for {} axes", repeats.len(), shape.len()));
    }
    let out: Option<Vec<usize>> = shape.iter().zip(&repeats).map(|(&d, &r)| d.checked_mul(r)).collect();
    one(call.dtype(0), Some(out.ok_or("its output is impossibly large")?))
}

/// The permutation of a `Transpose`; without one the axes are reversed.
pub(super) fn permutation(call: &Call, rank: usize) -> Result<Vec<usize>, String> {
    let Some(given) = call.ints("perm") else {
        return Ok((0..rank).rev().collect());
    };
    let perm = given.iter().map(|&a| axis(a, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut seen = perm.clone();
    seen.sort_unstable();
    if !seen.into_iter().eq(0..rank) {
        return Err(format!("{given:?} is no permutation of {rank} axes"));
    }
    Ok(perm)
}

fn transpose(call: &Call) -> Facts {
    let Some(shape) = call.shape(0) else {
        return same(call);
    };
    let perm = permutation(call, shape.len())?;
    one(call.dtype(0), Some(perm.into_iter().map(|a| shape[a]).collect()))
}
