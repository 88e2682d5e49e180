//! Writing new nodes into a graph: the vocabulary of the backward pass.
//!
//! Everything written here is float32 (or indices): the backward pass never runs in half precision,
//! because gradients of 1e-6 would not survive it. Nodes that would be equal are written once, so
//! the gates that several backward sweeps share are in the file once.

use std::collections::HashMap;

use prost::Message as _;

use super::error::RuleError;
use crate::onnx::{Attributes, DataType, Graph, Tensor, ValueId};

/// Appends nodes to a graph. Outputs have known shapes wherever the inputs have.
pub(crate) struct Emitter<'g> {
    pub(crate) graph: &'g mut Graph,
    written: HashMap<Vec<u8>, Vec<ValueId>>,
}

impl<'g> Emitter<'g> {
    pub(crate) fn new(graph: &'g mut Graph) -> Self {
        Self { graph, written: HashMap::new() }
    }

    // ---- reading -----------------------------------------------------------------------------

    /// The static shape of `value`.
    pub(crate) fn dims(&self, value: ValueId) -> Result<Vec<usize>, RuleError> {
        self.graph
            .shape(value)
            .map(<[usize]>::to_vec)
            .ok_or_else(|| RuleError::UnknownShape(self.graph.value(value).name.clone()))
    }

    /// The contents of `value` as integers, where they are known.
    pub(crate) fn known_ints(&self, value: ValueId) -> Option<Vec<i64>> {
        self.graph.constant(value)?.to_i64()
    }

    /// The contents of `value` as one float, where they are known.
    pub(crate) fn known_scalar(&self, value: ValueId) -> Option<f32> {
        match self.graph.constant(value)?.to_f32()?[..] {
            [single] => Some(single),
            _ => None,
        }
    }

    // ---- writing -----------------------------------------------------------------------------

    /// Any node with `outputs` outputs; the same node is written only once.
    pub(crate) fn node(
        &mut self,
        op: &str,
        inputs: &[Option<ValueId>],
        outputs: usize,
        attributes: Attributes,
    ) -> Vec<ValueId> {
        let mut key = format!("{op} {outputs} {inputs:?} ").into_bytes();
        for attribute in &attributes.0 {
            key.extend(attribute.encode_length_delimited_to_vec());
        }
        if let Some(known) = self.written.get(&key) {
            return known.clone();
        }
        let made = self.graph.add_node(op, inputs, outputs, attributes);
        self.written.insert(key, made.clone());
        made
    }

    /// A node with one output and attributes.
    pub(crate) fn op_with(&mut self, op: &str, inputs: &[ValueId], attributes: Attributes) -> ValueId {
        let inputs: Vec<_> = inputs.iter().copied().map(Some).collect();
        self.node(op, &inputs, 1, attributes)[0]
    }

    /// A node with one output and no attributes.
    pub(crate) fn op(&mut self, op: &str, inputs: &[ValueId]) -> ValueId {
        self.op_with(op, inputs, Attributes::new())
    }

    /// A float32 scalar.
    pub(crate) fn scalar(&mut self, value: f32) -> ValueId {
        self.graph.add_constant(Tensor::scalar(value))
    }

    /// A float32 constant.
    pub(crate) fn floats(&mut self, dims: &[usize], values: &[f32]) -> ValueId {
        self.graph.add_constant(Tensor::f32(dims, values))
    }

    /// An int64 vector.
    pub(crate) fn ints(&mut self, values: &[i64]) -> ValueId {
        self.graph.add_constant(Tensor::i64(&[values.len()], values))
    }

    /// `value` as float32.
    pub(crate) fn float(&mut self, value: ValueId) -> ValueId {
        self.cast(value, DataType::Float)
    }

    /// `value` as `dtype`; nothing is written where it has that type already.
    pub(crate) fn cast(&mut self, value: ValueId, dtype: DataType) -> ValueId {
        if self.graph.dtype(value) == Some(dtype) {
            return value;
        }
        self.op_with("Cast", &[value], Attributes::new().with_int("to", dtype as i64))
    }

