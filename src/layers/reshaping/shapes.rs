//! The values of a sample under another shape.

use crate::error::{Error, Result};
use crate::layers::finish::at_least_one;
use crate::layers::{Base, Build, Call, Layer, named};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Samples of another shape with the same values in the same order. Inputs `[n, …]`, outputs `[n, target shape]`.
#[derive(Clone)]
pub struct Reshape {
    base: Base,
    target: Vec<isize>,
}

impl Reshape {
    /// The shape of a sample; one length may be -1, it takes what the others leave: `Reshape::new([7, 7, -1])`.
    pub fn new(target_shape: impl Into<Vec<isize>>) -> Reshape {
        Reshape { base: Base::new("Reshape"), target: target_shape.into() }
    }

    named!();

    /// The target for samples of this shape, with what takes the place of -1.
    fn shape_of(&self, sample: &[usize]) -> Result<Vec<usize>> {
        let what = || format!("{}: target_shape", self.base.title());
        if self.target.iter().any(|d| *d < -1) || self.target.iter().filter(|d| **d == -1).count() > 1 {
            return Err(Error::argument(what(), "lengths, and -1 at most once", format!("{:?}", self.target)));
        }
        let elements: usize = sample.iter().product();
        let known: usize = self.target.iter().filter(|d| **d >= 0).map(|d| d.unsigned_abs()).product();
        let fits = if self.target.contains(&-1) { known > 0 && elements.is_multiple_of(known) } else { known == elements };
        if !fits {
            let want = format!("a shape of the {elements} values of a sample {sample:?}");
            return Err(Error::argument(what(), want, format!("{:?}", self.target)));
        }
        Ok(self.target.iter().map(|d| if *d < 0 { elements / known } else { d.unsigned_abs() }).collect())
    }
}

impl Layer for Reshape {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        self.shape_of(input).map(|_| ())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let Some((&n, sample)) = x.shape().split_first() else {
            return Err(Error::shape(self.base.title(), "a batch", x.shape()));
        };
        x.reshape([vec![n], self.shape_of(sample)?].concat())
    }
}

/// Samples with their axes in another order.
#[derive(Clone)]
pub struct Permute {
    base: Base,
    dims: Vec<usize>,
}

impl Permute {
    /// Which axis of the input comes first, second, …: the first axis of a sample is 1. `Permute::new([2, 1])` makes `[n, a, b]` into `[n, b, a]`.
    pub fn new(dims: impl Into<Vec<usize>>) -> Permute {
        Permute { base: Base::new("Permute"), dims: dims.into() }
    }

    named!();
}

impl Layer for Permute {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        let mut sorted = self.dims.clone();
        sorted.sort_unstable();
        if !sorted.into_iter().eq(1..=input.rank()) {
            let want = format!("each of 1 to {} once, for samples of shape {input}", input.rank());
            return Err(Error::argument(format!("{}: dims", self.base.title()), want, format!("{:?}", self.dims)));
        }
        Ok(())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        x.transpose(&[&[0], &self.dims[..]].concat())
    }
}

/// Every sample several times, along a new axis. Inputs `[n, features]`, outputs `[n, times, features]`.
#[derive(Clone)]
pub struct RepeatVector {
    base: Base,
    times: usize,
}

impl RepeatVector {
    /// How often.
    pub fn new(n: usize) -> RepeatVector {
        RepeatVector { base: Base::new("RepeatVector"), times: n }
    }

    named!();
}

impl Layer for RepeatVector {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        at_least_one(&self.base, "n", self.times)?;
        if input.rank() != 1 {
            let error = Error::shape(self.base.title(), "vectors: samples with one axis", format!("{input} per sample"));
            return Err(error.hint("put Flatten before it"));
        }
        Ok(())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        x.expand_dims(1)?.repeat(self.times, 1)
    }
}
