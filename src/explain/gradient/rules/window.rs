//! The sliding window that convolutions and pools share.

use super::Site;
use crate::explain::emit::Emitter;
use crate::explain::error::RuleError;
use crate::onnx::{Attributes, ValueId};

/// Where the windows of one node lie, per spatial axis.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) kernel: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    /// Padding before and after.
    pub(super) before: Vec<usize>,
    pub(super) after: Vec<usize>,
    /// Spatial lengths of the node's input and output.
    pub(super) input: Vec<usize>,
    pub(super) output: Vec<usize>,
}

impl Window {
    /// Reads the attributes of `site`'s node. `kernel` is the weight's for a convolution.
    pub(super) fn of(site: &Site, kernel: Vec<usize>) -> Result<Self, RuleError> {
        let (x, y) = (site.x_dims(0)?, site.y_dims()?);
        let rank = kernel.len();
        if x.contains(&0) || y.contains(&0) || kernel.contains(&0) {
            return Err(RuleError::unsupported("it works on nothing"));
        }
        if x.len() != rank + 2 || y.len() != rank + 2 {
            return Err(RuleError::unsupported("its kernel and its input have different ranks"));
        }
        let sizes = |name: &str, default: usize| -> Result<Vec<usize>, RuleError> {
            let Some(given) = site.node.attributes.ints(name).filter(|given| !given.is_empty()) else {
                return Ok(vec![default; if name == "pads" { 2 * rank } else { rank }]);
            };
            let sizes: Vec<usize> = given.iter().filter_map(|&v| usize::try_from(v).ok()).collect();
            let wanted = if name == "pads" { 2 * rank } else { rank };
            match sizes.len() == wanted && given.len() == wanted {
                true => Ok(sizes),
                false => Err(RuleError::unsupported(format!("its attribute {name} is not one it can have"))),
            }
        };
        let (strides, dilations) = (sizes("strides", 1)?, sizes("dilations", 1)?);
        let mut window = Self {
            kernel,
            strides,
            dilations,
            before: vec![0; rank],
            after: vec![0; rank],
            input: x[2..].to_vec(),
            output: y[2..].to_vec(),
        };
        match site.node.attributes.string("auto_pad").unwrap_or("NOTSET") {
            "VALID" => {}
            mode @ ("SAME_UPPER" | "SAME_LOWER") => {
                for axis in 0..rank {
                    let total = window.reach(axis).saturating_sub(window.input[axis]);
                    let (small, large) = (total / 2, total - total / 2);
                    let upper = mode == "SAME_UPPER";
                    (window.before[axis], window.after[axis]) = if upper { (small, large) } else { (large, small) };
                }
            }
            _ => {
                let pads = sizes("pads", 0)?;
                window.before.copy_from_slice(&pads[..rank]);
                window.after.copy_from_slice(&pads[rank..]);
            }
        }
        Ok(window)
    }

    /// The number of spatial axes.
    pub(super) fn rank(&self) -> usize {
        self.kernel.len()
    }

    /// From the first padded row that a window touches to the last: `(out−1)·s + (k−1)·d + 1`.
    pub(super) fn reach(&self, axis: usize) -> usize {
        self.output[axis].saturating_sub(1) * self.strides[axis] + self.span(axis)
    }

    /// How far one window reaches: `(k−1)·d + 1`.
    pub(super) fn span(&self, axis: usize) -> usize {
        self.kernel[axis].saturating_sub(1) * self.dilations[axis] + 1
    }

    /// Rows at the end of the unpadded input that no window touches; negative where windows reach
    /// beyond it (padding, `ceil_mode`).
    pub(super) fn untouched(&self, axis: usize) -> i64 {
        (self.input[axis] + self.before[axis]) as i64 - self.reach(axis) as i64
    }

    pub(super) fn padded(&self) -> bool {
        self.before.iter().chain(&self.after).any(|&pad| pad > 0)
    }

    /// One window covers the whole input and nothing else: a global pool.
    pub(super) fn is_global(&self) -> bool {
        !self.padded() && self.kernel == self.input && self.output.iter().all(|&out| out == 1)
    }

    /// The windows tile the input: no overlap, no gap, no rest.
    pub(super) fn is_tiling(&self) -> bool {
        let tiles = (0..self.rank()).all(|axis| self.kernel[axis] * self.output[axis] == self.input[axis]);
        !self.padded() && self.kernel == self.strides && self.dilations.iter().all(|&d| d == 1) && tiles
    }

    /// Adds what lies in each window back onto the input: `parts` `[n, k, out…]` and a kernel
    /// `[k, 1, kernel…]` give `[n, 1, in…]`, by a transposed convolution.
    pub(super) fn add_back(&self, emit: &mut Emitter, parts: ValueId, kernel: ValueId) -> ValueId {
        let ints = |values: &[usize]| values.iter().map(|&v| v as i64).collect::<Vec<_>>();
        let mut pads = ints(&self.before);
        pads.extend((0..self.rank()).map(|axis| (-self.untouched(axis)).max(0)));
        let attributes = Attributes::new()
            .with_ints("kernel_shape", &ints(&self.kernel))
            .with_ints("strides", &ints(&self.strides))
            .with_ints("dilations", &ints(&self.dilations))
            .with_ints("pads", &pads);
        let spread = emit.op_with("ConvTranspose", &[parts, kernel], attributes);
        let mut rest = vec![0; self.rank() + 4];
        rest.extend((0..self.rank()).map(|axis| self.untouched(axis).max(0)));
        emit.pad(spread, &rest, 0.0)
    }
}
