//! Folding: the contents of an output whose inputs are all known and small. What is folded is the
//! arithmetic on shapes that exporters leave in a graph; anything else is left to the runtime.
//!
//! Integers are computed as the runtime does (two's complement, division truncates), floats in
//! double precision and rounded once, which for one operation gives the correctly rounded result.

use super::super::tensor::{Tensor, count};
use super::super::{DataType, schema::TensorProto};
use super::reduce::reduced_axes;
use super::shape::{cuts, permutation};
use super::{Call, FOLD_ELEMENTS, Fact, axis};

/// Computes output 0 of the known shape from inputs that are all constants. `None`: not folded.
type Fold = fn(&Call, &Fact) -> Option<Tensor>;

/// Sorted by name; the number is how many inputs the operator needs.
const FOLDS: &[(&str, usize, Fold)] = &[
    ("Abs", 1, |c, f| number(c, f, &|a| a[0].wrapping_abs(), &|a| a[0].abs())),
    ("Add", 2, |c, f| number(c, f, &|a| a[0].wrapping_add(a[1]), &|a| a[0] + a[1])),
    ("And", 2, |c, f| number(c, f, &|a| a[0] & a[1], &|_| f64::NAN)),
    ("Cast", 1, cast),
    ("Ceil", 1, |c, f| float(c, f, f64::ceil)),
    ("Concat", 1, concat),
    ("ConstantOfShape", 1, fill),
    ("Div", 2, div),
    ("Equal", 2, |c, f| compare(c, f, |o| o.is_eq())),
    ("Expand", 2, expand),
    ("Flatten", 1, reshape),
    ("Floor", 1, |c, f| float(c, f, f64::floor)),
    ("Gather", 2, gather),
    ("Greater", 2, |c, f| compare(c, f, |o| o.is_gt())),
    ("GreaterOrEqual", 2, |c, f| compare(c, f, |o| o.is_ge())),
    ("Identity", 1, reshape),
    ("Less", 2, |c, f| compare(c, f, |o| o.is_lt())),
    ("LessOrEqual", 2, |c, f| compare(c, f, |o| o.is_le())),
    ("Max", 1, |c, f| extreme(c, f, true)),
    ("Min", 1, |c, f| extreme(c, f, false)),
    ("Mod", 2, modulo),
    ("Mul", 2, |c, f| number(c, f, &|a| a[0].wrapping_mul(a[1]), &|a| a[0] * a[1])),
    ("Neg", 1, |c, f| number(c, f, &|a| a[0].wrapping_neg(), &|a| -a[0])),
    ("NonZero", 1, non_zero),
    ("Not", 1, |c, f| number(c, f, &|a| i64::from(a[0] == 0), &|_| f64::NAN)),
    ("Or", 2, |c, f| number(c, f, &|a| a[0] | a[1], &|_| f64::NAN)),
    ("Range", 3, range),
    ("ReduceMax", 1, |c, f| reduce(c, f, i64::max)),
    ("ReduceMin", 1, |c, f| reduce(c, f, i64::min)),
    ("ReduceProd", 1, |c, f| reduce(c, f, i64::wrapping_mul)),
    ("ReduceSum", 1, |c, f| reduce(c, f, i64::wrapping_add)),
    ("Reshape", 2, reshape),
    ("ScatterND", 3, scatter_nd),
    ("Slice", 1, slice),
    ("Sqrt", 1, |c, f| float(c, f, f64::sqrt)),
    ("Squeeze", 1, reshape),
    ("Sub", 2, |c, f| number(c, f, &|a| a[0].wrapping_sub(a[1]), &|a| a[0] - a[1])),
    ("Tile", 2, tile),
    ("Transpose", 1, transpose),
    ("Unsqueeze", 1, reshape),
    ("Where", 3, select),
    ("Xor", 2, |c, f| number(c, f, &|a| a[0] ^ a[1], &|_| f64::NAN)),
];

