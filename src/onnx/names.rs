//! Names inside the bodies of `If`, `Loop` and `Scan`.
//!
//! A body reads outer values by name without listing them among the node's inputs. These functions
//! find such captures and rewrite names, which is all that is ever done to a body.

use std::collections::{HashMap, HashSet};

use super::schema::{GraphProto, NodeProto};

/// Every body of a node.
pub(super) fn bodies(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|a| a.g.as_deref().into_iter().chain(&a.graphs))
}

/// Every body of a node, to be changed.
pub(super) fn bodies_mut(node: &mut NodeProto) -> impl Iterator<Item = &mut GraphProto> {
    node.attribute.iter_mut().flat_map(|a| a.g.as_deref_mut().into_iter().chain(&mut a.graphs))
}

/// The names a graph defines itself: inputs, initialisers and node outputs.
pub(super) fn own_names(graph: &GraphProto) -> impl Iterator<Item = &str> {
    let sparse = graph.sparse_initializer.iter().filter_map(|s| s.values.as_ref());
    let inputs = graph.input.iter().map(|v| v.name());
    inputs
        .chain(graph.initializer.iter().chain(sparse).map(|t| t.name()))
        .chain(graph.node.iter().flat_map(|n| n.output.iter().map(String::as_str)))
        .filter(|n| !n.is_empty())
}

/// The names defined inside the bodies of `node`, however deep.
pub(super) fn inner_names<'a>(node: &'a NodeProto, found: &mut HashSet<&'a str>) {
    for body in bodies(node) {
        graph_names(body, found);
    }
}

/// The names that a graph and the bodies in it define.
pub(super) fn graph_names<'a>(graph: &'a GraphProto, found: &mut HashSet<&'a str>) {
    found.extend(own_names(graph));
    for node in &graph.node {
        inner_names(node, found);
    }
}

/// The names a body reads from outside itself, in order of first use.
pub(super) fn captured(body: &GraphProto) -> Vec<&str> {
    fn collect<'a>(body: &'a GraphProto, seen: &mut HashSet<&'a str>, found: &mut Vec<&'a str>) {
        let own: HashSet<&str> = own_names(body).collect();
        let mut inner = Vec::new();
        for node in &body.node {
            inner.extend(node.input.iter().map(String::as_str).filter(|n| !n.is_empty()));
            for nested in bodies(node) {
                collect(nested, &mut HashSet::new(), &mut inner);
            }
        }
        inner.extend(body.output.iter().map(|o| o.name()));
        found.extend(inner.into_iter().filter(|n| !own.contains(n) && seen.insert(n)));
    }
    let mut found = Vec::new();
    collect(body, &mut HashSet::new(), &mut found);
    found
}

/// Replaces every name that `map` knows, in the nodes and in the bodies inside them.
pub(super) fn rename_nodes(nodes: &mut [NodeProto], map: &HashMap<String, String>) {
    for node in nodes {
        for name in node.input.iter_mut().chain(&mut node.output) {
            replace(name, map);
        }
        for body in bodies_mut(node) {
            rename_graph(body, map);
        }
    }
}

/// Replaces every name that `map` knows, in a body and the bodies inside it.
pub(super) fn rename_graph(graph: &mut GraphProto, map: &HashMap<String, String>) {
    let infos = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
    let sparse = graph.sparse_initializer.iter_mut().filter_map(|s| s.values.as_mut());
    let tensors = graph.initializer.iter_mut().chain(sparse);
    for name in infos.map(|i| &mut i.name).chain(tensors.map(|t| &mut t.name)).flatten() {
        replace(name, map);
    }
    rename_nodes(&mut graph.node, map);
}

/// Makes a body read outer value `to` where it read outer value `from`; a name that the body
/// defines itself hides the outer one and stays.
pub(super) fn recapture(body: &mut GraphProto, from: &str, to: &str) {
    if own_names(body).any(|n| n == from) {
        return;
    }
    for output in &mut body.output {
        if output.name() == from {
            output.name = Some(to.to_owned());
        }
    }
    for node in &mut body.node {
        for name in node.input.iter_mut().filter(|n| *n == from) {
            to.clone_into(name);
        }
        for nested in bodies_mut(node) {
            recapture(nested, from, to);
        }
    }
}

/// Gives a value that a body, or one inside it, defines itself another name.
pub(super) fn rename_inner(body: &mut GraphProto, from: &str, to: &str) {
    if own_names(body).any(|n| n == from) {
        return rename_graph(body, &HashMap::from([(from.to_owned(), to.to_owned())]));
    }
    for nested in body.node.iter_mut().flat_map(bodies_mut) {
        rename_inner(nested, from, to);
    }
}

fn replace(name: &mut String, map: &HashMap<String, String>) {
    if let Some(new) = map.get(name) {
        new.clone_into(name);
    }
}
