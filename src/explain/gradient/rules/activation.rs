//! Activations, element by element.
//!
//! Where the derivative can be read off the output, it is: the input of the activation then has no
//! other reader, and ONNX Runtime can still fuse the activation into the convolution before it.

use super::{Contributions, Site};
use crate::explain::error::RuleError;
use crate::onnx::ValueId;

/// `dx = g` where `y > 0`.
pub(super) fn relu(site: &mut Site) -> Contributions {
    let y = site.y()?;
    let gate = site.emit.above(y, 0.0);
    gated(site, gate)
}

/// `dx = g` where `min < y < max`: outside, and on the bounds, nothing moves.
pub(super) fn clip(site: &mut Site) -> Contributions {
    site.only_first("a bound")?;
    match clip_gate(site)? {
        Some(gate) => gated(site, gate),
        None => Ok(vec![(0, site.g()?)]),
    }
}

fn clip_gate(site: &mut Site) -> Result<Option<ValueId>, RuleError> {
    let y = site.y()?;
    let mut gates = Vec::new();
    for (index, comparison) in [(1, "Greater"), (2, "Less")] {
        if let Some(bound) = site.node.input(index) {
            let bound = site.emit.float(bound);
            gates.push(site.emit.op(comparison, &[y, bound]));
        }
    }
    Ok(gates.into_iter().reduce(|both, gate| site.emit.op("And", &[both, gate])))
}

/// `dx = g` where `x > 0`, `α·g` elsewhere.
pub(super) fn leaky_relu(site: &mut Site) -> Contributions {
    let (g, slope) = (site.g()?, site.real("alpha", 0.01));
    // With a positive slope x and y have the same sign.
    let told = if slope > 0.0 { site.y()? } else { site.x(0)? };
    let positive = site.emit.above(told, 0.0);
    let leaked = site.emit.scale(g, slope);
    Ok(vec![(0, site.emit.op("Where", &[positive, g, leaked]))])
}

/// `dx = g` where `x > 0`, `slope·g` elsewhere.
pub(super) fn prelu(site: &mut Site) -> Contributions {
    site.only_first("a slope")?;
    let (g, x, slope) = (site.g()?, site.x(0)?, site.x(1)?);
    let positive = site.emit.above(x, 0.0);
    let leaked = site.emit.mul(g, slope);
    Ok(vec![(0, site.emit.op("Where", &[positive, g, leaked]))])
}

/// `y = α(eˣ − 1)` below 0: `dx = g·(y + α)` there.
pub(super) fn elu(site: &mut Site) -> Contributions {
    let alpha = site.real("alpha", 1.0);
    exponential(site, 1.0, alpha)
}

/// `y = γx` above 0, `γα(eˣ − 1)` below.
pub(super) fn selu(site: &mut Site) -> Contributions {
    let (alpha, gamma) = (site.real("alpha", 1.673_263_2), site.real("gamma", 1.050_701));
    exponential(site, gamma, alpha * gamma)
}

fn exponential(site: &mut Site, slope: f32, saturation: f32) -> Contributions {
    let (g, x, y) = (site.g()?, site.x(0)?, site.y()?);
    let positive = site.emit.above(x, 0.0);
    let above = site.emit.scale(g, slope);
    let derivative = site.emit.offset(y, saturation);
    let below = site.emit.mul(g, derivative);
    Ok(vec![(0, site.emit.op("Where", &[positive, above, below]))])
}

/// `y = α(e^(x/α) − 1)` below 0: `dx = g·(y/α + 1)` there.
pub(super) fn celu(site: &mut Site) -> Contributions {
    let (g, x, y, alpha) = (site.g()?, site.x(0)?, site.y()?, site.real("alpha", 1.0));
    let positive = site.emit.above(x, 0.0);
    let scaled = site.emit.scale(y, 1.0 / alpha);
    let derivative = site.emit.offset(scaled, 1.0);
    let below = site.emit.mul(g, derivative);
    Ok(vec![(0, site.emit.op("Where", &[positive, g, below]))])
}

/// `dx = g` where `x > α`.
pub(super) fn thresholded_relu(site: &mut Site) -> Contributions {
    let (x, threshold) = (site.x(0)?, site.real("alpha", 1.0));
    let gate = site.emit.above(x, threshold);
    gated(site, gate)
}

/// `dx = g·y(1 − y)`.
pub(super) fn sigmoid(site: &mut Site) -> Contributions {
    let y = site.y()?;
    let derivative = sigmoid_slope(site, y);
    site.chain(derivative)
}

fn sigmoid_slope(site: &mut Site, y: ValueId) -> ValueId {
    let one = site.emit.scalar(1.0);
    let rest = site.emit.sub(one, y);
    site.emit.mul(y, rest)
}

/// `dx = g·(1 − y²)`.
pub(super) fn tanh(site: &mut Site) -> Contributions {
    let y = site.y()?;
    let derivative = tanh_slope(site, y);
    site.chain(derivative)
}

fn tanh_slope(site: &mut Site, y: ValueId) -> ValueId {
    let (one, square) = (site.emit.scalar(1.0), site.emit.mul(y, y));
    site.emit.sub(one, square)
}

