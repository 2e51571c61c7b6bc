//! The order of a functional model's layers. It is Keras's, so that weights lie as in Keras's `get_weights`, and tables are Keras's.

use super::symbol::{Node, Symbol, same};
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The uses of layers that lead from the inputs to the outputs, each after those that it needs: the furthest from the outputs first, counted
/// in uses along the longest way; of equally far ones, first the layer that is met first on the way back from the outputs. What made an input
/// is not among them.
pub(super) fn needed(inputs: &[Symbol], outputs: &[Symbol]) -> Vec<Arc<Node>> {
    let (mut nodes, met) = walk(inputs, outputs);
    let (mut depths, mut of_layers) = (HashMap::<u64, usize>::new(), HashMap::<usize, usize>::new());
    for node in nodes.iter().rev() {
        // What uses the node was here before. A layer that is used again, deeper down, is as deep in its other uses.
        let of_layer = of_layers.entry(node.base.id()).or_default();
        let depth = depths.get(&node.serial).map_or(*of_layer, |depth| (*depth).max(*of_layer));
        *of_layer = depth;
        depths.insert(node.serial, depth);
        for input in node.inputs.iter().filter(|x| is_made(x, inputs)) {
            let above = depths.entry(input.node.serial).or_default();
            *above = (*above).max(depth + 1);
        }
    }
    nodes.sort_by_key(|node| (Reverse(depths[&node.serial]), met[&node.base.id()]));
    nodes
}

/// Whether a tensor is an output that has to be computed, and no input.
fn is_made(x: &Symbol, inputs: &[Symbol]) -> bool {
    !inputs.iter().any(|input| same(input, x))
}

/// The nodes, each after those that it needs; and when each layer was met on the way back from the outputs.
fn walk(inputs: &[Symbol], outputs: &[Symbol]) -> (Vec<Arc<Node>>, HashMap<usize, usize>) {
    let (mut done, mut met, mut seen) = (Vec::new(), HashMap::new(), HashSet::new());
    for output in outputs {
        // A stack of our own: models may be deeper than a thread's.
        let mut open: Vec<(Arc<Node>, usize)> = Vec::new();
        let mut next = Some(output.clone());
        loop {
            if let Some(x) = next.take().filter(|x| is_made(x, inputs) && seen.insert(x.node.serial)) {
                let count = met.len();
                met.entry(x.node.base.id()).or_insert(count);
                open.push((x.node, 0));
            }
            let Some((node, place)) = open.last_mut() else { break };
            next = node.inputs.get(*place).cloned();
            *place += 1;
            if next.is_none() {
                done.extend(open.pop().map(|(node, _)| node));
            }
        }
    }
    (done, met)
}

#[cfg(test)]
mod tests {
    use crate::error::Result;
    use crate::layers::Layer;
    use crate::layers::{Add, Dense};
    use crate::models::{Input, Model};

    fn names(model: &Model) -> Vec<String> {
        model.layers().iter().map(|layer| layer.name()).collect()
    }

    /// What Keras 3.15 says of the same models.
    #[test]
    fn layers_lie_as_in_keras() -> Result<()> {
        let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| Dense::new(4).named(name));
        let (x, z) = (Input::new([4]), Input::new([4]));
        let h = c.on(b.on(&x)?)?;
        let t = a.on(Add::new().named("s").on([&a.on(&x)?, &h])?)?;
        let u = d.on(&z)?;
        let model = Model::new([x, z], [e.on(&u)?, Add::new().named("t").on([&u, &t])?])?;
        assert_eq!(names(&model), ["b", "a", "c", "s", "d", "e", "t"]);
        Ok(())
    }

    /// A part of a model has not the layer that makes its input.
    #[test]
    fn what_lies_before_an_input_is_outside() -> Result<()> {
        let [b, c, d] = ["b", "c", "d"].map(|name| Dense::new(4).named(name));
        let first = b.on(Input::new([4]))?;
        let model = Model::new(&first, d.on(c.on(&first)?)?)?;
        assert_eq!(names(&model), ["c", "d"]);
        Ok(())
    }
}
