//! Any activation function, as an option of layers and as a layer.

use super::ActivationFn;
use crate::error::{Error, Result};
use crate::layers::{Base, Build, Call, Layer, named};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// An activation, or the name of one: what layers take. A wrong name is reported when the layer is built.
#[derive(Clone, Debug)]
pub struct ActivationArg(std::result::Result<ActivationFn, Error>);

impl ActivationArg {
    /// The activation.
    ///
    /// # Errors
    /// [`Error::Argument`] if it was named by a text that names none.
    pub fn get(&self) -> Result<ActivationFn> {
        self.0.clone()
    }
}

impl Default for ActivationArg {
    fn default() -> ActivationArg {
        ActivationArg(Ok(ActivationFn::Linear))
    }
}
impl From<ActivationFn> for ActivationArg {
    fn from(function: ActivationFn) -> ActivationArg {
        ActivationArg(Ok(function))
    }
}
impl From<&str> for ActivationArg {
    fn from(name: &str) -> ActivationArg {
        ActivationArg(name.parse())
    }
}

/// An activation function as a layer. Outputs have the inputs' shape.
#[derive(Clone)]
pub struct Activation {
    base: Base,
    function: ActivationArg,
}

impl Activation {
    /// `Activation::new(Relu)` or `Activation::new("relu")`.
    pub fn new(function: impl Into<ActivationArg>) -> Activation {
        Activation { base: Base::new("Activation"), function: function.into() }
    }

    named!();
}

impl Layer for Activation {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, _input: &Shape, _cx: &Build) -> Result<()> {
        self.function.get().map_err(|e| e.at(self.base.title())).map(|_| ())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        self.function.get()?.apply(x)
    }

    fn activation(&self) -> Option<ActivationFn> {
        self.function.get().ok()
    }
}
