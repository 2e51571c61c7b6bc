//! The layer that a functional model is: uses of layers, each on the outputs of others.

use super::order;
use super::symbol::{IntoSymbols, Node, Symbol, same};
use crate::error::{Error, Result};
use crate::layers::{Base, Call, Layer};
use crate::tensor::Tensor;
use std::collections::HashMap;
use std::sync::Arc;

/// Layers from the inputs to the outputs.
#[derive(Clone)]
pub(crate) struct Graph {
    base: Base,
    inputs: Vec<Symbol>,
    outputs: Vec<Symbol>,
    /// What the outputs need, in an order in which it can be computed: Keras's.
    nodes: Arc<Vec<Arc<Node>>>,
}

impl Graph {
    pub fn new(inputs: impl IntoSymbols, outputs: impl IntoSymbols) -> Result<Graph> {
        let (inputs, outputs) = (inputs.into_symbols(), outputs.into_symbols());
        if inputs.is_empty() || outputs.is_empty() {
            let got = format!("{} inputs and {} outputs", inputs.len(), outputs.len());
            return Err(Error::argument("Model::new", "at least one input and one output", got));
        }
        let nodes = order::needed(&inputs, &outputs);
        for node in &nodes {
            if node.layer.is_none() && !inputs.iter().any(|x| Arc::ptr_eq(&x.node, node)) {
                let which = if node.base.name().is_empty() { "an input".to_string() } else { format!("the input {:?}", node.base.name()) };
                let got = format!("outputs that also need {which} of shape {}", node.outputs[0].shape);
                return Err(Error::argument("Model::new: inputs", "every input that the outputs are made from", got));
            }
        }
        if let Some(i) = (0..inputs.len()).find(|&i| inputs[..i].iter().any(|x| same(x, &inputs[i]))) {
            return Err(Error::argument("Model::new: inputs", "each input once", format!("input {i} twice")));
        }
        Ok(Graph { base: Base::new("Functional"), inputs, outputs, nodes: Arc::new(nodes) })
    }

    pub fn inputs(&self) -> &[Symbol] {
        &self.inputs
    }

    pub fn outputs(&self) -> &[Symbol] {
        &self.outputs
    }

    /// The layers in the order of their first uses: names are numbered by it.
    pub fn layers_as_made(&self) -> Vec<&dyn Layer> {
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_by_key(|node| node.serial);
        nodes.into_iter().filter_map(|node| node.layer.as_deref()).collect()
    }

    /// The outputs of a layer, in each place where it is used.
    pub fn uses_of(&self, layer: usize) -> Vec<Symbol> {
        let nodes = self.nodes.iter().filter(|node| node.base.id() == layer);
        nodes.flat_map(|node| (0..node.outputs.len()).map(|index| Symbol { node: node.clone(), index })).collect()
    }
}

impl Layer for Graph {
    fn base(&self) -> &Base {
        &self.base
    }

    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        if xs.len() != self.inputs.len() {
            return Err(Error::argument(format!("{}: inputs", self.base.title()), self.inputs.len().to_string(), xs.len()));
        }
        let mut values: HashMap<(u64, usize), Tensor> = HashMap::new();
        for (symbol, x) in self.inputs.iter().zip(xs) {
            values.insert((symbol.node.serial, symbol.index), x.clone());
        }
        let of = |values: &HashMap<_, Tensor>, x: &Symbol| values.get(&(x.node.serial, x.index)).cloned();
        for node in self.nodes.iter() {
            let Some(layer) = &node.layer else { continue };
            // A layer's output that was given as an input is not computed again.
            if (0..node.outputs.len()).all(|index| values.contains_key(&(node.serial, index))) {
                continue;
            }
            let inputs: Vec<Tensor> = node.inputs.iter().map(|x| of(&values, x).expect("nodes come after their inputs")).collect();
            let outputs = layer.apply_all(&inputs.iter().collect::<Vec<_>>(), cx)?;
            for (index, y) in outputs.into_iter().enumerate() {
                values.entry((node.serial, index)).or_insert(y);
            }
        }
        Ok(self.outputs.iter().map(|y| of(&values, y).expect("the nodes lead to the outputs")).collect())
    }

    fn sublayers(&self) -> Vec<&dyn Layer> {
        let mut seen: Vec<usize> = Vec::new();
        let layers = self.nodes.iter().filter_map(|node| node.layer.as_deref());
        // A layer that is used twice is one layer.
        layers
            .filter(|layer| {
                !seen.contains(&layer.base().id()) && {
                    seen.push(layer.base().id());
                    true
                }
            })
            .collect()
    }

    fn autocast(&self) -> bool {
        false
    }
}
