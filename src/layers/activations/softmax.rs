//! Softmax over chosen axes.

use super::ActivationFn;
use crate::error::{Error, Result};
use crate::layers::{Base, Build, Call, Layer, named};
use crate::ops::pointwise::map1;
use crate::shape::{Shape, axis_index};
use crate::tensor::Tensor;

/// `exp(x) / Σ exp(x)`, the sum over one axis or several. Outputs have the inputs' shape. Default: the last axis. In the prelude the name `Softmax`
/// is that of the function; `Activation::new(Softmax)` is this layer over the last axis.
#[derive(Clone)]
pub struct Softmax {
    base: Base,
    axes: Vec<isize>,
}

impl Default for Softmax {
    fn default() -> Softmax {
        Softmax::new()
    }
}

impl Softmax {
    /// Over the last axis.
    pub fn new() -> Softmax {
        Softmax { base: Base::new("Softmax"), axes: vec![-1] }
    }

    /// Over this axis: the first of a sample is 1, negative ones count from the back. Default: -1.
    #[must_use]
    pub fn axis(self, axis: isize) -> Softmax {
        self.axes([axis])
    }

    /// Over these axes together.
    #[must_use]
    pub fn axes(mut self, axes: impl Into<Vec<isize>>) -> Softmax {
        self.axes = axes.into();
        self
    }

    named!();
}

impl Layer for Softmax {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        let rank = input.rank() + 1;
        let mut seen = vec![0];
        for &axis in &self.axes {
            match axis_index(axis, rank, "softmax") {
                Ok(index) if !seen.contains(&index) => seen.push(index),
                _ => {
                    let want = format!("axes from 1 to {}, or from -{} to -1, each once", rank - 1, rank - 1);
                    return Err(Error::argument(format!("{}: axis", self.base.title()), want, format!("{:?}", self.axes)));
                }
            }
        }
        if self.axes.is_empty() {
            return Err(Error::argument(format!("{}: axis", self.base.title()), "at least one axis", "none"));
        }
        Ok(())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        if let [axis] = self.axes[..] {
            return x.softmax_over(axis);
        }
        // Softmax does not change when a number is subtracted everywhere, so no gradient is lost at the maximum.
        let largest = x.max(&self.axes, true)?.stop_gradient()?;
        let powers = map1(&[x, &largest], |e| (&e[0] - &e[1]).exp())?;
        powers.div(&powers.sum(&self.axes, true)?)
    }

    fn activation(&self) -> Option<ActivationFn> {
        match self.axes[..] {
            [-1] => Some(ActivationFn::Softmax),
            [axis] => Some(ActivationFn::SoftmaxOver { axis }),
            _ => None,
        }
    }
}
