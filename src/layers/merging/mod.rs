//! Layers that make one tensor of several.

mod concatenate;
mod dot;
mod elementwise;

pub use concatenate::Concatenate;
pub use dot::{Dot, DotAxes};
pub use elementwise::{Add, Average, Maximum, Minimum, Multiply, Subtract};

#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::layers::{Base, without_batch};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// The shapes of the samples of several batches.
fn samples(base: &Base, xs: &[Tensor]) -> Result<Vec<Shape>> {
    xs.iter().map(|x| without_batch(base, x)).collect()
}

/// Shapes in the words of an error: `[2, 3] and [4]`.
fn list(shapes: &[Shape]) -> String {
    shapes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