/// `dx = g·sigmoid(x)`.
pub(super) fn softplus(site: &mut Site) -> Contributions {
    let x = site.x(0)?;
    let derivative = site.emit.op("Sigmoid", &[x]);
    site.chain(derivative)
}

/// `y = x/(1 + |x|)`: `dx = g·(1 − |y|)²`.
pub(super) fn softsign(site: &mut Site) -> Contributions {
    let (y, one) = (site.y()?, site.emit.scalar(1.0));
    let size = site.emit.op("Abs", &[y]);
    let rest = site.emit.sub(one, size);
    let derivative = site.emit.mul(rest, rest);
    site.chain(derivative)
}

/// `dx = α·g` where `0 < y < 1`.
pub(super) fn hard_sigmoid(site: &mut Site) -> Contributions {
    let (g, y, slope) = (site.g()?, site.y()?, site.real("alpha", 0.2));
    let (above, below) = (site.emit.above(y, 0.0), site.emit.below(y, 1.0));
    let gate = site.emit.op("And", &[above, below]);
    let scaled = site.emit.scale(g, slope);
    Ok(vec![(0, site.emit.keep_where(gate, scaled))])
}

/// The derivative is 0 below −3, 1 above 3, and `x/3 + ½` between.
pub(super) fn hard_swish(site: &mut Site) -> Contributions {
    let x = site.x(0)?;
    let third = site.emit.scale(x, 1.0 / 3.0);
    let middle = site.emit.offset(third, 0.5);
    let (low, high) = (site.emit.below(x, -3.0), site.emit.above(x, 3.0));
    let (zero, one) = (site.emit.scalar(0.0), site.emit.scalar(1.0));
    let upper = site.emit.op("Where", &[high, one, middle]);
    let derivative = site.emit.op("Where", &[low, zero, upper]);
    site.chain(derivative)
}

/// `y = x·tanh(softplus(x))`: `t + x·(1 − t²)·sigmoid(x)` with `t = tanh(softplus(x))`.
pub(super) fn mish(site: &mut Site) -> Contributions {
    let x = site.x(0)?;
    let soft = site.emit.op("Softplus", &[x]);
    let t = site.emit.op("Tanh", &[soft]);
    let slope = tanh_slope(site, t);
    let sigmoid = site.emit.op("Sigmoid", &[x]);
    let inner = site.emit.mul(slope, sigmoid);
    let product = site.emit.mul(x, inner);
    let derivative = site.emit.add(t, product);
    site.chain(derivative)
}

/// `y = x·Φ(x)`: `Φ + x·φ`; with `approximate = tanh` the derivative of that approximation.
pub(super) fn gelu(site: &mut Site) -> Contributions {
    let x = site.x(0)?;
    let derivative = match site.node.attributes.string("approximate") {
        Some("tanh") => gelu_tanh(site, x),
        _ => gelu_erf(site, x),
    };
    site.chain(derivative)
}

/// `Φ + xφ`, `Φ = ½(1 + erf(x√½))`, `φ = e^(−x²/2)/√2π`.
fn gelu_erf(site: &mut Site, x: ValueId) -> ValueId {
    let emit = &mut *site.emit;
    let scaled = emit.scale(x, std::f32::consts::FRAC_1_SQRT_2);
    let erf = emit.op("Erf", &[scaled]);
    let shifted = emit.offset(erf, 1.0);
    let cumulative = emit.scale(shifted, 0.5);
    let square = emit.mul(x, x);
    let exponent = emit.scale(square, -0.5);
    let bell = emit.op("Exp", &[exponent]);
    let density = emit.scale(bell, 1.0 / std::f32::consts::TAU.sqrt());
    let product = emit.mul(x, density);
    emit.add(cumulative, product)
}

/// `y = ½x(1 + t)`, `t = tanh(c(x + 0.044715x³))`, `c = √(2/π)`:
/// `½(1 + t) + ½x(1 − t²)·c(1 + 3·0.044715x²)`.
fn gelu_tanh(site: &mut Site, x: ValueId) -> ValueId {
    let c = (2.0 / std::f32::consts::PI).sqrt();
    let square = site.emit.mul(x, x);
    let cubic = site.emit.scale(square, 0.044_715);
    let bracket = site.emit.offset(cubic, 1.0);
    let inner = site.emit.mul(x, bracket);
    let scaled = site.emit.scale(inner, c);
    let t = site.emit.op("Tanh", &[scaled]);
    let shifted = site.emit.offset(t, 1.0);
    let first = site.emit.scale(shifted, 0.5);
    let slope = tanh_slope(site, t);
    let steep = site.emit.scale(square, 3.0 * 0.044_715 * c);
    let steepness = site.emit.offset(steep, c);
    let chain = site.emit.mul(slope, steepness);
    let half = site.emit.scale(x, 0.5);
    let second = site.emit.mul(half, chain);
    site.emit.add(first, second)
}

/// `dx = g` where `gate` holds.
fn gated(site: &mut Site, gate: ValueId) -> Contributions {
    let g = site.g()?;
    Ok(vec![(0, site.emit.keep_where(gate, g))])
}
