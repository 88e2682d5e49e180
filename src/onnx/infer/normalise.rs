//! Normalisations and softmax: the shape stays, some outputs are statistics.

use super::super::DataType;
use super::{Call, Fact, Facts, Table, axis, same};

pub(super) const RULES: Table = &[
    ("BatchNormalization", batch_norm),
    ("GroupNormalization", same),
    ("Hardmax", same),
    ("InstanceNormalization", same),
    ("LRN", same),
    ("LayerNormalization", layer_norm),
    ("LogSoftmax", same),
    ("LpNormalization", same),
    ("MeanVarianceNormalization", same),
    ("RMSNormalization", same),
    ("Softmax", same),
];

/// Only the first output exists at inference; the others are statistics per channel.
fn batch_norm(call: &Call) -> Facts {
    if let (Some([_, channels, ..]), Some([scale])) = (call.shape(0), call.shape(1))
        && channels != scale
    {
        return Err(format!("{scale} scales for {channels} channels"));
    }
    let mut facts = same(call)?;
    let per_channel = call.shape(1).map(<[usize]>::to_vec);
    facts.resize(5, Fact::new(call.dtype(3).or(call.dtype(0)), per_channel));
    Ok(facts)
}

/// The mean and the inverse deviation keep the axes before `axis` and have 1 for the others.
fn layer_norm(call: &Call) -> Facts {
    let mut facts = same(call)?;
    let statistics = match call.shape(0) {
        Some(shape) => {
            let from = axis(call.int("axis", -1), shape.len())?;
            let dims = shape.iter().enumerate();
            Some(dims.map(|(i, &d)| if i < from { d } else { 1 }).collect())
        }
        None => None,
    };
    facts.resize(3, Fact::new(Some(DataType::Float), statistics));
    Ok(facts)
}
