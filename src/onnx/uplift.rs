//! Operator sets 7 to 12, rewritten to 13: one table of rules.
//!
//! Most operators only gained types and options between 7 and 13. The table names those whose old
//! nodes mean something else today, mostly because an attribute became an input. Where the new
//! form needs to know types or shapes ([`Facts`]), they come from a trial inference.

use std::collections::{HashMap, HashSet};

use super::infer;
use super::names;
use super::schema::{AttributeProto, GraphProto, NodeProto};
use super::{Attributes, DataType, GraphError, Tensor, import};

/// Rewrites one node.
type Rule = fn(&mut Site) -> Result<(), String>;

/// Operator, the operator set that changed it, and how an older node is rewritten.
const RULES: &[(&str, i64, Rule)] = &[
    ("Scan", 9, scan),
    ("BatchNormalization", 9, batch_norm),
    ("Slice", 10, slice),
    ("TopK", 10, top_k),
    ("Upsample", 10, upsample),
    ("Clip", 11, clip),
    ("Pad", 11, pad),
    ("Resize", 11, resize),
    ("Scatter", 11, scatter),
    ("Dropout", 12, dropout),
    ("Hardmax", 13, softmax),
    ("LogSoftmax", 13, softmax),
    ("ReduceSum", 13, axes),
    ("Softmax", 13, softmax),
    ("Split", 13, split),
    ("Squeeze", 13, axes),
    ("Unsqueeze", 13, axes),
];

/// What rules need to know about a value.
#[derive(Debug, Clone, Default)]
struct Fact {
    dtype: Option<DataType>,
    rank: Option<usize>,
    /// The first axis from which on every dimension is 1, whatever the input size.
    ones_from: Option<usize>,
}

/// The type and shape a trial inference finds.
type Found = (Option<DataType>, Option<Vec<usize>>);

/// What is known about the values that rules ask about, by name.
#[derive(Debug, Default)]
pub(super) struct Facts(HashMap<String, Fact>);

impl Facts {
    /// Finds types and shapes of `graph` by two trial inferences with different input sizes, so
    /// that a dimension which is 1 in both is told from one that is 1 by chance.
    pub(super) fn of(graph: &GraphProto, opset: i64) -> Result<Self, GraphError> {
        let asked: HashSet<&str> = graph
            .node
            .iter()
            .filter(|n| RULES.iter().any(|(op, since, _)| *op == n.op_type() && opset < *since))
            .flat_map(|n| n.input.iter().chain(&n.output).map(String::as_str))
            .collect();
        if asked.is_empty() {
            return Ok(Self::default());
        }
        let shapes = |other: bool| -> Result<HashMap<String, Found>, GraphError> {
            let mut trial = import::build(graph, opset)?;
            for input in trial.inputs.clone() {
                let Some(declared) = trial.declared_shape(input) else {
                    continue;
                };
                let dims: Vec<usize> = declared
                    .into_iter()
                    .enumerate()
                    .map(|(i, d)| match (i, d) {
                        (0, None) => 1 + usize::from(other),
                        (_, None) => 224 + 64 * usize::from(other),
                        (0, Some(d)) => d.saturating_add(usize::from(other)),
                        // Heights and widths, rather than channels.
                        (_, Some(d)) if d > 16 && other => d.saturating_add(64),
                        (_, Some(d)) => d,
                    })
                    .collect();
                trial.set_input_shape(input, &dims);
            }
            infer::graph(&mut trial, infer::Mode::Lenient)?;
            let known = trial.values().map(|(_, v)| (v.name.clone(), (v.dtype, v.shape.clone())));
            Ok(known.filter(|(name, _)| asked.contains(name.as_str())).collect())
        };
        let (first, second) = (shapes(false)?, shapes(true)?);
        let ones = |shape: &Vec<usize>| shape.len() - shape.iter().rev().take_while(|d| **d == 1).count();
        let fact = |(name, (dtype, shape)): (String, Found)| {
            // Where the second trial fails, the model takes no other size anyway.
            let other = second.get(&name).and_then(|(_, s)| s.as_ref()).map_or(0, ones);
            let ones_from = shape.as_ref().map(|s| ones(s).max(other));
            let rank = shape.map(|s| s.len());
            (name, Fact { dtype, rank, ones_from })
        };
        Ok(Self(first.into_iter().map(fact).collect()))
    }
}

