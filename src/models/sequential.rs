//! A stack of layers.

use super::model::Model;
use super::parts::IntoLayer;
use super::stack::Stack;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::layers::{Base, DTypePolicyArg, Layer, Layers};
use crate::shape::{DType, Shape, Spec};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// A [`Model`] of layers, each of which takes what the one before gives.
///
/// Its weights are made when the shape of the input is known: from [`Sequential::input`] at `compile`, or else from the data at `fit`.
pub struct Sequential {
    model: Model,
    base: Base,
}

impl Default for Sequential {
    fn default() -> Sequential {
        Sequential::new()
    }
}

impl Sequential {
    /// A model without layers, of seed 0.
    pub fn new() -> Sequential {
        let base = Base::new("Sequential");
        base.rename("sequential");
        Sequential { model: Model::of(Arc::new(Stack::new(base.clone(), Vec::new()))), base }
    }

    /// Puts a layer on top, or a whole model.
    #[must_use = "it gives the model back: write `model = model.add(..)`, or one `.add(..)` after the other"]
    #[expect(clippy::should_implement_trait, reason = "it is Keras's name, and adds no numbers")]
    pub fn add(mut self, layer: impl IntoLayer) -> Sequential {
        let layers = self.model.stack.get_or_insert_default();
        layers.push(layer.into_layer());
        self.model.root = Arc::new(Stack::new(self.base.clone(), layers.clone()));
        self
    }

    /// The shape of one sample: `[28, 28, 1]`. Default: the shape of the data.
    #[must_use]
    pub fn input(mut self, shape: impl Into<Shape>) -> Sequential {
        self.model.inputs = Some(vec![Spec::new(shape, DType::F32)]);
        self
    }

    /// Where it lives. Default: [`Device::best`].
    #[must_use]
    pub fn on_device(self, device: &Device) -> Sequential {
        Sequential { model: self.model.on_device(device), ..self }
    }

    /// What its first weights, its dropout and the order of its batches are drawn from. Default: 0.
    #[must_use]
    pub fn seed(self, seed: u64) -> Sequential {
        Sequential { model: self.model.seed(seed), ..self }
    }

    /// What its layers compute in: see [`Model::dtype_policy`].
    #[must_use]
    pub fn dtype_policy(self, policy: impl Into<DTypePolicyArg>) -> Sequential {
        Sequential { model: self.model.dtype_policy(policy), ..self }
    }

    /// Its name in the summary. Default: `sequential`.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Sequential {
        self.base.rename(name);
        self
    }

    /// The shape of one sample, if it is known.
    pub fn input_shape(&self) -> Option<&Shape> {
        self.model.input_specs().and_then(<[Spec]>::first).map(|spec| &spec.shape)
    }

    /// The shape of one output.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is built.
    pub fn output_shape(&self) -> Result<&Shape> {
        let not_one = || Error::NotReady(format!("{}: it has no output", self.model.name()));
        self.model.output_specs()?.first().map(|spec| &spec.shape).ok_or_else(not_one)
    }

    /// The model, without the means to add to it.
    pub fn into_model(self) -> Model {
        self.model
    }
}

impl Deref for Sequential {
    type Target = Model;
    fn deref(&self) -> &Model {
        &self.model
    }
}

impl DerefMut for Sequential {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.model
    }
}

impl IntoLayer for Sequential {
    fn into_layer(self) -> Arc<dyn Layer> {
        self.model.root
    }
}

impl Layers for Sequential {
    fn each_layer<'a>(&'a self, f: &mut dyn FnMut(&'a dyn Layer)) {
        f(self.model.root.as_ref());
    }
}
