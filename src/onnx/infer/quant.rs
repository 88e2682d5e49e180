//! Quantised operators, and those that ONNX Runtime adds in its own domain.

use super::super::DataType;
use super::conv::{conv_shape, pool_shape};
use super::matrix::product;
use super::{Call, Fact, Facts, Table, axis, broadcast, one, same};

pub(super) const RULES: Table = &[
    ("DequantizeLinear", dequantize),
    ("DynamicQuantizeLinear", dynamic_quantize),
    ("QLinearConv", qlinear_conv),
    ("QLinearMatMul", qlinear_matmul),
    ("QuantizeLinear", quantize),
];

/// Domain `com.microsoft`: what ONNX Runtime's quantiser and optimiser write.
pub(super) const MICROSOFT: Table = &[
    ("BiasGelu", same),
    ("DequantizeLinear", dequantize),
    ("FastGelu", same),
    ("FusedConv", fused_conv),
    ("Gelu", same),
    ("QLinearAdd", qlinear_binary),
    ("QLinearAveragePool", qlinear_pool),
    ("QLinearConcat", qlinear_concat),
    ("QLinearGlobalAveragePool", qlinear_global_pool),
    ("QLinearLeakyRelu", same),
    ("QLinearMul", qlinear_binary),
    ("QLinearSigmoid", same),
    ("QLinearSoftmax", same),
    ("QuantizeLinear", quantize),
    ("QuickGelu", same),
];

/// The type an `output_dtype` attribute names.
fn output_dtype(call: &Call) -> Option<DataType> {
    let given = call.node.attributes.int("output_dtype").filter(|&t| t != 0)?;
    DataType::try_from(i32::try_from(given).ok()?).ok()
}

/// Answers the type of the zero point, uint8 where there is none.
fn quantize(call: &Call) -> Facts {
    let dtype = match call.has(2) {
        true => call.dtype(2),
        false => output_dtype(call).or(Some(DataType::Uint8)),
    };
    one(dtype, call.shape(0).map(<[usize]>::to_vec))
}

/// Answers the type of the scale.
fn dequantize(call: &Call) -> Facts {
    let dtype = output_dtype(call).or(call.dtype(1));
    one(dtype, call.shape(0).map(<[usize]>::to_vec))
}

fn dynamic_quantize(call: &Call) -> Facts {
    let quantised = Fact::new(Some(DataType::Uint8), call.shape(0).map(<[usize]>::to_vec));
    let scale = Fact::new(Some(DataType::Float), Some(Vec::new()));
    let zero = Fact::new(Some(DataType::Uint8), Some(Vec::new()));
    Ok(vec![quantised, scale, zero])
}

/// Inputs: x, its scale and zero point; w, its scale and zero point; the scale and zero point of y.
fn qlinear_conv(call: &Call) -> Facts {
    one(call.dtype(7).or(call.dtype(0)), conv_shape(call, 3)?)
}

fn qlinear_matmul(call: &Call) -> Facts {
    let shapes = call.shape(0).zip(call.shape(3));
    one(call.dtype(7).or(call.dtype(0)), shapes.map(|(a, b)| product(a, b)).transpose()?)
}

fn fused_conv(call: &Call) -> Facts {
    one(call.dtype(0), conv_shape(call, 1)?)
}

fn qlinear_binary(call: &Call) -> Facts {
    let shapes = call.shape(0).zip(call.shape(3));
    one(call.dtype(0), shapes.map(|(a, b)| broadcast(&[a, b])).transpose()?)
}

/// Channels last where the node says so, which is left unknown.
fn qlinear_pool(call: &Call) -> Facts {
    let shape = if call.int("channels_last", 0) == 0 { pool_shape(call)? } else { None };
    one(call.dtype(0), shape)
}

fn qlinear_global_pool(call: &Call) -> Facts {
    let last = call.int("channels_last", 0) != 0;
    let shape = call.shape(0).map(|shape| {
        let channel = if last { shape.len().saturating_sub(1) } else { 1 };
        let dims = shape.iter().enumerate();
        dims.map(|(i, &d)| if i == 0 || i == channel { d } else { 1 }).collect()
    });
    one(call.dtype(0), shape)
}

/// Inputs: the scale and zero point of y, then tensor, scale and zero point of each part.
fn qlinear_concat(call: &Call) -> Facts {
    let parts: Option<Vec<&[usize]>> = (2..call.node.inputs.len()).step_by(3).map(|i| call.shape(i)).collect();
    let dtype = call.dtype(1);
    let Some(parts) = parts else {
        return one(dtype, None);
    };
    let Some(first) = parts.first() else {
        return Err("nothing to join".into());
    };
    let along = axis(call.int("axis", 1), first.len())?;
    one(dtype, Some(super::shape::joined(&parts, along)?))
}
