//! One row per sample.

use super::{Build, Call, Layer, layer_name};
use crate::error::Result;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Every sample as one row, in the order of its memory (height, width, channel). Inputs `[n, …]`, outputs `[n, elements of a sample]`.
#[derive(Default)]
pub struct Flatten {
    name: String,
}

impl Flatten {
    /// The layer.
    pub fn new() -> Flatten {
        Flatten::default()
    }
}

impl Layer for Flatten {
    fn kind(&self) -> &'static str {
        "Flatten"
    }

    layer_name!();

    fn build(&mut self, input: &Shape, _cx: &mut Build) -> Result<Shape> {
        Ok(Shape::from([input.elements()]))
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let [n, sample @ ..] = &x.shape()[..] else { return x.reshape([1, 1]) };
        x.reshape([*n, sample.iter().product()])
    }
}
