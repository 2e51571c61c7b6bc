//! The rectifier with a slope that is learned.

use crate::error::{Error, Result};
use crate::initializers::Zeros;
use crate::layers::{Base, Build, Call, Layer, WeightOptions, named, weight_options};
use crate::ops::pointwise::map1;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `x` if positive, else `alpha · x`, with a weight `alpha` for each place of a sample (He et al. 2015). Outputs have the inputs' shape.
/// Defaults: alpha zeros, no shared axes.
#[derive(Clone)]
pub struct PReLU {
    base: Base,
    alpha: WeightOptions,
    shared_axes: Vec<usize>,
}

impl Default for PReLU {
    fn default() -> PReLU {
        PReLU::new()
    }
}

impl PReLU {
    /// One slope for each place, zero at first.
    pub fn new() -> PReLU {
        PReLU { base: Base::new("PReLU"), alpha: WeightOptions::new(Zeros), shared_axes: Vec::new() }
    }

    /// The axes along which one slope serves all places; the first axis of a sample is 1. `[1, 2]` for images: a slope for each channel.
    #[must_use]
    pub fn shared_axes(mut self, shared_axes: impl Into<Vec<usize>>) -> PReLU {
        self.shared_axes = shared_axes.into();
        self
    }

    weight_options!(alpha, alpha_initializer, alpha_regularizer, alpha_constraint);
    named!();
}

impl Layer for PReLU {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        let mut shape = input.to_vec();
        for &axis in &self.shared_axes {
            match axis.checked_sub(1).and_then(|i| shape.get_mut(i)) {
                Some(length) => *length = 1,
                None => {
                    let want = format!("axes from 1 to {} for samples of shape {input}", input.rank());
                    return Err(Error::argument(format!("{}: shared_axes", self.base.title()), want, axis));
                }
            }
        }
        cx.weight(&self.base, "alpha", shape, &self.alpha)
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        // The two parts as Keras writes them, so that at 0 no part has a slope.
        map1(&[x, &self.base.value("alpha")?], |e| e[0].relu() - &e[1] * (-&e[0]).relu())
    }
}
