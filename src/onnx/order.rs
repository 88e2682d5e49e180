//! A stable topological order: every node after what it reads, otherwise in the order they stand.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::graph::{Node, ValueId};

/// Orders `nodes`, answering their indices, or the index of one that depends on itself.
/// `values` is one more than the highest value index.
pub(super) fn topological(nodes: &[Node], values: usize) -> Result<Vec<usize>, usize> {
    let mut maker: Vec<Option<usize>> = vec![None; values];
    for (index, node) in nodes.iter().enumerate() {
        for output in node.outputs.iter().flatten() {
            maker[output.index()] = Some(index);
        }
    }
    let makers = |node: &Node| -> Vec<usize> { node.reads().filter_map(|v: ValueId| maker[v.index()]).collect() };
    let mut waits: Vec<usize> = vec![0; nodes.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        for made_by in makers(node) {
            readers[made_by].push(index);
            waits[index] += 1;
        }
    }
    let mut ready: BinaryHeap<Reverse<usize>> = (0..nodes.len()).filter(|&i| waits[i] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(index)) = ready.pop() {
        order.push(index);
        for &reader in &readers[index] {
            waits[reader] -= 1;
            if waits[reader] == 0 {
                ready.push(Reverse(reader));
            }
        }
    }
    match waits.iter().position(|&w| w > 0) {
        Some(stuck) => Err(stuck),
        None => Ok(order),
    }
}
