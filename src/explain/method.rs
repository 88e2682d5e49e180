//! Ways of making a map out of an activation `A` and the gradient `G` of the score with respect to it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::emit::Emitter;
use super::error::RuleError;
use super::head::Factored;
use super::layer::Layout;
use crate::onnx::ValueId;

/// A method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Method {
    /// Grad-CAM (Selvaraju et al., 2017): `Relu(Σ_k mean(G_k)·A_k)`.
    #[default]
    GradCam,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::GradCam => "grad-cam",
        })
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "grad-cam" | "gradcam" => Ok(Self::GradCam),
            _ => Err(format!("`{text}` is no method: grad-cam")),
        }
    }
}

/// Maps of several classes at once, `[N,K,h,w]` float32, not negative: one factored gradient per
/// class slot, all of the same `activation`.
///
/// The weights of all slots are stacked and meet the activation in one matrix product
/// `[N,K,C]×[N,C,h·w]`, so `A·w` is never written out.
pub(super) fn maps(
    emit: &mut Emitter,
    method: Method,
    activation: ValueId,
    layout: Layout,
    gradients: &[Factored],
) -> Result<ValueId, RuleError> {
    let Method::GradCam = method;
    let dims = emit.dims(activation)?;
    let (batch, channels) = (dims[0], dims[layout.channels()]);
    let [height, width] = layout.space().map(|axis| dims[axis]);
    let mut weights = Vec::with_capacity(gradients.len());
    for &gradient in gradients {
        let mean = mean_over_space(emit, gradient, layout)?;
        let mut shape = vec![batch, 1, 1, 1];
        shape[layout.channels()] = channels;
        let mean = emit.expand(mean, &shape);
        weights.push(emit.reshape(mean, &[batch, 1, channels]));
    }
    let weights = emit.concat(&weights, 1);
    let activation = emit.float(activation);
    let sums = match layout {
        Layout::Nchw => {
            let flat = emit.reshape(activation, &[batch, channels, height * width]);
            emit.op("MatMul", &[weights, flat])
        }
        Layout::Nhwc => {
            let flat = emit.reshape(activation, &[batch, height * width, channels]);
            let weights = emit.transpose(weights, &[0, 2, 1]);
            let sums = emit.op("MatMul", &[flat, weights]);
            emit.transpose(sums, &[0, 2, 1])
        }
    };
    let positive = emit.op("Relu", &[sums]);
    Ok(emit.reshape(positive, &[batch, gradients.len(), height, width]))
}

/// The mean of a gradient over height and width. One that is the same everywhere is its own mean.
fn mean_over_space(emit: &mut Emitter, gradient: Factored, layout: Layout) -> Result<ValueId, RuleError> {
    let mean = |emit: &mut Emitter, value: ValueId| -> Result<ValueId, RuleError> {
        let dims = emit.dims(value)?;
        let axes: Vec<usize> = layout.space().into_iter().filter(|&axis| dims[axis] > 1).collect();
        Ok(emit.mean(value, &axes))
    };
    match gradient.share {
        // The value is the same everywhere; only the share varies over space.
        Some(share) => {
            let share = mean(emit, share)?;
            Ok(emit.mul(gradient.value, share))
        }
        None => mean(emit, gradient.value),
    }
}
