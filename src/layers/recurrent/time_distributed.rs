//! A layer at every time step.

use super::super::{ActivationFn, Base, Build, Call, Layer, named};
use crate::error::{Error, Result};
use crate::record::Scope;
use crate::shape::Shape;
use crate::tensor::Tensor;
use std::sync::Arc;

/// Applies a layer to every time step by itself: inputs `[n, time, …]` are for it `n · time` samples. Outputs `[n, time, …]`.
#[derive(Clone)]
pub struct TimeDistributed {
    base: Base,
    layer: Arc<dyn Layer>,
}

impl TimeDistributed {
    /// This layer, which clones of it share their weights with.
    pub fn new(layer: impl Layer + 'static) -> TimeDistributed {
        TimeDistributed { base: Base::new("TimeDistributed"), layer: Arc::new(layer) }
    }

    named!();
}

impl Layer for TimeDistributed {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        let Some((_, sample)) = input.split_first() else {
            return Err(Error::shape(self.base.title(), "samples with a time axis", input));
        };
        let _scope = Scope::enter(&self.layer.name());
        self.layer.build(&Shape::from(sample), cx)
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        let &[n, time, ..] = &x.shape()[..] else {
            return Err(Error::shape(self.base.title(), "sequences of shape [n, time, …]", x.shape()));
        };
        // Every step of a sample that counts, counts.
        let valid = cx.valid().map(|valid| valid.repeat(time, 0)).transpose()?;
        let steps = x.reshape([&[n * time], &x.shape()[2..]].concat())?;
        let y = self.layer.apply(&steps, &cx.clone().with_valid(valid))?;
        match y.shape().split_first() {
            Some((&rows, sample)) if rows == n * time => y.reshape([&[n, time], sample].concat()),
            _ => Err(Error::shape(self.base.title(), format!("an output for each of the {} time steps", n * time), y.shape())),
        }
    }

    fn sublayers(&self) -> Vec<&dyn Layer> {
        vec![self.layer.as_ref()]
    }

    fn autocast(&self) -> bool {
        self.layer.autocast()
    }

    fn activation(&self) -> Option<ActivationFn> {
        self.layer.activation()
    }
}
