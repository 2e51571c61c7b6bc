//! Drops nodes whose outputs nobody reads.

use super::Graph;

pub(crate) fn run(graph: &mut Graph) {
    let mut needed = vec![false; graph.values.len()];
    for &output in &graph.outputs {
        needed[output] = true;
    }
    let mut keep = vec![false; graph.nodes.len()];
    for (node, keep) in graph.nodes.iter().zip(&mut keep).rev() {
        *keep = node.outputs.iter().any(|&y| needed[y]);
        if *keep {
            node.inputs.iter().for_each(|&x| needed[x] = true);
        }
    }
    let mut keep = keep.into_iter();
    graph.nodes.retain(|_| keep.next().expect("one flag per node"));
}
