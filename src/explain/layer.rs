//! Which layer the map is drawn from.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::error::ExplainError;
use super::gradient::Path;
use super::graph_walk::{is_float, is_pass_through, is_pool, node_name, producer};
use super::head::Head;
use super::score::Score;
use crate::onnx::{Graph, Node, NodeId, ValueId};

/// Where the channels of a picture-like tensor are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Layout {
    /// `[N, C, H, W]`
    Nchw,
    /// `[N, H, W, C]`
    Nhwc,
}

impl Layout {
    /// The axes of height and width.
    pub(super) fn space(self) -> [usize; 2] {
        match self {
            Self::Nchw => [2, 3],
            Self::Nhwc => [1, 2],
        }
    }

    /// The axis of the channels.
    pub(super) fn channels(self) -> usize {
        match self {
            Self::Nchw => 1,
            Self::Nhwc => 3,
        }
    }
}

/// A layer that can carry a map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// The name of its value; what `--layer` takes.
    pub name: String,
    /// The name of the node that makes it.
    pub node: String,
    /// That node's operator.
    pub op: String,
    /// Where its channels are.
    pub layout: Layout,
    /// How many channels it has.
    pub channels: usize,
    /// Its height: the map's.
    pub height: usize,
    /// Its width: the map's.
    pub width: usize,
}

/// A chosen layer.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) value: ValueId,
    pub(super) layer: Layer,
    /// Why this one, in words.
    pub(super) reason: String,
}

/// Describes a value as a layer, if it has the form of one.
pub(super) fn describe(graph: &Graph, value: ValueId, layout: Layout) -> Option<Layer> {
    let dims = graph.shape(value).filter(|dims| dims.len() == 4)?;
    let (_, node) = producer(graph, value)?;
    let [height, width] = layout.space().map(|axis| dims[axis]);
    Some(Layer {
        name: graph.value(value).name.clone(),
        node: node_name(graph, node),
        op: node.op_type.clone(),
        layout,
        channels: dims[layout.channels()],
        height,
        width,
    })
}

/// Which values are pictures: rank 4, two of the axes still the picture's height and width.
///
/// Attention matrices have rank 4 as well; so the layout is followed forward from the input instead
/// of being read off the shape.
pub(super) fn layouts(graph: &Graph, input: ValueId, input_layout: Layout) -> HashMap<ValueId, Layout> {
    let mut known = HashMap::from([(input, input_layout)]);
    for (_, node) in graph.nodes() {
        let first = node.inputs.iter().flatten().find_map(|input| known.get(input).map(|&layout| (*input, layout)));
        for &output in node.outputs.iter().flatten() {
            if graph.shape(output).is_none_or(|dims| dims.len() != 4) || graph.is_constant(output) {
                continue;
            }
            if let Some(layout) = layout_after(graph, node, output, first) {
                known.insert(output, layout);
            }
        }
    }
    known
}

fn layout_after(graph: &Graph, node: &Node, output: ValueId, first: Option<(ValueId, Layout)>) -> Option<Layout> {
    match node.op_type.as_str() {
        "Conv"
        | "ConvTranspose"
        | "MaxPool"
        | "AveragePool"
        | "LpPool"
        | "LRN"
        | "BatchNormalization"
        | "InstanceNormalization"
        | "GroupNormalization"
        | "DepthToSpace"
        | "SpaceToDepth"
        | "QLinearConv"
        | "ConvInteger" => Some(Layout::Nchw),
        "Transpose" => match (first?.1, node.attributes.ints("perm")?) {
            (Layout::Nchw, [0, 2, 3, 1]) => Some(Layout::Nhwc),
            (Layout::Nhwc, [0, 3, 1, 2]) => Some(Layout::Nchw),
            (layout, [0, 1, 2, 3]) => Some(layout),
            _ => None,
        },
        // A change of shape loses the track; a later convolution or addition finds it again.
        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Gather" | "Softmax" | "Einsum" => {
            let (input, layout) = first?;
            (graph.shape(input) == graph.shape(output)).then_some(layout)
        }
        "MatMul" => {
            let weight = node.input(1)?;
            (graph.is_constant(weight)).then_some(first?.1).filter(|&layout| layout == Layout::Nhwc)
        }
        _ => Some(first?.1),
    }
}

