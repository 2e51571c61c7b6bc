//! Pooling over whole images.

use super::{Build, Call, Layer, layer_name, pooling};
use crate::error::Result;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// The mean of each channel. Inputs `[n, height, width, channels]`, outputs `[n, channels]`, or `[n, 1, 1, channels]` with `keepdims`.
#[derive(Default)]
pub struct GlobalAveragePooling2D {
    name: String,
    keepdims: bool,
}

impl GlobalAveragePooling2D {
    /// The layer without `keepdims`.
    pub fn new() -> GlobalAveragePooling2D {
        GlobalAveragePooling2D::default()
    }

    /// Whether height and width stay as axes of 1. Default: no.
    #[must_use]
    pub fn keepdims(mut self, keepdims: bool) -> GlobalAveragePooling2D {
        self.keepdims = keepdims;
        self
    }
}

impl Layer for GlobalAveragePooling2D {
    fn kind(&self) -> &'static str {
        "GlobalAveragePooling2D"
    }

    layer_name!();

    fn build(&mut self, input: &Shape, _cx: &mut Build) -> Result<Shape> {
        let [_, _, channels] = pooling::image_shape(self, input)?;
        Ok(if self.keepdims { Shape::from([1, 1, channels]) } else { Shape::from([channels]) })
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        x.mean(&[1, 2], self.keepdims)
    }
}
