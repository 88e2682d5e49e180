//! Matrix products.

use super::{Contributions, Site};
use crate::explain::error::RuleError;
use crate::onnx::Attributes;

/// `y = α·A′·B′ + β·C`: `dA = α·g·B′ᵀ`, `dB = α·A′ᵀ·g`, each transposed back where `A` or `B` was,
/// `dC = β·g`.
pub(super) fn gemm(site: &mut Site) -> Contributions {
    let g = site.g_full()?;
    let (alpha, beta) = (site.real("alpha", 1.0), site.real("beta", 1.0));
    let (ta, tb) = (site.int("transA", 0), site.int("transB", 0));
    let product = |trans_a: i64, trans_b: i64| {
        Attributes::new().with_float("alpha", alpha).with_int("transA", trans_a).with_int("transB", trans_b)
    };
    let mut given = Vec::new();
    if site.wants(0) {
        let b = site.x(1)?;
        given.push((
            0,
            match ta {
                0 => site.emit.op_with("Gemm", &[g, b], product(0, 1 - tb)),
                _ => site.emit.op_with("Gemm", &[b, g], product(tb, 1)),
            },
        ));
    }
    if site.wants(1) {
        let a = site.x(0)?;
        given.push((
            1,
            match tb {
                0 => site.emit.op_with("Gemm", &[a, g], product(1 - ta, 0)),
                _ => site.emit.op_with("Gemm", &[g, a], product(1, ta)),
            },
        ));
    }
    if site.wants(2) {
        let scaled = site.emit.scale(g, beta);
        given.push(site.shrink(2, scaled)?);
    }
    Ok(given)
}

/// `dA = g·Bᵀ`, `dB = Aᵀ·g`, summed over the batch axes along which `A` or `B` was repeated.
/// A vector operand is treated as the one-row or one-column matrix it stands for.
pub(super) fn matmul(site: &mut Site) -> Contributions {
    let (a_dims, b_dims) = (site.x_dims(0)?, site.x_dims(1)?);
    if a_dims.is_empty() || b_dims.is_empty() {
        return Err(RuleError::unsupported("one of its operands is a scalar"));
    }
    let as_matrix = |dims: &[usize], column: bool| match dims {
        [n] if column => vec![*n, 1],
        [n] => vec![1, *n],
        _ => dims.to_vec(),
    };
    let (a_shape, b_shape) = (as_matrix(&a_dims, false), as_matrix(&b_dims, true));
    let (rows, columns) = (a_shape[a_shape.len() - 2], b_shape[b_shape.len() - 1]);
    let mut batch = site.y_dims()?;
    let vectors = usize::from(a_dims.len() == 1) + usize::from(b_dims.len() == 1);
    batch.truncate((batch.len() + vectors).saturating_sub(2));
    let with = |rows: usize, columns: usize| [batch.as_slice(), &[rows, columns]].concat();

    let g = site.g_full()?;
    let g = site.emit.reshape(g, &with(rows, columns));
    let mut given = Vec::new();
    if site.wants(0) {
        let b = site.x(1)?;
        let b = site.emit.reshape(b, &b_shape);
        let b = site.emit.swap_last(b)?;
        let product = site.emit.op("MatMul", &[g, b]);
        let summed = site.emit.unbroadcast(product, &with(rows, a_shape[a_shape.len() - 1]), &a_shape)?;
        given.push((0, site.emit.reshape(summed, &a_dims)));
    }
    if site.wants(1) {
        let a = site.x(0)?;
        let a = site.emit.reshape(a, &a_shape);
        let a = site.emit.swap_last(a)?;
        let product = site.emit.op("MatMul", &[a, g]);
        let summed = site.emit.unbroadcast(product, &with(b_shape[b_shape.len() - 2], columns), &b_shape)?;
        given.push((1, site.emit.reshape(summed, &b_dims)));
    }
    Ok(given)
}
