//! Rescaling of inputs.

use super::{Build, Call, Layer, layer_name};
use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;

/// `y = x · scale + offset`, in f32 whatever the type of `x`: `Rescaling::new(1.0 / 255.0)` brings bytes into 0 to 1. Outputs have the inputs'
/// shape.
pub struct Rescaling {
    name: String,
    scale: f64,
    offset: f64,
}

impl Rescaling {
    /// A factor, and an offset of 0.
    pub fn new(scale: f64) -> Rescaling {
        Rescaling { name: String::new(), scale, offset: 0.0 }
    }

    /// What is added after. Default: 0.
    #[must_use]
    pub fn offset(mut self, offset: f64) -> Rescaling {
        self.offset = offset;
        self
    }
}

impl Layer for Rescaling {
    fn kind(&self) -> &'static str {
        "Rescaling"
    }

    layer_name!();

    fn build(&mut self, input: &Shape, _cx: &mut Build) -> Result<Shape> {
        Ok(input.clone())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let x = if x.dtype().is_float() { x.clone() } else { x.cast(DType::F32)? };
        map1(&[&x], |e| &e[0] * self.scale + self.offset)
    }
}
