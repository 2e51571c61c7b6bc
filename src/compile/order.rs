//! Runs first what frees memory or what others wait for.
//!
//! Recorded order has every gradient alive until the optimizer comes last. Here an update of a variable runs as soon as its gradient is there
//! and everything recorded before it has read the variable: the gradient's memory is free again, and the update can be in place. Updates wait
//! for scalars (a step size), so small nodes go first too. Order changes no number.

use super::{Graph, Node};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Values of up to so many elements cost nothing to make early.
const SMALL: usize = 64;

pub(crate) fn run(graph: &mut Graph) {
    let count = graph.nodes.len();
    let mut producer = vec![usize::MAX; graph.values.len()];
    let mut overwritable = vec![false; graph.values.len()];
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.values.len()];
    for input in &graph.inputs {
        overwritable[input.value] = input.overwritable;
    }
    let mut waits_for: Vec<usize> = vec![0; count];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut urgent = vec![false; count];
    for (at, node) in graph.nodes.iter().enumerate() {
        let mut before: Vec<usize> = node.inputs.iter().map(|&x| producer[x]).filter(|&p| p != usize::MAX).collect();
        let updates = updated_inputs(graph, node, &overwritable);
        before.extend(updates.iter().flat_map(|&x| readers[x].iter().copied()));
        before.sort_unstable();
        before.dedup();
        waits_for[at] = before.len();
        before.into_iter().for_each(|b| followers[b].push(at));
        urgent[at] = !updates.is_empty() || node.outputs.iter().all(|&y| graph.values[y].shape.elements() <= SMALL);
        node.inputs.iter().for_each(|&x| readers[x].push(at));
        node.outputs.iter().for_each(|&y| producer[y] = at);
    }
    let mut ready: BinaryHeap<Reverse<(bool, usize)>> =
        (0..count).filter(|&at| waits_for[at] == 0).map(|at| Reverse((!urgent[at], at))).collect();
    let mut nodes: Vec<Option<Node>> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
    while let Some(Reverse((_, at))) = ready.pop() {
        graph.nodes.push(nodes[at].take().expect("a node becomes ready once"));
        for &follower in &followers[at] {
            waits_for[follower] -= 1;
            if waits_for[follower] == 0 {
                ready.push(Reverse((!urgent[follower], follower)));
            }
        }
    }
    assert_eq!(graph.nodes.len(), count, "every node waits for earlier nodes only");
}

/// The graph's inputs that this node could write over.
fn updated_inputs(graph: &Graph, node: &Node, overwritable: &[bool]) -> Vec<usize> {
    let specs: Vec<_> = node.inputs.iter().map(|&x| graph.values[x].clone()).collect();
    (0..node.outputs.len()).flat_map(|j| node.op.may_overwrite(&specs, j)).map(|i| node.inputs[i]).filter(|&x| overwritable[x]).collect()
}
