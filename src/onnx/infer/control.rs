//! Control flow: an `If` whose condition is known is replaced by the branch it takes.

use std::collections::{HashMap, HashSet};

use super::super::graph::{Graph, Node, ValueId};
use super::super::import;
use super::super::names;
use super::super::schema::NodeProto;
use super::super::{Attributes, GraphError};
use super::{Call, Facts, Table};

pub(super) const RULES: Table = &[("If", unknown), ("Loop", unknown), ("Scan", unknown)];

/// What a body answers is left to the file's own declarations.
fn unknown(_: &Call) -> Facts {
    Ok(Vec::new())
}

/// Replaces every `If` whose condition is known. Answers whether there was one.
pub(super) fn replace_known_ifs(graph: &mut Graph) -> Result<bool, GraphError> {
    let known: Vec<(usize, bool)> = graph
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, n)| n.op_type == "If" && n.domain.is_empty())
        .filter_map(|(i, n)| {
            let condition = graph.constant(n.input(0)?)?.to_i64()?;
            Some((i, *condition.first()? != 0))
        })
        .collect();
    if known.is_empty() {
        return Ok(false);
    }
    let before = graph.nodes.clone();
    let result = splice(graph, known).and_then(|()| graph.sort());
    if result.is_err() {
        graph.nodes = before;
        graph.renumber();
    }
    result.map(|()| true)
}

/// Puts the nodes of the branch in the place of each `If`, so that the order stays topological.
fn splice(graph: &mut Graph, known: Vec<(usize, bool)>) -> Result<(), GraphError> {
    let old = std::mem::take(&mut graph.nodes);
    let mut known = known.into_iter().peekable();
    let mut nodes = Vec::with_capacity(old.len());
    for (index, node) in old.into_iter().enumerate() {
        match known.next_if(|(i, _)| *i == index) {
            Some((_, condition)) => {
                branch(graph, &node, condition)?;
                nodes.append(&mut graph.nodes);
            }
            None => nodes.push(node),
        }
    }
    graph.nodes = nodes;
    Ok(())
}

/// Appends the nodes of the branch that `condition` takes; its outputs are those of the `If`.
fn branch(graph: &mut Graph, node: &Node, condition: bool) -> Result<(), GraphError> {
    let name = if condition { "then_branch" } else { "else_branch" };
    let Some(mut body) = node.attributes.get(name).and_then(|a| a.g.as_deref()).cloned() else {
        return Err(GraphError::Shape {
            node: node.label(graph),
            op_type: node.op_type.clone(),
            why: format!("it has no {name}"),
        });
    };
    // A branch may use names that its sibling, or what was replaced before, uses as well.
    let mut own = HashSet::new();
    names::graph_names(&body, &mut own);
    let own: Vec<String> = own.into_iter().map(str::to_owned).collect();
    let mut fresh = HashMap::new();
    for name in own {
        let new = if graph.find(&name).is_some() { graph.fresh_name(&name) } else { name.clone() };
        fresh.insert(name, new);
    }
    names::rename_graph(&mut body, &fresh);

    for tensor in &body.initializer {
        import::constant(graph, tensor.name(), tensor)?;
    }
    let made: HashSet<&str> = body.node.iter().flat_map(|n| n.output.iter().map(String::as_str)).collect();
    let mut bound: HashMap<String, ValueId> = HashMap::new();
    let mut passed = Vec::new();
    for (slot, output) in body.output.iter().enumerate() {
        let Some(value) = node.output(slot) else {
            continue;
        };
        if made.contains(output.name()) && !bound.contains_key(output.name()) {
            bound.insert(output.name().to_owned(), value);
        } else {
            // An initialiser, a captured value, or one value answered twice.
            passed.push((output.name().to_owned(), value));
        }
    }
    let mut protos: Vec<NodeProto> = body.node.clone();
    // Inside the branch the outputs are read under the names they have outside.
    let outside: HashMap<String, String> =
        bound.iter().map(|(n, &v)| (n.clone(), graph.value(v).name.clone())).collect();
    names::rename_nodes(&mut protos, &outside);
    let bound: HashMap<String, ValueId> = bound.into_values().map(|v| (graph.value(v).name.clone(), v)).collect();
    graph.add_protos(&protos, &bound)?;
    for (name, value) in passed {
        let name = outside.get(&name).unwrap_or(&name);
        let source =
            graph.find(name).ok_or_else(|| GraphError::Undefined { node: node.label(graph), value: name.clone() })?;
        graph.push_node(Node {
            name: graph.value(value).name.clone(),
            op_type: "Identity".into(),
            inputs: vec![Some(source)],
            outputs: vec![Some(value)],
            attributes: Attributes::new(),
            ..Node::default()
        });
    }
    Ok(())
}
