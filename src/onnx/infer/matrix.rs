//! Matrix products.

use super::super::DataType;
use super::{Call, Facts, Table, broadcast, one};

pub(super) const RULES: Table = &[("Gemm", gemm), ("MatMul", matmul), ("MatMulInteger", matmul_integer)];

/// `alpha · A · B + beta · C` with A and B transposed as their attributes say.
fn gemm(call: &Call) -> Facts {
    let (Some(a), Some(b)) = (call.shape(0), call.shape(1)) else {
        return one(call.dtype(0), None);
    };
    let oriented = |shape: &[usize], name: &str| match (shape, call.int(name, 0) != 0) {
        ([r, c], false) | ([c, r], true) => Ok((*r, *c)),
        _ => Err(format!("an operand of shape {shape:?}; it needs two axes")),
    };
    let ((m, k), (k2, n)) = (oriented(a, "transA")?, oriented(b, "transB")?);
    if k != k2 {
        return Err(format!("{m}×{k} times {k2}×{n}"));
    }
    if let Some(c) = call.shape(2)
        && broadcast(&[&[m, n], c])? != [m, n]
    {
        return Err(format!("an addend of shape {c:?} for a product of {m}×{n}"));
    }
    one(call.dtype(0), Some(vec![m, n]))
}

/// The shape of a product as numpy's `matmul` defines it.
pub(super) fn product(a: &[usize], b: &[usize]) -> Result<Vec<usize>, String> {
    let mismatch = || format!("shapes {a:?} and {b:?} do not multiply");
    let (a_batch, m, k) = match a {
        [] => return Err(mismatch()),
        [k] => (&[][..], None, *k),
        [batch @ .., m, k] => (batch, Some(*m), *k),
    };
    let (b_batch, k2, n) = match b {
        [] => return Err(mismatch()),
        [k] => (&[][..], *k, None),
        [batch @ .., k, n] => (batch, *k, Some(*n)),
    };
    if k != k2 {
        return Err(mismatch());
    }
    let mut out = broadcast(&[a_batch, b_batch]).map_err(|_| mismatch())?;
    out.extend(m.into_iter().chain(n));
    Ok(out)
}

fn matmul(call: &Call) -> Facts {
    let shapes = call.shape(0).zip(call.shape(1));
    one(call.dtype(0), shapes.map(|(a, b)| product(a, b)).transpose()?)
}

fn matmul_integer(call: &Call) -> Facts {
    let shapes = call.shape(0).zip(call.shape(1));
    one(Some(DataType::Int32), shapes.map(|(a, b)| product(a, b)).transpose()?)
}
