//! Arithmetic, element by element, with ONNX's (numpy's) broadcasting.

use std::f32::consts::PI;

use super::{Contributions, Site};
use crate::explain::error::RuleError;

/// `d(a + b + …) = g` for each.
pub(super) fn add(site: &mut Site) -> Contributions {
    let g = site.g()?;
    (0..site.node.inputs.len())
        .filter(|&i| site.wants(i))
        .collect::<Vec<_>>()
        .into_iter()
        .map(|i| site.shrink(i, g))
        .collect()
}

/// `d mean(a, b, …) = g / count`.
pub(super) fn mean(site: &mut Site) -> Contributions {
    let (g, count) = (site.g()?, site.node.inputs.len());
    let g = site.emit.scale(g, 1.0 / count as f32);
    (0..count).filter(|&i| site.wants(i)).collect::<Vec<_>>().into_iter().map(|i| site.shrink(i, g)).collect()
}

/// `da = g`, `db = −g`.
pub(super) fn sub(site: &mut Site) -> Contributions {
    let g = site.g()?;
    let mut given = Vec::new();
    if site.wants(0) {
        given.push(site.shrink(0, g)?);
    }
    if site.wants(1) {
        let negative = site.emit.neg(g);
        given.push(site.shrink(1, negative)?);
    }
    Ok(given)
}

/// `da = g·b`, `db = g·a`.
pub(super) fn mul(site: &mut Site) -> Contributions {
    let g = site.g()?;
    let mut given = Vec::new();
    for (index, other) in [(0, 1), (1, 0)] {
        if site.wants(index) {
            let factor = site.x(other)?;
            let product = site.emit.mul(g, factor);
            given.push(site.shrink(index, product)?);
        }
    }
    Ok(given)
}

/// `da = g/b`, `db = −g·y/b`.
pub(super) fn div(site: &mut Site) -> Contributions {
    let (g, b) = (site.g()?, site.x(1)?);
    let quotient = site.emit.div(g, b);
    let mut given = Vec::new();
    if site.wants(0) {
        given.push(site.shrink(0, quotient)?);
    }
    if site.wants(1) {
        let y = site.y()?;
        let product = site.emit.mul(quotient, y);
        let negative = site.emit.neg(product);
        given.push(site.shrink(1, negative)?);
    }
    Ok(given)
}

/// `da = g·p·a^(p−1)` for an exponent that does not depend on the picture.
pub(super) fn pow(site: &mut Site) -> Contributions {
    site.only_first("an exponent")?;
    let (x, exponent, g) = (site.x(0)?, site.input(1)?, site.g()?);
    let derivative = match site.emit.known_scalar(exponent) {
        Some(2.0) => site.emit.scale(x, 2.0),
        Some(p) => {
            let less = site.emit.scalar(p - 1.0);
            let power = site.emit.op("Pow", &[x, less]);
            site.emit.scale(power, p)
        }
        None => {
            let p = site.emit.float(exponent);
            let less = site.emit.offset(p, -1.0);
            let power = site.emit.op("Pow", &[x, less]);
            site.emit.mul(power, p)
        }
    };
    let product = site.emit.mul(g, derivative);
    Ok(vec![site.shrink(0, product)?])
}

/// `dx = g/(2y)`.
pub(super) fn sqrt(site: &mut Site) -> Contributions {
    let (g, y) = (site.g()?, site.y()?);
    let half = site.emit.scale(g, 0.5);
    Ok(vec![(0, site.emit.div(half, y))])
}

/// `dx = g·y`.
pub(super) fn exp(site: &mut Site) -> Contributions {
    let y = site.y()?;
    site.chain(y)
}

/// `dx = g/x`.
pub(super) fn log(site: &mut Site) -> Contributions {
    let (g, x) = (site.g()?, site.x(0)?);
    Ok(vec![(0, site.emit.div(g, x))])
}

/// `dx = −g·y²`.
pub(super) fn reciprocal(site: &mut Site) -> Contributions {
    let y = site.y()?;
    let square = site.emit.mul(y, y);
    let derivative = site.emit.neg(square);
    site.chain(derivative)
}

/// `dx = −g`.
pub(super) fn neg(site: &mut Site) -> Contributions {
    let g = site.g()?;
    Ok(vec![(0, site.emit.neg(g))])
}

/// `dx = g·sign(x)`.
pub(super) fn abs(site: &mut Site) -> Contributions {
    let x = site.x(0)?;
    let sign = site.emit.op("Sign", &[x]);
    site.chain(sign)
}

/// `dx = g·2/√π·e^(−x²)`.
pub(super) fn erf(site: &mut Site) -> Contributions {
    let x = site.x(0)?;
    let square = site.emit.mul(x, x);
    let negative = site.emit.neg(square);
    let bell = site.emit.op("Exp", &[negative]);
    let derivative = site.emit.scale(bell, 2.0 / PI.sqrt());
    site.chain(derivative)
}

/// Max and Min: the operands that equal `y` share `g` in equal parts, as in torch.
pub(super) fn extremum(site: &mut Site) -> Contributions {
    let (y, count) = (site.output()?, site.node.inputs.len());
    let mut shares = Vec::with_capacity(count);
    for index in 0..count {
        let operand = site.input(index)?;
        let equal = site.emit.op("Equal", &[operand, y]);
        shares.push(site.emit.float(equal));
    }
    let total = shares.iter().copied().reduce(|sum, share| site.emit.add(sum, share));
    let total = total.ok_or_else(|| RuleError::unsupported("it has no inputs"))?;
    let g = site.g()?;
    let part = if count == 1 { g } else { site.emit.div(g, total) };
    let mut given = Vec::new();
    for (index, share) in shares.into_iter().enumerate() {
        if site.wants(index) {
            let product = site.emit.mul(part, share);
            given.push(site.shrink(index, product)?);
        }
    }
    Ok(given)
}

/// `Where`: `g` flows to the operand that was chosen.
pub(super) fn choose(site: &mut Site) -> Contributions {
    let (condition, g, zero) = (site.input(0)?, site.g()?, site.emit.scalar(0.0));
    let mut given = Vec::new();
    for (index, branches) in [(1, [condition, g, zero]), (2, [condition, zero, g])] {
        if site.wants(index) {
            let chosen = site.emit.op("Where", &branches);
            given.push(site.shrink(index, chosen)?);
        }
    }
    Ok(given)
}
