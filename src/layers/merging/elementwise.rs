//! Merges of elements at the same place.

use super::samples;
use crate::error::{Error, Result};
use crate::layers::{Base, Build, Call, Layer, named};
use crate::shape::Shape;
use crate::tensor::Tensor;
use std::marker::PhantomData;

/// The sum of the inputs. They are as many as you like; samples of different shapes broadcast: an axis of 1 is stretched, and a sample of lower
/// rank gets axes of 1 in front. `Add::new().on([&a, &b])`.
pub type Add = Merge<Sum>;

/// The first of two inputs minus the second; shapes broadcast as for [`Add`].
pub type Subtract = Merge<Difference>;

/// The product of the inputs; shapes broadcast as for [`Add`].
pub type Multiply = Merge<Product>;

/// The mean of the inputs; shapes broadcast as for [`Add`].
pub type Average = Merge<Mean>;

/// The largest of the inputs at each place; shapes broadcast as for [`Add`]. The gradient of a tie goes to the input that comes first.
pub type Maximum = Merge<Largest>;

/// The smallest of the inputs at each place; shapes broadcast as for [`Add`]. The gradient of a tie goes to the input that comes first.
pub type Minimum = Merge<Smallest>;

/// How elements are merged.
pub trait Merging: Clone + Send + Sync {
    /// The layer's name.
    const KIND: &'static str;
    /// How many inputs there must be, if not any number.
    const INPUTS: Option<usize> = None;

    /// Two inputs, or what came of those before and the next one.
    ///
    /// # Errors
    /// What the operation returns.
    fn pair(a: &Tensor, b: &Tensor) -> Result<Tensor>;

    /// What is done at the end, after so many inputs.
    ///
    /// # Errors
    /// What the operation returns.
    fn last(y: Tensor, _inputs: usize) -> Result<Tensor> {
        Ok(y)
    }
}

/// Marks [`Add`].
#[derive(Clone)]
pub struct Sum;
impl Merging for Sum {
    const KIND: &'static str = "Add";
    fn pair(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.add(b)
    }
}

/// Marks [`Subtract`].
#[derive(Clone)]
pub struct Difference;
impl Merging for Difference {
    const KIND: &'static str = "Subtract";
    const INPUTS: Option<usize> = Some(2);
    fn pair(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.sub(b)
    }
}

/// Marks [`Multiply`].
#[derive(Clone)]
pub struct Product;
impl Merging for Product {
    const KIND: &'static str = "Multiply";
    fn pair(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.mul(b)
    }
}

/// Marks [`Average`].
#[derive(Clone)]
pub struct Mean;
impl Merging for Mean {
    const KIND: &'static str = "Average";
    fn pair(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.add(b)
    }
    fn last(y: Tensor, inputs: usize) -> Result<Tensor> {
        y.mul_scalar(1.0 / inputs as f64)
    }
}

/// Marks [`Maximum`].
#[derive(Clone)]
pub struct Largest;
impl Merging for Largest {
    const KIND: &'static str = "Maximum";
    fn pair(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.maximum(b)
    }
}

/// Marks [`Minimum`].
#[derive(Clone)]
pub struct Smallest;
impl Merging for Smallest {
    const KIND: &'static str = "Minimum";
    fn pair(a: &Tensor, b: &Tensor) -> Result<Tensor> {
        a.minimum(b)
    }
}

/// A layer that merges elements.
#[derive(Clone)]
pub struct Merge<M> {
    base: Base,
    merging: PhantomData<M>,
}

impl<M: Merging> Merge<M> {
    /// The layer.
    pub fn new() -> Self {
        Merge { base: Base::new(M::KIND), merging: PhantomData }
    }

    named!();
}

impl<M: Merging> Default for Merge<M> {
    fn default() -> Self {
        Merge::new()
    }
}

/// The shape that all samples broadcast to.
fn common(base: &Base, shapes: &[Shape]) -> Result<Shape> {
    let all = || shapes.iter().try_fold(Shape::default(), |all, shape| all.broadcast(shape, ""));
    all().map_err(|_| Error::shape(base.title(), "samples of shapes that broadcast", super::list(shapes)))
}

impl<M: Merging> Layer for Merge<M> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build_all(&self, inputs: &[Shape], _cx: &Build) -> Result<()> {
        if M::INPUTS.map_or(inputs.is_empty(), |count| inputs.len() != count) {
            let want = M::INPUTS.map_or_else(|| "at least one".to_string(), |count| count.to_string());
            return Err(Error::argument(format!("{}: inputs", self.base.title()), want, inputs.len()));
        }
        common(&self.base, inputs).map(|_| ())
    }

    fn call_all(&self, xs: &[Tensor], _cx: &Call) -> Result<Vec<Tensor>> {
        let rank = common(&self.base, &samples(&self.base, xs)?)?.rank();
        let mut merged: Option<Tensor> = None;
        for x in xs {
            // Axes of 1 behind the batch, not before it.
            let sample = &x.shape()[1..];
            let x = x.reshape([&x.shape()[..1], &vec![1; rank - sample.len()], sample].concat())?;
            merged = Some(match merged {
                Some(before) => M::pair(&before, &x)?,
                None => x,
            });
        }
        match merged {
            Some(y) => Ok(vec![M::last(y, xs.len())?]),
            None => Err(Error::argument(format!("{}: inputs", self.base.title()), "at least one", 0)),
        }
    }
}
