//! A cost of what passes through.

use super::super::{Base, Call, Layer};
use crate::error::Result;
use crate::regularizers::L1L2;
use crate::tensor::Tensor;

/// Lets its inputs through, and adds `(l1 · Σ|x| + l2 · Σx²) / samples` to the loss.
#[derive(Clone)]
pub struct ActivityRegularization {
    base: Base,
}

impl ActivityRegularization {
    /// The factors of the absolute values and of the squares. Both are 0 in Keras when they are not given.
    pub fn new(l1: f64, l2: f64) -> ActivityRegularization {
        let base = Base::new("ActivityRegularization");
        base.set_activity_regularizer(L1L2 { l1, l2 });
        ActivityRegularization { base }
    }

    /// The name in its model. Default: the kind in snake case with a number.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> ActivityRegularization {
        self.base.rename(name);
        self
    }
}

impl Layer for ActivityRegularization {
    fn base(&self) -> &Base {
        &self.base
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        Ok(x.clone())
    }
}
