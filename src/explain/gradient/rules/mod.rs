//! The table of gradient rules: one row per operator, one file per family.
//!
//! Adding an operator is adding a row. In the comments `y` is the operator's output, `g` the
//! gradient of the score with respect to `y`, and `dx` what the rule returns.
//!
//! The formulas were checked against torch's autograd; `tests/gradient_rules.rs` walks this table
//! and checks every row against finite differences.

mod activation;
mod arithmetic;
mod conv;
mod matrix;
mod norm;
mod pool;
mod quant;
mod reduce;
mod shape;
mod window;

pub(crate) use quant::{Range, bounds as quant_bounds};

use crate::explain::emit::Emitter;
use crate::explain::error::RuleError;
use crate::onnx::{Node, ValueId};

/// One node that is being differentiated.
pub(crate) struct Site<'a, 'g> {
    pub(crate) emit: &'a mut Emitter<'g>,
    pub(crate) node: &'a Node,
    /// Per output: its gradient, where the score depends on that output.
    pub(crate) incoming: &'a [Option<ValueId>],
    /// Per input: whether its gradient is wanted.
    pub(crate) active: &'a [bool],
}

/// Per active input (its index): the gradient that flows into it, float32, broadcastable to it.
pub(crate) type Contributions = Result<Vec<(usize, ValueId)>, RuleError>;

/// How an operator treats a gradient.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// It has a derivative, written by this function.
    Gradient(fn(&mut Site) -> Contributions),
    /// Its output does not change with small changes of its input: the gradient is zero, and no
    /// way from layer to score leads through it.
    Constant,
}

/// A row of the table.
pub(crate) struct Rule {
    pub(crate) op: &'static str,
    pub(crate) kind: Kind,
}

const fn rule(op: &'static str, gradient: fn(&mut Site) -> Contributions) -> Rule {
    Rule { op, kind: Kind::Gradient(gradient) }
}

const fn constant(op: &'static str) -> Rule {
    Rule { op, kind: Kind::Constant }
}

/// The table.
pub(crate) const RULES: &[Rule] = &[
    // element by element: arithmetic
    rule("Abs", arithmetic::abs),
    rule("Add", arithmetic::add),
    rule("Div", arithmetic::div),
    rule("Erf", arithmetic::erf),
    rule("Exp", arithmetic::exp),
    rule("Log", arithmetic::log),
    rule("Max", arithmetic::extremum),
    rule("Mean", arithmetic::mean),
    rule("Min", arithmetic::extremum),
    rule("Mul", arithmetic::mul),
    rule("Neg", arithmetic::neg),
    rule("Pow", arithmetic::pow),
    rule("Reciprocal", arithmetic::reciprocal),
    rule("Sqrt", arithmetic::sqrt),
    rule("Sub", arithmetic::sub),
    rule("Sum", arithmetic::add),
    rule("Where", arithmetic::choose),
    // element by element: activations
    rule("Celu", activation::celu),
    rule("Clip", activation::clip),
    rule("Elu", activation::elu),
    rule("Gelu", activation::gelu),
    rule("HardSigmoid", activation::hard_sigmoid),
    rule("HardSwish", activation::hard_swish),
    rule("LeakyRelu", activation::leaky_relu),
    rule("Mish", activation::mish),
    rule("PRelu", activation::prelu),
    rule("Relu", activation::relu),
    rule("Selu", activation::selu),
    rule("Sigmoid", activation::sigmoid),
    rule("Softplus", activation::softplus),
    rule("Softsign", activation::softsign),
    rule("Tanh", activation::tanh),
    rule("ThresholdedRelu", activation::thresholded_relu),
    // matrices and convolutions
    rule("Conv", conv::conv),
    rule("Gemm", matrix::gemm),
    rule("MatMul", matrix::matmul),
    // pooling
    rule("AveragePool", pool::average),
    rule("GlobalAveragePool", pool::global_average),
    rule("GlobalMaxPool", pool::global_max),
    rule("MaxPool", pool::max),
    // reductions
    rule("ReduceMax", reduce::extremum),
    rule("ReduceMean", reduce::mean),
    rule("ReduceMin", reduce::extremum),
    rule("ReduceSum", reduce::sum),
    // normalisation
    rule("BatchNormalization", norm::batch),
    rule("InstanceNormalization", norm::instance),
    rule("LRN", norm::local_response),
    rule("LayerNormalization", norm::layer),
    rule("LogSoftmax", norm::log_softmax),
    rule("Softmax", norm::softmax),
    // shape and place
    rule("Cast", shape::pass),
    rule("Concat", shape::concat),
    rule("DepthToSpace", shape::depth_to_space),
    rule("Dropout", shape::pass),
    rule("Expand", shape::expand),
    rule("Flatten", shape::reshape),
    rule("Gather", shape::gather),
    rule("Identity", shape::pass),
    rule("Pad", shape::pad),
    rule("Reshape", shape::reshape),
    rule("Slice", shape::slice),
    rule("SpaceToDepth", shape::space_to_depth),
    rule("Split", shape::split),
    rule("Squeeze", shape::reshape),
    rule("Transpose", shape::transpose),
    rule("Unsqueeze", shape::reshape),
    // quantisation
    rule("DequantizeLinear", quant::dequantize),
    rule("QuantizeLinear", quant::quantize),
    // zero everywhere
    constant("And"),
    constant("ArgMax"),
    constant("ArgMin"),
    constant("Ceil"),
    constant("ConstantOfShape"),
    constant("Equal"),
    constant("Floor"),
    constant("Greater"),
    constant("GreaterOrEqual"),
    constant("IsInf"),
    constant("IsNaN"),
    constant("Less"),
    constant("LessOrEqual"),
    constant("NonZero"),
    constant("Not"),
    constant("Or"),
    constant("Round"),
    constant("Shape"),
    constant("Sign"),
    constant("Size"),
    constant("Xor"),
];