/// Fills in the contents of a node's outputs where its inputs are known and small.
pub(super) fn fold(call: &Call, facts: &mut [Fact]) {
    if !call.node.domain.is_empty() || call.node.inputs.is_empty() {
        return;
    }
    let known = |i: usize| !call.has(i) || call.constant(i).is_some_and(|t| t.len() <= FOLD_ELEMENTS);
    if !(0..call.node.inputs.len()).all(known) {
        return;
    }
    if call.node.op_type == "Split" {
        return split(call, facts);
    }
    let [fact, ..] = facts else { return };
    if fact.constant.is_some() {
        return;
    }
    // NonZero finds its own shape.
    let small = |s: &Vec<usize>| count(s).is_some_and(|n| n <= FOLD_ELEMENTS);
    if call.node.op_type != "NonZero" && !fact.shape.as_ref().is_some_and(small) {
        return;
    }
    let found = FOLDS.binary_search_by_key(&call.node.op_type.as_str(), |(name, ..)| name);
    let Some(&(_, needs, rule)) = found.ok().map(|i| &FOLDS[i]) else {
        return;
    };
    if !(0..needs).all(|i| call.has(i)) {
        return;
    }
    let Some(tensor) = rule(call, fact) else {
        return;
    };
    fact.shape = Some(tensor.dims.clone());
    fact.dtype = Some(tensor.dtype);
    fact.constant = Some(tensor);
}

/// Row-major strides.
fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides = vec![1usize; dims.len()];
    for i in (0..dims.len().saturating_sub(1)).rev() {
        // Only a tensor without elements has strides this large.
        strides[i] = strides[i + 1].saturating_mul(dims[i + 1]);
    }
    strides
}

/// The coordinates of element `index`.
fn coordinates(index: usize, dims: &[usize]) -> Vec<usize> {
    let steps = strides(dims);
    steps.iter().zip(dims).map(|(&s, &d)| index / s % d).collect()
}

/// A tensor of shape `dims` whose element `i` is element `pick(i)` of `source`. `None` for types
/// narrower than a byte and for an index that is not there.
fn picked(source: &Tensor, dims: &[usize], pick: impl Fn(usize) -> Option<usize>) -> Option<Tensor> {
    let size = source.dtype.bits().filter(|b| b % 8 == 0)? / 8;
    let mut data = Vec::with_capacity(count(dims)? * size);
    for i in 0..count(dims)? {
        let at = pick(i)?.checked_mul(size)?;
        data.extend_from_slice(source.data.get(at..at + size)?);
    }
    Tensor::new(source.dtype, dims, data.into()).ok()
}

/// Where element `index` of a tensor of shape `out` comes from in one of shape `from` that was
/// broadcast to it; `None` where it was not.
fn broadcast_index(index: usize, out: &[usize], from: &[usize]) -> Option<usize> {
    let at = coordinates(index, out);
    let at = &at[out.len().checked_sub(from.len())?..];
    let steps = strides(from);
    (0..from.len())
        .map(|i| match from[i] {
            1 => Some(0),
            d => (at[i] < d).then(|| at[i] * steps[i]),
        })
        .sum()
}

/// The inputs as integers or floats, each broadcast to `dims`.
fn operands<T: Copy>(
    call: &Call,
    dims: &[usize],
    first: usize,
    read: impl Fn(&Tensor) -> Option<Vec<T>>,
) -> Option<Vec<Vec<T>>> {
    (first..call.node.inputs.len())
        .map(|i| {
            let tensor = call.constant(i)?;
            let values = read(tensor)?;
            (0..count(dims)?).map(|at| values.get(broadcast_index(at, dims, &tensor.dims)?).copied()).collect()
        })
        .collect()
}

/// Applies a function to the broadcast operands, in the arithmetic of their type.
fn number(call: &Call, fact: &Fact, integer: &dyn Fn(&[i64]) -> i64, double: &dyn Fn(&[f64]) -> f64) -> Option<Tensor> {
    let dims = fact.shape.as_ref()?;
    let dtype = call.dtype(0)?;
    let out = fact.dtype?;
    // A uint64 beyond int64 would be misread.
    if dtype == DataType::Uint64 {
        return None;
    }
    if dtype.is_float() {
        let columns = operands(call, dims, 0, Tensor::to_f64)?;
        Tensor::from_f64(out, dims, &rows(&columns, count(dims)?, double))
    } else {
        let columns = operands(call, dims, 0, Tensor::to_i64)?;
        Tensor::from_i64(out, dims, &rows(&columns, count(dims)?, integer))
    }
}