/// Rewrites the nodes of `graph`, and of the bodies inside it, from `opset` to operator set 13.
pub(super) fn uplift(graph: &mut GraphProto, opset: i64, facts: &Facts) -> Result<(), GraphError> {
    let mut taken = HashSet::new();
    names::graph_names(graph, &mut taken);
    let taken = taken.into_iter().map(str::to_owned).collect();
    Uplift { opset, facts, names: Names { taken, count: 0 } }.graph(graph)
}

struct Uplift<'a> {
    opset: i64,
    facts: &'a Facts,
    names: Names,
}

struct Names {
    taken: HashSet<String>,
    count: usize,
}

impl Names {
    fn fresh(&mut self, what: &str) -> String {
        loop {
            let name = format!("gradcast/uplift/{what}_{}", self.count);
            self.count += 1;
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }
}

impl Uplift<'_> {
    fn graph(&mut self, graph: &mut GraphProto) -> Result<(), GraphError> {
        let mut out = Vec::with_capacity(graph.node.len());
        for mut node in std::mem::take(&mut graph.node) {
            for body in names::bodies_mut(&mut node) {
                self.graph(body)?;
            }
            if !matches!(node.domain(), "" | "ai.onnx") {
                out.push(node);
                continue;
            }
            let rules: Vec<Rule> = RULES
                .iter()
                .filter(|(op, since, _)| *op == node.op_type() && self.opset < *since)
                .map(|(.., rule)| *rule)
                .collect();
            let attributes = Attributes(std::mem::take(&mut node.attribute));
            let mut site = Site {
                node,
                attributes,
                before: Vec::new(),
                after: Vec::new(),
                facts: self.facts,
                names: &mut self.names,
            };
            for rule in rules {
                if let Err(why) = rule(&mut site) {
                    return Err(GraphError::Uplift {
                        node: format!("{:?}", site.label()),
                        op_type: site.node.op_type().to_owned(),
                        opset: self.opset,
                        why,
                    });
                }
            }
            let Site { mut node, attributes, before, after, .. } = site;
            node.attribute = attributes.0;
            out.extend(before);
            out.push(node);
            out.extend(after);
        }
        graph.node = out;
        Ok(())
    }
}

/// A node being rewritten, and the nodes that are put around it.
struct Site<'a> {
    node: NodeProto,
    attributes: Attributes,
    before: Vec<NodeProto>,
    after: Vec<NodeProto>,
    facts: &'a Facts,
    names: &'a mut Names,
}

impl Site<'_> {
    fn label(&self) -> &str {
        match self.node.name() {
            "" => self.node.output.first().map_or("", String::as_str),
            name => name,
        }
    }

    /// What is known about the node's first input.
    fn fact(&self) -> Fact {
        let name = self.node.input.first();
        name.and_then(|n| self.facts.0.get(n)).cloned().unwrap_or_default()
    }

    /// Takes out an attribute that is a list of integers.
    fn take_ints(&mut self, name: &str) -> Option<Vec<i64>> {
        self.attributes.remove(name).map(|a| a.ints)
    }

    /// Puts a constant before the node and answers its name.
    fn constant(&mut self, what: &str, value: &Tensor) -> String {
        let name = self.names.fresh(what);
        self.before.push(NodeProto {
            op_type: Some("Constant".into()),
            output: vec![name.clone()],
            attribute: Attributes::new().with_tensor("value", value).0,
            ..NodeProto::default()
        });
        name
    }

    /// Makes `name` the input at `index`; inputs in between are left out.
    fn set_input(&mut self, index: usize, name: String) {
        if self.node.input.len() <= index {
            self.node.input.resize(index + 1, String::new());
        }
        self.node.input[index] = name;
    }

    /// Turns a list attribute into the input at `index`.
    fn list_to_input(&mut self, attribute: &str, index: usize) {
        if let Some(values) = self.take_ints(attribute) {
            let name = self.constant(attribute, &Tensor::vec_i64(&values));
            self.set_input(index, name);
        }
    }

    /// Turns a number attribute into a scalar input at `index`, in the type of the first input.
    fn float_to_input(&mut self, attribute: &str, index: usize) {
        let Some(value) = self.attributes.remove(attribute).and_then(|a| a.f) else {
            return;
        };
        let dtype = self.fact().dtype.filter(|t| t.is_float()).unwrap_or(DataType::Float);
        if let Some(value) = Tensor::from_f64(dtype, &[], &[f64::from(value)]) {
            let name = self.constant(attribute, &value);
            self.set_input(index, name);
        }
    }
}

fn simple(op: &str, input: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        input: input.iter().map(|&n| n.to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..NodeProto::default()
    }
}

/// 8 had a batch axis of its own.
fn scan(_: &mut Site) -> Result<(), String> {
    Err("its batch axis went with operator set 9".into())
}