/// The layers between the picture and the score, nearest to the score first.
pub(super) fn candidates(graph: &Graph, path: &Path, layouts: &HashMap<ValueId, Layout>) -> Vec<(ValueId, Layer)> {
    let mut found = Vec::new();
    for &id in path.nodes.iter().rev() {
        for &output in graph.node(id).outputs.iter().flatten() {
            let Some(&layout) = layouts.get(&output).filter(|_| path.values.contains(&output)) else {
                continue;
            };
            let Some(layer) = describe(graph, output, layout) else {
                continue;
            };
            if is_float(graph, output) && layer.height > 1 && layer.width > 1 {
                found.push((output, layer));
            }
        }
    }
    found
}

/// Chooses the layer: the last features that still have height and width.
///
/// Starts at the features that enter the classifier (so the 1×1 convolution that *is* the
/// classifier of SqueezeNet and its kin is not taken), goes back through pooling and everything that
/// only passes values on, and takes the first value that some operator really made. In a quantised
/// model that is the dequantised activation.
pub(super) fn choose(
    graph: &Graph,
    score: &Score,
    head: Option<&Head>,
    path: &Path,
    layouts: &HashMap<ValueId, Layout>,
) -> Result<Target, ExplainError> {
    let start = head.map_or(score.origin, |head| head.features);
    let ancestors = ancestors(graph, start);
    let candidates = candidates(graph, path, layouts);
    let before_head = candidates.iter().filter(|(value, _)| {
        graph.producer(*value).is_some_and(|id| ancestors.contains(&id))
            && head.is_none_or(|head| !head.contains(graph, *value))
    });
    let taken = before_head.into_iter().find(|(value, layer)| {
        let passes = is_pass_through(&layer.op) && layer.op != "DequantizeLinear";
        let requantised = graph.consumers(*value).iter().all(|&reader| graph.node(reader).op_type == "QuantizeLinear");
        let last = graph.consumers(*value).is_empty();
        !passes && !is_pool(&layer.op) && (last || !requantised)
    });
    let Some((value, layer)) = taken else {
        return Err(ExplainError::NoLayer(nothing_spatial(graph, path, layouts)));
    };
    if let Some(tokens) = attention_after(graph, *value, score.origin) {
        return Err(ExplainError::NoLayer(format!(
            "it is a transformer: after `{}` ({}×{}) the picture is folded into tokens (attention at `{tokens}`), and maps from tokens are not supported",
            layer.name, layer.height, layer.width
        )));
    }
    Ok(Target { value: *value, layer: layer.clone(), reason: reason(graph, score, head, layer) })
}

fn reason(graph: &Graph, score: &Score, head: Option<&Head>, layer: &Layer) -> String {
    let classifier = head.map(|head| graph.node(head.classifier()));
    match classifier {
        Some(node) if node.op_type == "Conv" && head.is_some_and(|head| is_spatial(graph, head.features)) => {
            format!(
                "the features that enter the classifier, the 1×1 convolution `{}` whose {} channels are the classes",
                node_name(graph, node),
                score.classes
            )
        }
        _ => {
            format!("the last features with height and width before the classifier ({}×{})", layer.height, layer.width)
        }
    }
}

fn is_spatial(graph: &Graph, value: ValueId) -> bool {
    graph.shape(value).is_some_and(|dims| dims.len() == 4 && dims[2] > 1 && dims[3] > 1)
}