/// Why an operator without a row is refused.
pub(crate) const NO_RULE: &str = "there is no gradient rule for it";

/// The row of an operator.
pub(crate) fn find(domain: &str, op: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| domain.is_empty() && rule.op == op)
}

/// Asks the table.
pub(crate) fn apply(site: &mut Site) -> Contributions {
    match find(&site.node.domain, &site.node.op_type).map(|rule| rule.kind) {
        Some(Kind::Gradient(gradient)) => gradient(site),
        Some(Kind::Constant) => Ok(Vec::new()),
        None => Err(RuleError::unsupported(NO_RULE)),
    }
}

impl Site<'_, '_> {
    /// The `index`-th input.
    fn input(&self, index: usize) -> Result<ValueId, RuleError> {
        self.node.input(index).ok_or_else(|| RuleError::unsupported(format!("its input {index} is missing")))
    }

    /// The first output.
    fn output(&self) -> Result<ValueId, RuleError> {
        self.node.output(0).ok_or_else(|| RuleError::unsupported("its output is missing"))
    }

    /// The `index`-th input as float32.
    fn x(&mut self, index: usize) -> Result<ValueId, RuleError> {
        let value = self.input(index)?;
        Ok(self.emit.float(value))
    }

    /// The first output as float32.
    fn y(&mut self) -> Result<ValueId, RuleError> {
        let value = self.output()?;
        Ok(self.emit.float(value))
    }

    /// The gradient of the first output, broadcastable to it.
    fn g(&self) -> Result<ValueId, RuleError> {
        self.incoming
            .first()
            .copied()
            .flatten()
            .ok_or_else(|| RuleError::unsupported("the score depends on another output than its first"))
    }

    /// The gradient of the first output in that output's full shape.
    fn g_full(&mut self) -> Result<ValueId, RuleError> {
        let (gradient, dims) = (self.g()?, self.y_dims()?);
        Ok(self.emit.expand(gradient, &dims))
    }

    fn x_dims(&self, index: usize) -> Result<Vec<usize>, RuleError> {
        self.emit.dims(self.input(index)?)
    }

    fn y_dims(&self) -> Result<Vec<usize>, RuleError> {
        self.emit.dims(self.output()?)
    }

    fn wants(&self, index: usize) -> bool {
        self.active.get(index).copied().unwrap_or(false)
    }

    /// Refuses to go on where the gradient of any input but the first is wanted.
    fn only_first(&self, what: &str) -> Result<(), RuleError> {
        match self.active.iter().skip(1).any(|&active| active) {
            true => Err(RuleError::unsupported(format!("{what} that depends on the picture has no rule"))),
            false => Ok(()),
        }
    }

    fn int(&self, name: &str, default: i64) -> i64 {
        self.node.attributes.int(name).unwrap_or(default)
    }

    fn real(&self, name: &str, default: f32) -> f32 {
        self.node.attributes.float(name).unwrap_or(default)
    }

    /// An attribute that names an axis, or its default, as an index into `rank` axes.
    fn axis(&self, name: &str, default: i64, rank: usize) -> Result<usize, RuleError> {
        wrap(self.int(name, default), rank)
    }

    /// The gradient of the `index`-th input from one that has the shape of the output: undoes the
    /// broadcasting of that input.
    fn shrink(&mut self, index: usize, gradient: ValueId) -> Result<(usize, ValueId), RuleError> {
        let (from, to) = (self.y_dims()?, self.x_dims(index)?);
        Ok((index, self.emit.unbroadcast(gradient, &from, &to)?))
    }

    /// `dx = g · derivative` for an operator of one input, element by element.
    fn chain(&mut self, derivative: ValueId) -> Contributions {
        let gradient = self.g()?;
        Ok(vec![(0, self.emit.mul(gradient, derivative))])
    }
}

/// An axis as ONNX writes it (negative: from the end) as an index.
fn wrap(axis: i64, rank: usize) -> Result<usize, RuleError> {
    let wrapped = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(wrapped)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| RuleError::unsupported(format!("its axis {axis} does not exist in {rank} dimensions")))
}
