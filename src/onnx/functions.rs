//! Unfolding the functions that a model defines itself.

use std::collections::{HashMap, HashSet};

use super::GraphError;
use super::names;
use super::schema::{AttributeProto, FunctionProto, GraphProto, NodeProto, ValueInfoProto};

/// Functions that call functions, at most so deep.
const DEPTH: usize = 32;

/// What a call is looked up by: domain, name, overload.
type Key<'a> = (&'a str, &'a str, &'a str);

/// Replaces every call of a function by its nodes, in the graph and in the bodies inside it.
pub(super) fn unfold(graph: &mut GraphProto, functions: &[FunctionProto], limit: usize) -> Result<(), GraphError> {
    if functions.is_empty() {
        return Ok(());
    }
    let known: HashMap<Key, &FunctionProto> =
        functions.iter().map(|f| ((standard(f.domain()), f.name(), f.overload()), f)).collect();
    let mut taken = HashSet::new();
    names::graph_names(graph, &mut taken);
    let taken = taken.into_iter().map(str::to_owned).collect();
    let mut unfolding = Unfolding { known, taken, calls: 0, nodes: 0, limit, infos: Vec::new() };
    unfolding.graph(graph, 0)?;
    graph.value_info.append(&mut unfolding.infos);
    Ok(())
}

fn standard(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

struct Unfolding<'a> {
    known: HashMap<Key<'a>, &'a FunctionProto>,
    taken: HashSet<String>,
    /// Counts up to tell calls of one name apart.
    calls: usize,
    nodes: usize,
    limit: usize,
    /// What functions declare about their values, under the names these have now.
    infos: Vec<ValueInfoProto>,
}

impl Unfolding<'_> {
    fn graph(&mut self, graph: &mut GraphProto, depth: usize) -> Result<(), GraphError> {
        graph.node = self.list(std::mem::take(&mut graph.node), depth)?;
        Ok(())
    }

    fn list(&mut self, nodes: Vec<NodeProto>, depth: usize) -> Result<Vec<NodeProto>, GraphError> {
        let mut out = Vec::with_capacity(nodes.len());
        for mut node in nodes {
            self.nodes += 1;
            if self.nodes > self.limit {
                return Err(GraphError::Functions(format!("they make more than {} nodes", self.limit)));
            }
            for body in names::bodies_mut(&mut node) {
                self.graph(body, depth)?;
            }
            let key = (standard(node.domain()), node.op_type(), node.overload());
            match self.known.get(&key).copied() {
                None => out.push(node),
                Some(function) if depth >= DEPTH => {
                    return Err(GraphError::Functions(format!(
                        "{:?} calls itself or others more than {DEPTH} deep",
                        function.name()
                    )));
                }
                Some(function) => {
                    let nodes = self.call(&node, function);
                    out.append(&mut self.list(nodes, depth + 1)?);
                }
            }
        }
        Ok(out)
    }

    /// The nodes of one call, with the names and attributes of the caller.
    fn call(&mut self, caller: &NodeProto, function: &FunctionProto) -> Vec<NodeProto> {
        let mut nodes = function.node.clone();
        let arguments = |formal: &[String], given: &[String]| -> HashMap<String, String> {
            let given = given.iter().cloned().chain(std::iter::repeat(String::new()));
            formal.iter().cloned().zip(given).collect()
        };
        let mut map = arguments(&function.input, &caller.input);
        // An output may be an input passed through; then it is copied below, not renamed.
        let made: HashSet<&str> = function.node.iter().flat_map(|n| n.output.iter().map(String::as_str)).collect();
        let mut copies = Vec::new();
        for (formal, given) in arguments(&function.output, &caller.output) {
            if given.is_empty() {
                continue;
            }
            if made.contains(formal.as_str()) {
                map.insert(formal, given);
            } else if let Some(source) = map.get(&formal) {
                copies.push((source.clone(), given));
            }
        }
        let mut inner: HashSet<&str> = made;
        for node in &function.node {
            names::inner_names(node, &mut inner);
        }
        let call = match caller.name() {
            "" => function.name(),
            name => name,
        };
        for name in inner {
            if name.is_empty() || map.contains_key(name) {
                continue;
            }
            let mut fresh = format!("{call}/{name}");
            while !self.taken.insert(fresh.clone()) {
                fresh = format!("{call}/{}/{name}", self.calls);
                self.calls += 1;
            }
            map.insert(name.to_owned(), fresh);
        }
        for info in &function.value_info {
            if let Some(name) = map.get(info.name()).filter(|n| !n.is_empty()) {
                self.infos.push(ValueInfoProto { name: Some(name.clone()), ..info.clone() });
            }
        }
        names::rename_nodes(&mut nodes, &map);
        bind(&mut nodes, caller, function);
        for node in &mut nodes {
            if !node.name().is_empty() {
                node.name = Some(format!("{call}/{}", node.name()));
            }
        }
        nodes.extend(copies.into_iter().map(|(source, given)| NodeProto {
            op_type: Some("Identity".into()),
            input: vec![source],
            output: vec![given],
            ..NodeProto::default()
        }));
        nodes
    }
}

/// Puts the caller's attributes, or the function's defaults, where nodes refer to them. One that is
/// given by neither is left out.
fn bind(nodes: &mut [NodeProto], caller: &NodeProto, function: &FunctionProto) {
    let find = |list: &[AttributeProto], name: &str| -> Option<AttributeProto> {
        list.iter().find(|a| a.name() == name).cloned()
    };
    for node in nodes {
        let attributes = std::mem::take(&mut node.attribute);
        node.attribute = attributes
            .into_iter()
            .filter_map(|attribute| {
                let wanted = attribute.ref_attr_name();
                if wanted.is_empty() {
                    return Some(attribute);
                }
                let mut given = find(&caller.attribute, wanted).or_else(|| find(&function.attribute_proto, wanted))?;
                given.name = attribute.name;
                Some(given)
            })
            .collect();
        for body in names::bodies_mut(node) {
            bind(&mut body.node, caller, function);
        }
    }
}
