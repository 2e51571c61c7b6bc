//! The fully connected layer.

use super::finish::{Finish, at_least_one, finish_options};
use super::{ActivationFn, Base, Build, Call, Layer, WeightOptions, check_last_axis, weight_options};
use crate::error::{Error, Result};
use crate::initializers::GlorotUniform;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `y = act(x · kernel + bias)` over the last axis. Inputs `[n, …, inputs]`, outputs `[n, …, units]`, kernel `[inputs, units]`: images are not
/// flattened, put [`Flatten`](super::Flatten) before. Defaults: no activation, a bias, kernel Glorot uniform, bias zeros.
#[derive(Clone)]
pub struct Dense {
    base: Base,
    units: usize,
    kernel: WeightOptions,
    finish: Finish,
}

impl Dense {
    /// So many outputs.
    pub fn new(units: usize) -> Dense {
        Dense { base: Base::new("Dense"), units, kernel: WeightOptions::new(GlorotUniform), finish: Finish::default() }
    }

    weight_options!(kernel, kernel_initializer, kernel_regularizer, kernel_constraint);
    finish_options!();
}

impl Layer for Dense {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        at_least_one(&self.base, "units", self.units)?;
        self.finish.check(&self.base)?;
        let Some(&inputs) = input.last() else {
            return Err(Error::shape(self.base.title(), "at least one axis per sample", input).hint("put Flatten before it"));
        };
        cx.weight(&self.base, "kernel", [inputs, self.units], &self.kernel)?;
        self.finish.build(&self.base, self.units, cx)
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let kernel = self.base.value("kernel")?;
        check_last_axis(&self.base, x, kernel.shape()[0])?;
        self.finish.call(&self.base, &times(x, &kernel)?)
    }

    fn activation(&self) -> Option<ActivationFn> {
        self.finish.activation()
    }
}

/// `x · kernel` over the last axis: `[…, inputs]` times `[inputs, units]` gives `[…, units]`.
pub(super) fn times(x: &Tensor, kernel: &Tensor) -> Result<Tensor> {
    let outer = &x.shape()[..x.rank().saturating_sub(1)];
    let [inputs, units] = kernel.shape().dims("kernel")?;
    // One tall product instead of many small ones.
    let y = x.reshape([outer.iter().product(), inputs])?.matmul(kernel)?;
    if outer.len() == 1 { Ok(y) } else { y.reshape([outer, &[units]].concat()) }
}
