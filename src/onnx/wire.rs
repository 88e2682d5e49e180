//! A first look at the bytes of a model, before any memory is given to its messages.
//!
//! Protobuf is walked field by field without decoding: this tells a truncated file from one that
//! is no model at all, and counts what decoding would allocate, so that a small hostile file
//! cannot ask for a huge amount of memory.

use super::load::Limits;

/// What is wrong with the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// No protobuf, or not of a model.
    NotAModel,
    /// A field reaches this many bytes beyond the end.
    Truncated(u64),
    /// A message inside the model is malformed.
    Damaged,
    /// More graphs inside graphs than allowed.
    Nested,
    /// More nodes than allowed.
    Nodes,
    /// More messages than allowed.
    Messages,
}

/// A kind of message: its message fields that are walked, as (tag, kind).
struct Kind {
    name: Name,
    fields: &'static [(u64, &'static Kind)],
}

#[derive(PartialEq, Eq)]
enum Name {
    Graph,
    Node,
    Other,
}

static LEAF: Kind = Kind { name: Name::Other, fields: &[] };
static SHAPE: Kind = Kind { name: Name::Other, fields: &[(1, &LEAF)] };
static TENSOR_TYPE: Kind = Kind { name: Name::Other, fields: &[(2, &SHAPE)] };
static TYPE: Kind = Kind { name: Name::Other, fields: &[(1, &TENSOR_TYPE), (8, &TENSOR_TYPE)] };
static VALUE: Kind = Kind { name: Name::Other, fields: &[(2, &TYPE), (4, &LEAF)] };
static TENSOR: Kind = Kind { name: Name::Other, fields: &[(6, &LEAF), (13, &LEAF), (16, &LEAF)] };
static SPARSE: Kind = Kind { name: Name::Other, fields: &[(1, &TENSOR), (2, &TENSOR)] };
static ANNOTATION: Kind = Kind { name: Name::Other, fields: &[(2, &LEAF)] };
static ATTRIBUTE: Kind = Kind {
    name: Name::Other,
    fields: &[
        (5, &TENSOR),
        (6, &GRAPH),
        (9, &LEAF),
        (10, &TENSOR),
        (11, &GRAPH),
        (14, &TYPE),
        (15, &TYPE),
        (22, &SPARSE),
        (23, &SPARSE),
    ],
};
static NODE: Kind =
    Kind { name: Name::Node, fields: &[(1, &LEAF), (2, &LEAF), (5, &ATTRIBUTE), (9, &LEAF), (10, &LEAF)] };
static GRAPH: Kind = Kind {
    name: Name::Graph,
    fields: &[
        (1, &NODE),
        (5, &TENSOR),
        (11, &VALUE),
        (12, &VALUE),
        (13, &VALUE),
        (14, &ANNOTATION),
        (15, &SPARSE),
        (16, &LEAF),
    ],
};
static TRAINING: Kind = Kind { name: Name::Other, fields: &[(1, &GRAPH), (2, &GRAPH), (3, &LEAF), (4, &LEAF)] };
static FUNCTION: Kind = Kind {
    name: Name::Other,
    fields: &[(4, &LEAF), (5, &LEAF), (6, &LEAF), (7, &NODE), (9, &LEAF), (11, &ATTRIBUTE), (12, &VALUE), (14, &LEAF)],
};
static MODEL: Kind = Kind {
    name: Name::Other,
    fields: &[(7, &GRAPH), (8, &LEAF), (14, &LEAF), (20, &TRAINING), (25, &FUNCTION), (26, &LEAF)],
};

/// Every field of a model message: tag and wire type (0: a number, 2: bytes).
const MODEL_FIELDS: [(u64, u64); 12] =
    [(1, 0), (2, 2), (3, 2), (4, 2), (5, 0), (6, 2), (7, 2), (8, 2), (14, 2), (20, 2), (25, 2), (26, 2)];