fn rows<T: Copy, U>(columns: &[Vec<T>], len: usize, apply: impl Fn(&[T]) -> U) -> Vec<U> {
    let row = |i: usize| -> Vec<T> { columns.iter().map(|c| c[i]).collect() };
    (0..len).map(|i| apply(&row(i))).collect()
}

/// A function of one float.
fn float(call: &Call, fact: &Fact, apply: fn(f64) -> f64) -> Option<Tensor> {
    call.dtype(0).filter(|t| t.is_float())?;
    number(call, fact, &|a| a[0], &|a| apply(a[0]))
}

fn div(call: &Call, fact: &Fact) -> Option<Tensor> {
    let integers = call.dtype(0)?.is_integer();
    if integers && call.constant(1)?.to_i64()?.contains(&0) {
        return None;
    }
    number(call, fact, &|a| a[0].wrapping_div(a[1]), &|a| a[0] / a[1])
}

/// The sign follows the divisor, with `fmod` the dividend.
fn modulo(call: &Call, fact: &Fact) -> Option<Tensor> {
    if !call.dtype(0)?.is_integer() || call.constant(1)?.to_i64()?.contains(&0) {
        return None;
    }
    let like_c = call.int("fmod", 0) != 0;
    let apply = |a: &[i64]| {
        let rest = a[0].wrapping_rem(a[1]);
        let differs = rest != 0 && (rest < 0) != (a[1] < 0);
        if differs && !like_c { rest + a[1] } else { rest }
    };
    number(call, fact, &apply, &|_| f64::NAN)
}

fn extreme(call: &Call, fact: &Fact, highest: bool) -> Option<Tensor> {
    let integer = |a: &[i64]| {
        let best = if highest { a.iter().max() } else { a.iter().min() };
        best.copied().unwrap_or_default()
    };
    // NaN wins, as it does in the runtime.
    let double = |a: &[f64]| {
        let pick = |x: f64, y: f64| match x.is_nan() || y.is_nan() {
            true => f64::NAN,
            false if highest => x.max(y),
            false => x.min(y),
        };
        a.iter().copied().reduce(pick).unwrap_or(f64::NAN)
    };
    number(call, fact, &integer, &double)
}

fn compare(call: &Call, fact: &Fact, holds: fn(std::cmp::Ordering) -> bool) -> Option<Tensor> {
    let ordered = |a: &[f64]| f64::from(a[0].partial_cmp(&a[1]).is_some_and(holds));
    number(call, fact, &|a| i64::from(holds(a[0].cmp(&a[1]))), &ordered)
}

fn cast(call: &Call, fact: &Fact) -> Option<Tensor> {
    let (source, to) = (call.constant(0)?, fact.dtype?);
    let dims = &source.dims;
    match source.dtype.is_float() {
        // The runtime's answer for what an integer type cannot hold is not defined.
        true if to.is_integer() => {
            let values = source.to_f64()?;
            let safe = values.iter().all(|v| v.abs() < i32::MAX as f64 && v.is_finite());
            let whole: Vec<i64> = values.iter().map(|&v| v as i64).collect();
            safe.then(|| Tensor::from_i64(to, dims, &whole))?
        }
        true => Tensor::from_f64(to, dims, &source.to_f64()?),
        false if source.dtype == DataType::Uint64 => None,
        false => Tensor::from_i64(to, dims, &source.to_i64()?),
    }
}

/// The same bytes in another shape.
fn reshape(call: &Call, fact: &Fact) -> Option<Tensor> {
    let source = call.constant(0)?;
    Tensor::new(source.dtype, fact.shape.as_ref()?, source.data.clone()).ok()
}

