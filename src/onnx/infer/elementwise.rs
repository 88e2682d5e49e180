//! Operators that work element by element, broadcasting where they take more than one input.

use super::super::DataType;
use super::{Call, Fact, Facts, Table, broadcast, one, same};

pub(super) const RULES: Table = &[
    ("Abs", same),
    ("Acos", same),
    ("Acosh", same),
    ("Asin", same),
    ("Asinh", same),
    ("Atan", same),
    ("Atanh", same),
    ("BitwiseNot", same),
    ("Ceil", same),
    ("Celu", same),
    ("Clip", same),
    ("Cos", same),
    ("Cosh", same),
    ("CumSum", same),
    ("Elu", same),
    ("Erf", same),
    ("Exp", same),
    ("Floor", same),
    ("Gelu", same),
    ("HardSigmoid", same),
    ("HardSwish", same),
    ("Identity", same),
    ("LeakyRelu", same),
    ("Log", same),
    ("Mish", same),
    ("Neg", same),
    ("PRelu", same),
    ("Reciprocal", same),
    ("Relu", same),
    ("Round", same),
    ("Selu", same),
    ("Shrink", same),
    ("Sigmoid", same),
    ("Sign", same),
    ("Sin", same),
    ("Sinh", same),
    ("Softplus", same),
    ("Softsign", same),
    ("Sqrt", same),
    ("Swish", same),
    ("Tan", same),
    ("Tanh", same),
    ("ThresholdedRelu", same),
    ("Trilu", same),
    ("Add", binary),
    ("BitShift", binary),
    ("BitwiseAnd", binary),
    ("BitwiseOr", binary),
    ("BitwiseXor", binary),
    ("Div", binary),
    ("Max", binary),
    ("Mean", binary),
    ("Min", binary),
    ("Mod", binary),
    ("Mul", binary),
    ("Pow", binary),
    ("Sub", binary),
    ("Sum", binary),
    ("And", compare),
    ("Equal", compare),
    ("Greater", compare),
    ("GreaterOrEqual", compare),
    ("IsInf", compare),
    ("IsNaN", compare),
    ("Less", compare),
    ("LessOrEqual", compare),
    ("Not", compare),
    ("Or", compare),
    ("Xor", compare),
    ("Cast", cast),
    ("CastLike", cast_like),
    ("Dropout", dropout),
    ("Where", select),
];

/// Any number of inputs of one type, broadcast together.
fn binary(call: &Call) -> Facts {
    one(call.dtype(0), broadcast_from(call, 0)?)
}

/// The same, answering booleans.
fn compare(call: &Call) -> Facts {
    one(Some(DataType::Bool), broadcast_from(call, 0)?)
}

fn broadcast_from(call: &Call, first: usize) -> Result<Option<Vec<usize>>, String> {
    call.shapes_from(first).map(|s| broadcast(&s)).transpose()
}

fn cast(call: &Call) -> Facts {
    let to = call.node.attributes.int("to").and_then(|t| i32::try_from(t).ok());
    let dtype = to.and_then(|t| DataType::try_from(t).ok());
    one(dtype, call.shape(0).map(<[usize]>::to_vec))
}

fn cast_like(call: &Call) -> Facts {
    one(call.dtype(1), call.shape(0).map(<[usize]>::to_vec))
}

/// The second output is the mask of what was kept.
fn dropout(call: &Call) -> Facts {
    let shape = call.shape(0).map(<[usize]>::to_vec);
    Ok(vec![Fact::new(call.dtype(0), shape.clone()), Fact::new(Some(DataType::Bool), shape)])
}

fn select(call: &Call) -> Facts {
    one(call.dtype(1).or(call.dtype(2)), broadcast_from(call, 0)?)
}
