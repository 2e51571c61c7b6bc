//! Inputs side by side.

use super::{list, samples};
use crate::error::{Error, Result};
use crate::layers::{Base, Build, Call, Layer, named};
use crate::shape::{Shape, axis_index};
use crate::tensor::Tensor;

/// The inputs one after the other along an axis; along the others they must be as long as one another. Default: the last axis.
/// `Concatenate::new().on([&a, &b])`.
#[derive(Clone)]
pub struct Concatenate {
    base: Base,
    axis: isize,
}

impl Default for Concatenate {
    fn default() -> Concatenate {
        Concatenate::new()
    }
}

impl Concatenate {
    /// Along the last axis.
    pub fn new() -> Concatenate {
        Concatenate { base: Base::new("Concatenate"), axis: -1 }
    }

    /// Along this axis: the first of a sample is 1, negative ones count from the back. Default: -1.
    #[must_use]
    pub fn axis(mut self, axis: isize) -> Concatenate {
        self.axis = axis;
        self
    }

    named!();

    fn check(&self, shapes: &[Shape]) -> Result<()> {
        let Some(first) = shapes.first() else {
            return Err(Error::argument(format!("{}: inputs", self.base.title()), "at least one", 0));
        };
        let axis = axis_index(self.axis, first.rank() + 1, "").ok().and_then(|axis| axis.checked_sub(1));
        let Some(axis) = axis else {
            let want = format!("an axis from 1 to {0}, or from -{0} to -1, for samples of shape {first}", first.rank());
            return Err(Error::argument(format!("{}: axis", self.base.title()), want, self.axis));
        };
        if shapes.iter().any(|shape| shape.rank() != first.rank() || shape.with(axis, 0) != first.with(axis, 0)) {
            let want = format!("samples that differ at axis {} only", axis + 1);
            return Err(Error::shape(self.base.title(), want, list(shapes)));
        }
        Ok(())
    }
}

impl Layer for Concatenate {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build_all(&self, inputs: &[Shape], _cx: &Build) -> Result<()> {
        self.check(inputs)
    }

    fn call_all(&self, xs: &[Tensor], _cx: &Call) -> Result<Vec<Tensor>> {
        self.check(&samples(&self.base, xs)?)?;
        Ok(vec![Tensor::concat(&xs.iter().collect::<Vec<_>>(), self.axis)?])
    }
}