fn concat(call: &Call, fact: &Fact) -> Option<Tensor> {
    let dims = fact.shape.as_ref()?;
    let along = axis(call.int("axis", 0), dims.len()).ok()?;
    let dtype = call.dtype(0)?;
    let size = dtype.bits().filter(|b| b % 8 == 0)? / 8;
    let outer = count(&dims[..along])?;
    let mut data = Vec::with_capacity(count(dims)? * size);
    for block in 0..outer {
        for i in 0..call.node.inputs.len() {
            let part = call.constant(i).filter(|t| t.dtype == dtype)?;
            let len = count(part.dims.get(along..)?)?.checked_mul(size)?;
            data.extend_from_slice(part.data.get(block * len..(block + 1) * len)?);
        }
    }
    Tensor::new(dtype, dims, data.into()).ok()
}

fn fill(call: &Call, fact: &Fact) -> Option<Tensor> {
    let value = match call.node.attributes.get("value") {
        Some(_) => call.node.attributes.tensor("value")?,
        None => Tensor::from_proto(&TensorProto {
            data_type: Some(DataType::Float.into()),
            float_data: vec![0.0],
            ..TensorProto::default()
        })
        .ok()??,
    };
    picked(&value, fact.shape.as_ref()?, |_| Some(0))
}

fn expand(call: &Call, fact: &Fact) -> Option<Tensor> {
    let (source, dims) = (call.constant(0)?, fact.shape.as_ref()?);
    picked(source, dims, |i| broadcast_index(i, dims, &source.dims))
}

fn tile(call: &Call, fact: &Fact) -> Option<Tensor> {
    let (source, dims) = (call.constant(0)?, fact.shape.as_ref()?);
    let steps = strides(&source.dims);
    picked(source, dims, |i| {
        let at = coordinates(i, dims);
        Some((0..at.len()).map(|a| at[a] % source.dims[a] * steps[a]).sum())
    })
}

fn transpose(call: &Call, fact: &Fact) -> Option<Tensor> {
    let (source, dims) = (call.constant(0)?, fact.shape.as_ref()?);
    let perm = permutation(call, source.dims.len()).ok()?;
    let steps = strides(&source.dims);
    picked(source, dims, |i| {
        let at = coordinates(i, dims);
        Some(perm.iter().zip(at).map(|(&p, a)| a * steps[p]).sum())
    })
}

fn slice(call: &Call, fact: &Fact) -> Option<Tensor> {
    let (source, dims) = (call.constant(0)?, fact.shape.as_ref()?);
    let cuts = cuts(call, &source.dims).ok()??;
    let steps = strides(&source.dims);
    picked(source, dims, |i| {
        let at = coordinates(i, dims);
        let place = |a: usize| {
            let offset = i64::try_from(at[a]).ok()?.checked_mul(cuts[a].step)?;
            usize::try_from(offset.checked_add(i64::try_from(cuts[a].start).ok()?)?).ok()
        };
        (0..at.len()).map(|a| Some(place(a)? * steps[a])).sum()
    })
}

fn split(call: &Call, facts: &mut [Fact]) {
    let Some(source) = call.constant(0) else {
        return;
    };
    let Ok(along) = axis(call.int("axis", 0), source.dims.len()) else {
        return;
    };
    let steps = strides(&source.dims);
    let mut from = 0;
    for fact in facts {
        let Some(dims) = fact.shape.clone() else {
            return;
        };
        fact.constant = picked(source, &dims, |i| {
            let mut at = coordinates(i, &dims);
            at[along] += from;
            Some(at.iter().zip(&steps).map(|(a, s)| a * s).sum())
        });
        from += dims[along];
    }
}

fn gather(call: &Call, fact: &Fact) -> Option<Tensor> {
    let (source, dims) = (call.constant(0)?, fact.shape.as_ref()?);
    let picks = call.constant(1)?;
    let along = axis(call.int("axis", 0), source.dims.len()).ok()?;
    let indices = picks.to_i64()?;
    let (inner, per) = (count(&source.dims[along + 1..])?, indices.len());
    picked(source, dims, |i| {
        let (outer, which, rest) = (i / inner / per, i / inner % per, i % inner);
        let at = axis(indices[which], source.dims[along]).ok()?;
        Some((outer * source.dims[along] + at) * inner + rest)
    })
}

