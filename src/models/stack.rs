//! The layer that a sequential model is.

use crate::error::{Error, Result};
use crate::layers::{Base, Call, Layer};
use crate::tensor::Tensor;
use std::sync::Arc;

/// Layers, each of which takes what the one before gives.
#[derive(Clone)]
pub(crate) struct Stack {
    base: Base,
    layers: Vec<Arc<dyn Layer>>,
}

impl Stack {
    pub fn new(base: Base, layers: Vec<Arc<dyn Layer>>) -> Stack {
        Stack { base, layers }
    }
}

impl Layer for Stack {
    fn base(&self) -> &Base {
        &self.base
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        if self.layers.is_empty() {
            return Err(Error::NotReady(format!("{}: it has no layers; add some", self.base.name())));
        }
        self.layers.iter().try_fold(x.clone(), |x, layer| layer.apply(&x, cx))
    }

    fn sublayers(&self) -> Vec<&dyn Layer> {
        self.layers.iter().map(AsRef::as_ref).collect()
    }

    fn autocast(&self) -> bool {
        false
    }

    fn activation(&self) -> Option<crate::layers::ActivationFn> {
        self.layers.last()?.activation()
    }
}
