//! The attributes of a node, with typed look-ups.

use bytes::Bytes;

use super::schema::{AttributeProto, AttributeType, GraphProto};
use super::tensor::Tensor;

/// The attributes of a node. A look-up answers `None` where the attribute is absent or of another
/// type; defaults are the caller's knowledge, since they belong to the operator.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes(pub Vec<AttributeProto>);

impl Attributes {
    /// No attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The attribute itself.
    pub fn get(&self, name: &str) -> Option<&AttributeProto> {
        self.0.iter().find(|a| a.name() == name)
    }

    /// An integer.
    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name)?.i
    }

    /// A list of integers; an empty list counts as present.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        let a = self.get(name)?;
        is(a, AttributeType::Ints, a.ints.is_empty()).then_some(&a.ints[..])
    }

    /// A float.
    pub fn float(&self, name: &str) -> Option<f32> {
        self.get(name)?.f
    }

    /// A list of floats; an empty list counts as present.
    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        let a = self.get(name)?;
        is(a, AttributeType::Floats, a.floats.is_empty()).then_some(&a.floats[..])
    }

    /// A string.
    pub fn string(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get(name)?.s.as_deref()?).ok()
    }

    /// A tensor with a fixed element size.
    pub fn tensor(&self, name: &str) -> Option<Tensor> {
        Tensor::from_proto(self.get(name)?.t.as_deref()?).ok().flatten()
    }

    /// Every body among the attributes: `then_branch`, `else_branch`, `body`.
    pub fn graphs(&self) -> impl Iterator<Item = &GraphProto> {
        self.0.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs))
    }

    /// Every body among the attributes, to be changed.
    pub(super) fn graphs_mut(&mut self) -> impl Iterator<Item = &mut GraphProto> {
        self.0.iter_mut().flat_map(|a| a.g.as_deref_mut().into_iter().chain(&mut a.graphs))
    }

    /// With an integer added.
    pub fn with_int(self, name: &str, value: i64) -> Self {
        self.with(name, AttributeType::Int, |a| a.i = Some(value))
    }

    /// With a list of integers added.
    pub fn with_ints(self, name: &str, values: &[i64]) -> Self {
        self.with(name, AttributeType::Ints, |a| a.ints = values.to_vec())
    }

    /// With a float added.
    pub fn with_float(self, name: &str, value: f32) -> Self {
        self.with(name, AttributeType::Float, |a| a.f = Some(value))
    }

    /// With a list of floats added.
    pub fn with_floats(self, name: &str, values: &[f32]) -> Self {
        self.with(name, AttributeType::Floats, |a| a.floats = values.to_vec())
    }

    /// With a string added.
    pub fn with_string(self, name: &str, value: &str) -> Self {
        let value = Bytes::copy_from_slice(value.as_bytes());
        self.with(name, AttributeType::String, |a| a.s = Some(value))
    }

    /// With a tensor added.
    pub fn with_tensor(self, name: &str, value: &Tensor) -> Self {
        let value = Box::new(value.to_proto(""));
        self.with(name, AttributeType::Tensor, |a| a.t = Some(value))
    }

    /// Takes an attribute out.
    pub(super) fn remove(&mut self, name: &str) -> Option<AttributeProto> {
        let at = self.0.iter().position(|a| a.name() == name)?;
        Some(self.0.remove(at))
    }

    fn with(mut self, name: &str, kind: AttributeType, set: impl FnOnce(&mut AttributeProto)) -> Self {
        self.remove(name);
        let mut attribute =
            AttributeProto { name: Some(name.to_owned()), r#type: Some(kind.into()), ..Default::default() };
        set(&mut attribute);
        self.0.push(attribute);
        self
    }
}

/// Whether a list attribute is of this kind. Files of IR 1 carried no type: there a list that is
/// not empty speaks for itself.
fn is(attribute: &AttributeProto, kind: AttributeType, empty: bool) -> bool {
    match attribute.r#type() {
        AttributeType::Undefined => !empty,
        given => given == kind,
    }
}
