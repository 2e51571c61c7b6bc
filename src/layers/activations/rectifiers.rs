//! Layers of one function of single elements, with its constants as options.

use super::ActivationFn;
use crate::error::{Error, Result};
use crate::layers::{Base, Build, Call, Layer, named};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `max(x, 0)`, or what the options make of it: [`ActivationFn::ReluWith`]. Outputs have the inputs' shape.
#[derive(Clone)]
pub struct ReLU {
    base: Base,
    max_value: Option<f64>,
    negative_slope: f64,
    threshold: f64,
}

impl ReLU {
    /// Without a largest value, slope and threshold 0.
    pub fn new() -> ReLU {
        ReLU { base: Base::new("ReLU"), max_value: None, negative_slope: 0.0, threshold: 0.0 }
    }

    /// The largest output, at least 0. Default: none.
    #[must_use]
    pub fn max_value(mut self, max_value: f64) -> ReLU {
        self.max_value = Some(max_value);
        self
    }

    /// The slope below the threshold, at least 0. Default: 0.
    #[must_use]
    pub fn negative_slope(mut self, negative_slope: f64) -> ReLU {
        self.negative_slope = negative_slope;
        self
    }

    /// What inputs must be above to be let through, at least 0. Default: 0.
    #[must_use]
    pub fn threshold(mut self, threshold: f64) -> ReLU {
        self.threshold = threshold;
        self
    }

    named!();

    fn function(&self) -> ActivationFn {
        let ReLU { max_value, negative_slope, threshold, .. } = *self;
        match (max_value, negative_slope, threshold) {
            (None, 0.0, 0.0) => ActivationFn::Relu,
            _ => ActivationFn::ReluWith { negative_slope, max_value, threshold },
        }
    }

    fn check(&self) -> Result<()> {
        at_least_zero(&self.base, "max_value", self.max_value.unwrap_or(0.0))?;
        at_least_zero(&self.base, "negative_slope", self.negative_slope)?;
        at_least_zero(&self.base, "threshold", self.threshold)
    }
}

/// `x` if positive, else `negative_slope · x`. Outputs have the inputs' shape. The layer's default slope is 0.3, as Keras's; that of the function
/// `"leaky_relu"` is 0.2.
#[derive(Clone)]
pub struct LeakyReLU {
    base: Base,
    negative_slope: f64,
}

impl LeakyReLU {
    /// With a slope of 0.3.
    pub fn new() -> LeakyReLU {
        LeakyReLU { base: Base::new("LeakyReLU"), negative_slope: 0.3 }
    }

    /// The slope for negative inputs, at least 0. Default: 0.3.
    #[must_use]
    pub fn negative_slope(mut self, negative_slope: f64) -> LeakyReLU {
        self.negative_slope = negative_slope;
        self
    }

    named!();

    fn function(&self) -> ActivationFn {
        ActivationFn::LeakyRelu { negative_slope: self.negative_slope }
    }

    fn check(&self) -> Result<()> {
        at_least_zero(&self.base, "negative_slope", self.negative_slope)
    }
}

/// `x` if positive, else `alpha · (exp(x) - 1)`. Outputs have the inputs' shape.
#[derive(Clone)]
pub struct ELU {
    base: Base,
    alpha: f64,
}

impl ELU {
    /// With an alpha of 1.
    pub fn new() -> ELU {
        ELU { base: Base::new("ELU"), alpha: 1.0 }
    }

    /// What very negative inputs go to, with the sign changed. Default: 1.
    #[must_use]
    pub fn alpha(mut self, alpha: f64) -> ELU {
        self.alpha = alpha;
        self
    }

    named!();

    fn function(&self) -> ActivationFn {
        ActivationFn::Elu { alpha: self.alpha }
    }

    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// The layer that applies `function()` if `check()` finds nothing wrong.
macro_rules! layer_of_function {
    ($($name:ident),*) => { $(
        impl Default for $name {
            fn default() -> $name {
                $name::new()
            }
        }

        impl Layer for $name {
            fn base(&self) -> &Base {
                &self.base
            }

            fn build(&self, _input: &Shape, _cx: &Build) -> Result<()> {
                self.check()
            }

            fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
                self.function().apply(x)
            }

            fn activation(&self) -> Option<ActivationFn> {
                Some(self.function())
            }
        }
    )* };
}
layer_of_function!(ReLU, LeakyReLU, ELU);

fn at_least_zero(base: &Base, what: &str, number: f64) -> Result<()> {
    if number >= 0.0 { Ok(()) } else { Err(Error::argument(format!("{}: {what}", base.title()), "at least 0", number)) }
}
