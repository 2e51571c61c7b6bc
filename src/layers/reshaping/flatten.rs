//! One row per sample.

use crate::error::Result;
use crate::layers::{Base, Call, Layer, named};
use crate::tensor::Tensor;

/// Every sample as one row, in the order of its memory (height, width, channel). Inputs `[n, …]`, outputs `[n, elements of a sample]`.
#[derive(Clone)]
pub struct Flatten {
    base: Base,
}

impl Default for Flatten {
    fn default() -> Flatten {
        Flatten::new()
    }
}

impl Flatten {
    /// The layer.
    pub fn new() -> Flatten {
        Flatten { base: Base::new("Flatten") }
    }

    named!();
}

impl Layer for Flatten {
    fn base(&self) -> &Base {
        &self.base
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let [n, sample @ ..] = &x.shape()[..] else { return x.reshape([1, 1]) };
        x.reshape([*n, sample.iter().product()])
    }
}