fn nothing_spatial(graph: &Graph, path: &Path, layouts: &HashMap<ValueId, Layout>) -> String {
    let rank_three = path
        .nodes
        .iter()
        .rev()
        .flat_map(|&id| graph.node(id).outputs.iter().flatten())
        .find(|&&value| graph.shape(value).is_some_and(|dims| dims.len() == 3) && !layouts.contains_key(&value));
    match rank_three {
        Some(&value) => format!(
            "between picture and score there are only tokens (e.g. `{}` {:?}), and maps from tokens are not supported",
            graph.value(value).name,
            graph.shape(value).unwrap_or_default()
        ),
        None => "nothing between picture and score has four dimensions with height and width above 1".into(),
    }
}

/// The nodes that `value` depends on.
fn ancestors(graph: &Graph, value: ValueId) -> BTreeSet<NodeId> {
    let (mut found, mut open) = (BTreeSet::new(), vec![value]);
    while let Some(value) = open.pop() {
        if let Some(id) = graph.producer(value).filter(|&id| !found.contains(&id)) {
            found.insert(id);
            open.extend(graph.node(id).reads());
        }
    }
    found
}

/// A product of two things that both depend on `layer`, on the way to the score: attention.
fn attention_after(graph: &Graph, layer: ValueId, score: ValueId) -> Option<String> {
    let path = Path::between(graph, &[layer], score);
    path.nodes.iter().find_map(|&id| {
        let node = graph.node(id);
        let both = [0, 1].iter().all(|&i| node.input(i).is_some_and(|input| path.values.contains(&input)));
        (matches!(node.op_type.as_str(), "MatMul" | "Einsum") && both || node.op_type == "Attention")
            .then(|| node_name(graph, node))
    })
}

/// What `--layer` names: a value, or the first output of a node.
///
/// Where the activation is quantised straight away, the dequantised one is meant: that is what the
/// rest of the model sees.
pub(super) fn named(graph: &Graph, name: &str) -> Option<(ValueId, Option<String>)> {
    let node = || graph.find_node(name).and_then(|id| graph.node(id).output(0));
    let value = graph.find(name).filter(|&value| graph.producer(value).is_some()).or_else(node)?;
    match dequantised(graph, value) {
        Some(seen) => {
            let note = format!("`{name}` is quantised; its dequantised form `{}` is explained", graph.value(seen).name);
            Some((seen, Some(note)))
        }
        None => Some((value, None)),
    }
}

/// The only thing made of `value`, where that is its quantised and dequantised self.
fn dequantised(graph: &Graph, value: ValueId) -> Option<ValueId> {
    let follow = |value: ValueId, op: &str| -> Option<ValueId> {
        let [reader] = graph.consumers(value)[..] else {
            return None;
        };
        let node = graph.node(reader);
        (node.op_type == op).then(|| node.output(0))?
    };
    if !is_float(graph, value) {
        return follow(value, "DequantizeLinear");
    }
    let quantised = follow(value, "QuantizeLinear")?;
    let readers = graph.consumers(quantised);
    let first = readers.first().map(|&reader| graph.node(reader))?;
    (first.op_type == "DequantizeLinear").then(|| first.output(0))?
}

/// Whether the value that was named can carry a map.
pub(super) fn fit(
    graph: &Graph,
    value: ValueId,
    path: &Path,
    layouts: &HashMap<ValueId, Layout>,
) -> Result<(Layer, Option<String>), String> {
    let dims = graph.shape(value).ok_or("its shape is not known beforehand")?;
    if dims.len() != 4 {
        return Err(format!("its shape {dims:?} has no height and width"));
    }
    if !is_float(graph, value) {
        return Err("it holds no real numbers".into());
    }
    if !path.values.contains(&value) {
        return Err("the score does not depend on the picture through it".into());
    }
    let known = layouts.get(&value).copied();
    let note = known.is_none().then(|| "the layer's shape was read as [N,C,H,W]".to_owned());
    let layer = describe(graph, value, known.unwrap_or(Layout::Nchw)).ok_or("nothing makes it")?;
    if layer.height * layer.width <= 1 {
        return Err(format!("its height and width are {}×{}", layer.height, layer.width));
    }
    Ok((layer, note))
}
