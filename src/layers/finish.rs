//! How layers with a kernel end: a bias, then an activation.

use super::{ActivationArg, ActivationFn, Base, Build, WeightOptions};
use crate::error::{Error, Result};
use crate::initializers::Zeros;
use crate::tensor::Tensor;

/// `act(y + bias)`. Default: no activation, a bias that starts at zero.
#[derive(Clone)]
pub(super) struct Finish {
    pub activation: ActivationArg,
    pub use_bias: bool,
    pub bias: WeightOptions,
}

impl Default for Finish {
    fn default() -> Finish {
        Finish { activation: ActivationArg::default(), use_bias: true, bias: WeightOptions::new(Zeros) }
    }
}

impl Finish {
    /// That the activation's name names one. To be called before weights are made.
    pub fn check(&self, base: &Base) -> Result<()> {
        self.activation.get().map(|_| ()).map_err(|e| e.at(base.title()))
    }

    /// Makes the bias of so many channels.
    pub fn build(&self, base: &Base, channels: usize, cx: &Build) -> Result<()> {
        if self.use_bias { cx.weight(base, "bias", [channels], &self.bias) } else { Ok(()) }
    }

    pub fn call(&self, base: &Base, y: &Tensor) -> Result<Tensor> {
        self.activation.get()?.apply_biased(y, base.value_if(self.use_bias, "bias")?.as_ref())
    }

    pub fn activation(&self) -> Option<ActivationFn> {
        self.activation.get().ok()
    }
}

/// Refuses a number of units, filters and the like that is zero.
pub(super) fn at_least_one(base: &Base, what: &str, number: usize) -> Result<()> {
    if number == 0 { Err(Error::argument(format!("{}: {what}", base.title()), "at least 1", 0)) } else { Ok(()) }
}

/// The builder methods of layers with a `finish: Finish` and a `base: Base`.
macro_rules! finish_options {
    () => {
        /// What is applied to the outputs. Default: nothing.
        #[must_use]
        pub fn activation(mut self, activation: impl Into<crate::layers::ActivationArg>) -> Self {
            self.finish.activation = activation.into();
            self
        }

        /// Whether a bias is added. Default: yes.
        #[must_use]
        pub fn use_bias(mut self, use_bias: bool) -> Self {
            self.finish.use_bias = use_bias;
            self
        }

        crate::layers::weight_options!(bias: finish.bias, bias_initializer, bias_regularizer, bias_constraint);
        crate::layers::named!();
    };
}
pub(super) use finish_options;