fn select(call: &Call, fact: &Fact) -> Option<Tensor> {
    let dims = fact.shape.as_ref()?;
    let (yes, no) = (call.constant(1)?, call.constant(2)?);
    let condition = call.constant(0)?;
    let holds = condition.to_i64()?;
    // One after the other, so that picking an element is an index into both.
    let size = yes.dtype.bits().filter(|b| b % 8 == 0 && yes.dtype == no.dtype)? / 8;
    let both = [&yes.data[..], &no.data[..]].concat();
    let both = Tensor { dtype: yes.dtype, dims: vec![both.len() / size], data: both.into() };
    picked(&both, dims, |i| {
        let taken = *holds.get(broadcast_index(i, dims, &condition.dims)?)? != 0;
        Some(match taken {
            true => broadcast_index(i, dims, &yes.dims)?,
            false => yes.len() + broadcast_index(i, dims, &no.dims)?,
        })
    })
}

fn range(call: &Call, fact: &Fact) -> Option<Tensor> {
    let len = count(fact.shape.as_ref()?)?;
    let dtype = call.dtype(0).filter(|t| t.is_integer())?;
    let (start, step) = (*call.integers(0)?.first()?, *call.integers(2)?.first()?);
    let values: Option<Vec<i64>> =
        (0..len).map(|i| step.checked_mul(i64::try_from(i).ok()?)?.checked_add(start)).collect();
    Tensor::from_i64(dtype, &[len], &values?)
}

fn reduce(call: &Call, fact: &Fact, join: fn(i64, i64) -> i64) -> Option<Tensor> {
    let (source, dims) = (call.constant(0)?, fact.shape.as_ref()?);
    if !source.dtype.is_integer() || source.dtype == DataType::Uint64 || source.is_empty() {
        return None;
    }
    let reduced = reduced_axes(call, source.dims.len()).ok()??;
    let kept: Vec<usize> = source.dims.iter().zip(&reduced).map(|(&d, &gone)| if gone { 1 } else { d }).collect();
    let mut sums: Vec<Option<i64>> = vec![None; count(&kept)?];
    for (i, value) in source.to_i64()?.into_iter().enumerate() {
        let at = broadcast_index(i, &source.dims, &kept)?;
        sums[at] = Some(sums[at].map_or(value, |s| join(s, value)));
    }
    let sums: Option<Vec<i64>> = sums.into_iter().collect();
    Tensor::from_i64(source.dtype, dims, &sums?)
}

/// The indices of what is not zero, one row per axis.
fn non_zero(call: &Call, _: &Fact) -> Option<Tensor> {
    let source = call.constant(0)?;
    let values = source.to_f64()?;
    let found: Vec<Vec<usize>> =
        (0..values.len()).filter(|&i| values[i] != 0.0).map(|i| coordinates(i, &source.dims)).collect();
    let rank = source.dims.len();
    let rows = (0..rank).flat_map(|a| found.iter().map(move |at| at[a] as i64));
    Some(Tensor::i64(&[rank, found.len()], &rows.collect::<Vec<_>>()))
}

/// Without reduction: slices of the data replaced where the indices say.
fn scatter_nd(call: &Call, _: &Fact) -> Option<Tensor> {
    let (source, places, updates) = (call.constant(0)?, call.constant(1)?, call.constant(2)?);
    if call.string("reduction").is_some_and(|r| r != "none") || source.dtype != updates.dtype {
        return None;
    }
    let depth = *places.dims.last().filter(|&&d| d > 0)?;
    let steps = strides(&source.dims);
    let size = source.dtype.bits().filter(|b| b % 8 == 0)? / 8;
    let run = count(source.dims.get(depth..)?)?.checked_mul(size)?;
    let mut data = source.data.to_vec();
    for (row, place) in places.to_i64()?.chunks_exact(depth).enumerate() {
        let mut at = 0;
        for (a, &index) in place.iter().enumerate() {
            at += axis(index, source.dims[a]).ok()? * steps[a];
        }
        let update = updates.data.get(row * run..(row + 1) * run)?;
        data.get_mut(at * size..at * size + run)?.copy_from_slice(update);
    }
    Tensor::new(source.dtype, &source.dims, data.into()).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_sorted() {
        assert!(super::FOLDS.is_sorted_by_key(|(name, ..)| name));
    }
}