/// What the walk has met so far.
struct Census<'a> {
    limits: &'a Limits,
    nodes: usize,
    messages: usize,
}

/// Walks a whole model.
pub(super) fn walk(bytes: &[u8], limits: &Limits) -> Result<(), Flaw> {
    outline(bytes)?;
    Census { limits, nodes: 0, messages: 0 }.message(bytes, &MODEL, 0)
}

/// Walks the fields of the model itself, to tell a truncated model from something else.
fn outline(bytes: &[u8]) -> Result<(), Flaw> {
    let mut rest = bytes;
    let mut known = 0usize;
    while !rest.is_empty() {
        // The first fields of a model are known ones; later unknown ones belong to a newer schema.
        let flaw = |missing| {
            if known > 0 { Flaw::Truncated(missing) } else { Flaw::NotAModel }
        };
        let before = rest;
        match field(&mut rest) {
            Ok((tag, wire, _)) if MODEL_FIELDS.contains(&(tag, wire)) => known += 1,
            Ok((tag, ..)) if known > 0 && MODEL_FIELDS.iter().all(|f| f.0 != tag) => {}
            Ok(_) => return Err(Flaw::NotAModel),
            Err(Cut::Short(missing)) if plausible(before) => return Err(flaw(missing)),
            Err(_) => return Err(Flaw::NotAModel),
        }
    }
    if known == 0 { Err(Flaw::NotAModel) } else { Ok(()) }
}

/// Whether the bytes begin with the key of a field of a model.
fn plausible(mut bytes: &[u8]) -> bool {
    varint(&mut bytes).is_none_or(|key| MODEL_FIELDS.contains(&(key >> 3, key & 7)))
}

impl Census<'_> {
    fn message(&mut self, bytes: &[u8], kind: &Kind, graphs: usize) -> Result<(), Flaw> {
        self.messages += 1;
        if self.messages > self.limits.messages {
            return Err(Flaw::Messages);
        }
        if kind.name == Name::Node {
            self.nodes += 1;
            if self.nodes > self.limits.nodes {
                return Err(Flaw::Nodes);
            }
        }
        let graphs = graphs + usize::from(kind.name == Name::Graph);
        if graphs > self.limits.nesting {
            return Err(Flaw::Nested);
        }
        if kind.fields.is_empty() {
            return Ok(());
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let (tag, wire, contents) = field(&mut rest).map_err(|_| Flaw::Damaged)?;
            if let Some((_, inner)) = kind.fields.iter().find(|(t, _)| *t == tag && wire == 2) {
                self.message(contents, inner, graphs)?;
            }
        }
        Ok(())
    }
}

enum Cut {
    /// So many bytes are missing.
    Short(u64),
    /// Not a field.
    Malformed,
}

/// Reads one field: its tag, its wire type, and its contents where it has a length.
fn field<'a>(rest: &mut &'a [u8]) -> Result<(u64, u64, &'a [u8]), Cut> {
    let cut = |rest: &[u8]| {
        if rest.len() < 10 { Cut::Short(1) } else { Cut::Malformed }
    };
    let key = varint(rest).ok_or_else(|| cut(rest))?;
    let (tag, wire) = (key >> 3, key & 7);
    if tag == 0 {
        return Err(Cut::Malformed);
    }
    let len = match wire {
        0 => {
            varint(rest).ok_or_else(|| cut(rest))?;
            0
        }
        1 => 8,
        2 => varint(rest).ok_or_else(|| cut(rest))?,
        5 => 4,
        _ => return Err(Cut::Malformed),
    };
    let there = rest.len() as u64;
    if len > there {
        return Err(Cut::Short(len - there));
    }
    let (contents, after) = rest.split_at(len as usize);
    *rest = after;
    Ok((tag, wire, contents))
}

/// Reads a variable-length number; `None` (and nothing read) where it does not end.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (i, &byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * i as u32).unwrap_or(0);
        if byte < 0x80 {
            *rest = &rest[i + 1..];
            return Some(value);
        }
    }
    None
}
