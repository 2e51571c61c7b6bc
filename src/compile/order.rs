//! Runs first what frees memory or what others wait for.
//!
//! Recorded order has every gradient alive until the optimizer comes last. Here an update of a variable runs as soon as its gradient is there
//! and everything that reads the old version has run: the gradient's memory is free again, and the update can be in place. Updates wait
//! for scalars (a step size), so small nodes go first too. Order changes no number.

use super::{Graph, Node};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

/// Values of up to so many elements cost nothing to make early.
const SMALL: usize = 64;

pub(crate) fn run(graph: &mut Graph) {
    let edges = Edges::of(graph);
    let mut waits_for = edges.waits_for;
    let mut ready: BinaryHeap<Reverse<(bool, usize)>> =
        (0..waits_for.len()).filter(|&at| waits_for[at] == 0).map(|at| Reverse((!edges.urgent[at], at))).collect();
    let mut nodes: Vec<Option<Node>> = std::mem::take(&mut graph.nodes).into_iter().map(Some).collect();
    while let Some(Reverse((_, at))) = ready.pop() {
        graph.nodes.push(nodes[at].take().expect("a node becomes ready once"));
        for &follower in &edges.followers[at] {
            waits_for[follower] -= 1;
            if waits_for[follower] == 0 {
                ready.push(Reverse((!edges.urgent[follower], follower)));
            }
        }
    }
    assert_eq!(graph.nodes.len(), nodes.len(), "every node waits for others, and none for itself");
}

/// Which nodes wait for which.
struct Edges {
    waits_for: Vec<usize>,
    followers: Vec<Vec<usize>>,
    urgent: Vec<bool>,
}

impl Edges {
    fn of(graph: &Graph) -> Edges {
        let mut producer = vec![None; graph.values.len()];
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); graph.values.len()];
        for (at, node) in graph.nodes.iter().enumerate() {
            node.outputs.iter().for_each(|&y| producer[y] = Some(at));
            node.inputs.iter().for_each(|&x| readers[x].push(at));
        }
        let count = graph.nodes.len();
        let mut edges = Edges { waits_for: vec![0; count], followers: vec![Vec::new(); count], urgent: vec![false; count] };
        for (at, node) in graph.nodes.iter().enumerate() {
            node.inputs.iter().filter_map(|&x| producer[x]).for_each(|before| edges.add(before, at));
        }
        let mut overwritable = vec![false; graph.values.len()];
        graph.inputs.iter().for_each(|input| overwritable[input.value] = input.overwritable);
        for (at, node) in graph.nodes.iter().enumerate() {
            let updates = updated_inputs(graph, node, &overwritable);
            edges.urgent[at] = !updates.is_empty() || node.outputs.iter().all(|&y| graph.values[y].shape.elements() <= SMALL);
            // Whoever reads the old version goes first, unless it waits for the new one.
            for reader in updates.into_iter().flat_map(|x| readers[x].iter().copied()) {
                if reader != at && !edges.leads(at, reader) {
                    edges.add(reader, at);
                }
            }
        }
        edges
    }

    fn add(&mut self, before: usize, after: usize) {
        if !self.followers[before].contains(&after) {
            self.followers[before].push(after);
            self.waits_for[after] += 1;
        }
    }

    /// Whether `to` waits for `from`, by whatever way.
    fn leads(&self, from: usize, to: usize) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if at == to {
                return true;
            }
            open.extend(self.followers[at].iter().copied().filter(|&follower| seen.insert(follower)));
        }
        false
    }
}

/// The graph's inputs that this node could write over.
fn updated_inputs(graph: &Graph, node: &Node, overwritable: &[bool]) -> Vec<usize> {
    let specs: Vec<_> = node.inputs.iter().map(|&x| graph.values[x].clone()).collect();
    (0..node.outputs.len()).flat_map(|j| node.op.may_overwrite(&specs, j)).map(|i| node.inputs[i]).filter(|&x| overwritable[x]).collect()
}