    pub(crate) fn add(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.op("Add", &[a, b])
    }

    pub(crate) fn sub(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.op("Sub", &[a, b])
    }

    pub(crate) fn mul(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.op("Mul", &[a, b])
    }

    pub(crate) fn div(&mut self, a: ValueId, b: ValueId) -> ValueId {
        self.op("Div", &[a, b])
    }

    pub(crate) fn neg(&mut self, a: ValueId) -> ValueId {
        self.op("Neg", &[a])
    }

    /// `value · factor`; nothing is written for a factor of 1.
    pub(crate) fn scale(&mut self, value: ValueId, factor: f32) -> ValueId {
        if factor == 1.0 {
            return value;
        }
        let factor = self.scalar(factor);
        self.mul(value, factor)
    }

    /// `value + offset`.
    pub(crate) fn offset(&mut self, value: ValueId, offset: f32) -> ValueId {
        let offset = self.scalar(offset);
        self.add(value, offset)
    }

    /// `value > bound`, as booleans.
    pub(crate) fn above(&mut self, value: ValueId, bound: f32) -> ValueId {
        let bound = self.scalar(bound);
        self.op("Greater", &[value, bound])
    }

    /// `value < bound`, as booleans.
    pub(crate) fn below(&mut self, value: ValueId, bound: f32) -> ValueId {
        let bound = self.scalar(bound);
        self.op("Less", &[value, bound])
    }

    /// `value` where `condition` holds, 0 elsewhere.
    pub(crate) fn keep_where(&mut self, condition: ValueId, value: ValueId) -> ValueId {
        let zero = self.scalar(0.0);
        self.op("Where", &[condition, value, zero])
    }

    /// `value` in another shape; nothing is written where it has that shape already.
    pub(crate) fn reshape(&mut self, value: ValueId, dims: &[usize]) -> ValueId {
        if self.graph.shape(value) == Some(dims) {
            return value;
        }
        let shape: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        let shape = self.ints(&shape);
        self.op("Reshape", &[value, shape])
    }

    /// `value` broadcast to `dims`; nothing is written where it has that shape already.
    pub(crate) fn expand(&mut self, value: ValueId, dims: &[usize]) -> ValueId {
        if self.graph.shape(value) == Some(dims) {
            return value;
        }
        let shape: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
        let shape = self.ints(&shape);
        self.op("Expand", &[value, shape])
    }

    pub(crate) fn transpose(&mut self, value: ValueId, perm: &[usize]) -> ValueId {
        if perm.iter().enumerate().all(|(i, &p)| i == p) {
            return value;
        }
        let perm: Vec<i64> = perm.iter().map(|&p| p as i64).collect();
        self.op_with("Transpose", &[value], Attributes::new().with_ints("perm", &perm))
    }

    pub(crate) fn concat(&mut self, values: &[ValueId], axis: usize) -> ValueId {
        match values {
            [single] => *single,
            _ => self.op_with("Concat", values, Attributes::new().with_int("axis", axis as i64)),
        }
    }

    /// `value[…, start : end : step, …]` along each of `axes`.
    pub(crate) fn slice(
        &mut self,
        value: ValueId,
        axes: &[usize],
        starts: &[i64],
        ends: &[i64],
        steps: &[i64],
    ) -> ValueId {
        let axes: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
        let inputs = [value, self.ints(starts), self.ints(ends), self.ints(&axes), self.ints(steps)];
        self.op("Slice", &inputs)
    }

    /// Constant padding, `[begin…, end…]`; negative amounts crop. Nothing is written for no padding.
    pub(crate) fn pad(&mut self, value: ValueId, pads: &[i64], fill: f32) -> ValueId {
        if pads.iter().all(|&p| p == 0) {
            return value;
        }
        let inputs = [value, self.ints(pads), self.scalar(fill)];
        self.op("Pad", &inputs)
    }

