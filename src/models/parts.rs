//! Models as parts of models, and parts of models.

use super::model::Model;
use super::naming;
use super::symbol::{Input, Symbol};
use crate::error::{Error, Result};
use crate::layers::{Layer, Layers};
use std::sync::Arc;

impl Model {
    /// The model from the same inputs to the output of one of its layers, with the same weights: to look at what a layer gives, or to take a
    /// trained part elsewhere. For functional and sequential models whose input shape is known.
    ///
    /// # Errors
    /// [`Error::Argument`] for a layer that is not there, or that gives several outputs or is used several times; [`Error::NotReady`] for a
    /// model of the user's own, or without an input shape.
    pub fn sub_model(&self, layer: &str) -> Result<Model> {
        let id = self.get_layer(layer)?.base().id();
        let (inputs, outputs) = match &self.graph {
            Some(graph) => (graph.inputs().to_vec(), graph.uses_of(id)),
            None => self.chain_to(id)?,
        };
        if outputs.len() != 1 {
            let got = format!("{} of them from {layer}", outputs.len());
            return Err(Error::argument("sub_model: outputs", "one; for several, make a `Model::new` of the symbolic tensors", got));
        }
        let mut model = Model::new(inputs, outputs)?.seed(self.seed_value());
        if let Ok(device) = self.device() {
            model = model.on_device(device);
            model.build_for(Vec::new)?;
        }
        Ok(model)
    }

    /// The input of a sequential model, and what its layers up to one make of it.
    fn chain_to(&self, id: usize) -> Result<(Vec<Symbol>, Vec<Symbol>)> {
        let unknown =
            || Error::NotReady(format!("{}: sub_model needs a functional model, or a sequential one with an input shape", self.name()));
        let (Some(layers), Some([input])) = (&self.stack, self.input_specs()) else { return Err(unknown()) };
        let x = Input::new(input.shape.clone());
        let mut y = x.clone();
        for layer in layers {
            y = Symbol::one(layer.base(), Symbol::apply(layer.clone(), &y)?)?;
            if layer.base().id() == id {
                return Ok((vec![x], vec![y]));
            }
        }
        Err(Error::argument("sub_model", "a layer of the model itself", "one inside another layer"))
    }

    /// The name of each input: that of a functional model's `Input`, else `input`, or `input_0` and so on.
    pub fn input_names(&self) -> Vec<String> {
        match &self.graph {
            Some(graph) => graph.inputs().iter().map(|x| x.node.base.name()).collect(),
            None => numbered("input", self.input_specs().map_or(1, <[_]>::len)),
        }
    }

    /// The name of each output: that of the layer that a functional model's output comes from, else `output`, or `output_0` and so on.
    pub fn output_names(&self) -> Vec<String> {
        match &self.graph {
            Some(graph) => naming::distinct(graph.outputs().iter().map(|y| y.node.base.name()).collect()),
            None => numbered("output", self.built.as_ref().map_or(1, |built| built.outputs.len())),
        }
    }
}

fn numbered(stem: &str, count: usize) -> Vec<String> {
    if count == 1 { vec![stem.to_string()] } else { (0..count).map(|i| format!("{stem}_{i}")).collect() }
}

/// What a model can be put together from: a layer, or another model, which then is a layer of it.
pub trait IntoLayer {
    /// The layer.
    fn into_layer(self) -> Arc<dyn Layer>;
}

impl<L: Layer + 'static> IntoLayer for L {
    fn into_layer(self) -> Arc<dyn Layer> {
        Arc::new(self)
    }
}

impl IntoLayer for Model {
    fn into_layer(self) -> Arc<dyn Layer> {
        self.root
    }
}

impl Layers for Model {
    fn each_layer<'a>(&'a self, f: &mut dyn FnMut(&'a dyn Layer)) {
        f(self.root.as_ref());
    }
}