/// 7: `spatial` = 0 kept statistics per element rather than per channel.
fn batch_norm(site: &mut Site) -> Result<(), String> {
    match site.attributes.remove("spatial").and_then(|a| a.i) {
        Some(0) => Err("it normalises each element by itself (spatial = 0)".into()),
        _ => Ok(()),
    }
}

fn slice(site: &mut Site) -> Result<(), String> {
    for (index, name) in ["starts", "ends", "axes"].into_iter().enumerate() {
        site.list_to_input(name, index + 1);
    }
    Ok(())
}

fn top_k(site: &mut Site) -> Result<(), String> {
    let k = site.attributes.remove("k").and_then(|a| a.i).ok_or("its k is not given")?;
    let name = site.constant("k", &Tensor::vec_i64(&[k]));
    site.set_input(1, name);
    Ok(())
}

/// 7: scales as an attribute; 9: as an input. What it did is a Resize now.
fn upsample(site: &mut Site) -> Result<(), String> {
    if let Some(scales) = site.attributes.remove("scales") {
        let name = site.constant("scales", &Tensor::f32(&[scales.floats.len()], &scales.floats));
        site.set_input(1, name);
    }
    site.node.op_type = Some("Resize".into());
    resize(site)
}

/// 10: the second input is the scales, and places are scaled from the corner.
fn resize(site: &mut Site) -> Result<(), String> {
    if site.node.input.len() < 2 {
        return Err("its scales are not given".into());
    }
    site.node.input.insert(1, String::new());
    site.attributes = std::mem::take(&mut site.attributes)
        .with_string("coordinate_transformation_mode", "asymmetric")
        .with_string("nearest_mode", "floor");
    Ok(())
}

/// 6: the bounds are attributes.
fn clip(site: &mut Site) -> Result<(), String> {
    site.float_to_input("min", 1);
    site.float_to_input("max", 2);
    Ok(())
}

/// 2: pads and value are attributes.
fn pad(site: &mut Site) -> Result<(), String> {
    site.list_to_input("pads", 1);
    site.float_to_input("value", 2);
    Ok(())
}

fn scatter(site: &mut Site) -> Result<(), String> {
    site.node.op_type = Some("ScatterElements".into());
    Ok(())
}

/// The ratio is an input, and means nothing at inference.
fn dropout(site: &mut Site) -> Result<(), String> {
    if let Some(ratio) = site.attributes.remove("ratio").and_then(|a| a.f) {
        let name = site.constant("ratio", &Tensor::scalar(ratio));
        site.set_input(1, name);
    }
    Ok(())
}

fn split(site: &mut Site) -> Result<(), String> {
    site.list_to_input("split", 1);
    Ok(())
}

fn axes(site: &mut Site) -> Result<(), String> {
    site.list_to_input("axes", 1);
    Ok(())
}

/// Before 13 the softmax ran over `axis` (1 where not given) and all later axes together. Where
/// these are 1 that is what it does today; otherwise the later axes are flattened around it.
fn softmax(site: &mut Site) -> Result<(), String> {
    let given = site.attributes.remove("axis").and_then(|a| a.i).unwrap_or(1);
    let fact = site.fact();
    let axis = fact.rank.map(|r| if given < 0 { given + r as i64 } else { given });
    let reaches = |end: Option<usize>, a: i64| end.is_some_and(|e| a >= e as i64 - 1);
    // The last axis, or one after which every dimension is 1.
    let alone = axis.is_some_and(|a| reaches(fact.rank, a) || reaches(fact.ones_from, a));
    let attributes = std::mem::take(&mut site.attributes);
    if let Some(axis) = axis.filter(|&a| a >= 0 && alone) {
        site.attributes = attributes.with_int("axis", axis);
        return Ok(());
    }
    let (Some(input), Some(output)) = (site.node.input.first(), site.node.output.first()) else {
        return Err("it has no input or no output".into());
    };
    let (input, output) = (input.clone(), output.clone());
    let shape = site.names.fresh("shape");
    let flat = site.names.fresh("flat");
    let result = site.names.fresh("softmax");
    let at = Attributes::new().with_int("axis", given).0;
    site.before.push(simple("Shape", &[&input], &shape, Vec::new()));
    site.before.push(simple("Flatten", &[&input], &flat, at));
    site.node.input = vec![flat];
    site.node.output = vec![result.clone()];
    site.attributes = attributes.with_int("axis", 1);
    site.after.push(simple("Reshape", &[&result, &shape], &output, Vec::new()));
    Ok(())
}