    /// A reduction that keeps its axes. `ReduceSum` takes the axes as an input from opset 13, the
    /// other reductions from opset 18.
    pub(crate) fn reduce(&mut self, op: &str, value: ValueId, axes: &[usize]) -> ValueId {
        if axes.is_empty() {
            return value;
        }
        let axes: Vec<i64> = axes.iter().map(|&a| a as i64).collect();
        let keep = Attributes::new().with_int("keepdims", 1);
        if op == "ReduceSum" || self.graph.opset() >= 18 {
            let axes = self.ints(&axes);
            self.op_with(op, &[value, axes], keep)
        } else {
            self.op_with(op, &[value], keep.with_ints("axes", &axes))
        }
    }

    pub(crate) fn sum(&mut self, value: ValueId, axes: &[usize]) -> ValueId {
        self.reduce("ReduceSum", value, axes)
    }

    pub(crate) fn mean(&mut self, value: ValueId, axes: &[usize]) -> ValueId {
        self.reduce("ReduceMean", value, axes)
    }

    /// The last two axes swapped.
    pub(crate) fn swap_last(&mut self, value: ValueId) -> Result<ValueId, RuleError> {
        let rank = self.dims(value)?.len();
        let mut perm: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            perm.swap(rank - 1, rank - 2);
        }
        Ok(self.transpose(value, &perm))
    }

    /// The adjoint of a strided slice: puts the entries of `value` along `axis` at `start`,
    /// `start + step`, … of an axis of length `length` that is zero elsewhere.
    ///
    /// Written with Unsqueeze-like Reshape and Pad, because scatter operators are not everywhere.
    pub(crate) fn spread(
        &mut self,
        value: ValueId,
        axis: usize,
        start: usize,
        step: usize,
        length: usize,
    ) -> Result<ValueId, RuleError> {
        let mut dims = self.dims(value)?;
        let rank = dims.len();
        let mut value = value;
        if step > 1 {
            dims.insert(axis + 1, 1);
            let split = self.reshape(value, &dims);
            let mut pads = vec![0; 2 * (rank + 1)];
            pads[rank + 1 + axis + 1] = step as i64 - 1;
            let padded = self.pad(split, &pads, 0.0);
            dims.remove(axis + 1);
            dims[axis] *= step;
            value = self.reshape(padded, &dims);
        }
        let end = length as i64 - start as i64 - dims[axis] as i64;
        if end < 0 {
            value = self.slice(value, &[axis], &[0], &[dims[axis] as i64 + end], &[1]);
        }
        let mut pads = vec![0; 2 * rank];
        pads[axis] = start as i64;
        pads[rank + axis] = end.max(0);
        Ok(self.pad(value, &pads, 0.0))
    }

    // ---- gradients that are not spelled out --------------------------------------------------

    /// Turns the gradient of a broadcast result of shape `from` into that of the operand of shape
    /// `to`: sums over the axes along which the operand was repeated.
    ///
    /// `gradient` may itself be only broadcastable to `from` ("lazy"): an axis of length 1 that
    /// stands for `n` equal entries is multiplied by `n` instead of being expanded and summed.
    pub(crate) fn unbroadcast(
        &mut self,
        gradient: ValueId,
        from: &[usize],
        to: &[usize],
    ) -> Result<ValueId, RuleError> {
        let mut have = self.dims(gradient)?;
        if have.len() < from.len() {
            let mut padded = vec![1; from.len() - have.len()];
            padded.extend(&have);
            have = padded;
        }
        let mut gradient = self.reshape(gradient, &have);
        let lead = from.len().saturating_sub(to.len());
        let (mut repeated, mut summed) = (1usize, Vec::new());
        for axis in 0..from.len() {
            let kept = axis >= lead && to[axis - lead] == from[axis];
            if !kept && have[axis] > 1 {
                summed.push(axis);
                have[axis] = 1;
            } else if !kept {
                repeated *= from[axis];
            }
        }
        gradient = self.sum(gradient, &summed);
        gradient = self.scale(gradient, repeated as f32);
        Ok(self.reshape(gradient, &have[lead..]))
    }
}
