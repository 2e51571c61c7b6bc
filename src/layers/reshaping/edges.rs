//! Cells added at the edges, or taken away.

use crate::error::{Error, Result};
use crate::layers::images::{image_shape, kind};
use crate::layers::{Base, Build, Call, Edges, Layer, named};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Zeros around images. Inputs `[n, height, width, channels]`, outputs `[n, top + height + bottom, left + width + right, channels]`. Default: one
/// cell on every side.
pub type ZeroPadding2D = ZeroPadding<2>;

/// [`ZeroPadding2D`] along one axis: inputs `[n, steps, channels]`, outputs `[n, before + steps + after, channels]`.
pub type ZeroPadding1D = ZeroPadding<1>;

/// Images without their edges. Inputs `[n, height, width, channels]`, outputs `[n, height - top - bottom, width - left - right, channels]`.
/// Default: nothing is cut off.
pub type Cropping2D = Cropping<2>;

/// [`Cropping2D`] along one axis: inputs `[n, steps, channels]`, outputs `[n, steps - before - after, channels]`. Default: one step at each end.
pub type Cropping1D = Cropping<1>;

/// [`ZeroPadding1D`] and [`ZeroPadding2D`].
#[derive(Clone)]
pub struct ZeroPadding<const R: usize> {
    base: Base,
    padding: Edges<R>,
}

impl<const R: usize> ZeroPadding<R> {
    /// So many cells on each side: see [`Edges`].
    pub fn new(padding: impl Into<Edges<R>>) -> Self {
        ZeroPadding { base: Base::new(kind::<R>(["ZeroPadding1D", "ZeroPadding2D"])), padding: padding.into() }
    }

    named!();
}

impl<const R: usize> Default for ZeroPadding<R> {
    fn default() -> Self {
        ZeroPadding::new(1)
    }
}

impl<const R: usize> Layer for ZeroPadding<R> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        image_shape::<R>(&self.base, input).map(|_| ())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        x.pad(&[&[(0, 0)], &self.padding.0[..]].concat(), 0.0)
    }
}

/// [`Cropping1D`] and [`Cropping2D`].
#[derive(Clone)]
pub struct Cropping<const R: usize> {
    base: Base,
    cropping: Edges<R>,
}

impl<const R: usize> Cropping<R> {
    /// So many cells less on each side: see [`Edges`].
    pub fn new(cropping: impl Into<Edges<R>>) -> Self {
        Cropping { base: Base::new(kind::<R>(["Cropping1D", "Cropping2D"])), cropping: cropping.into() }
    }

    named!();

    /// What stays of each axis of a sample that is cut; there must be something.
    fn kept(&self, sample: &[usize]) -> Result<Vec<std::ops::Range<usize>>> {
        let inside = |(&n, &(before, after)): (&usize, &(usize, usize))| {
            let end = n.checked_sub(after).filter(|&end| end > before);
            end.map(|end| before..end).ok_or_else(|| {
                let want = format!("less than the axis, which has {n} cells");
                Error::argument(format!("{}: cropping", self.base.title()), want, format!("{before} and {after} cells"))
            })
        };
        sample.iter().zip(&self.cropping.0).map(inside).collect()
    }
}

impl Default for Cropping<1> {
    fn default() -> Self {
        Cropping::new(1)
    }
}
impl Default for Cropping<2> {
    fn default() -> Self {
        Cropping::new(0)
    }
}

impl<const R: usize> Layer for Cropping<R> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        image_shape::<R>(&self.base, input)?;
        self.kept(input).map(|_| ())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let n = x.shape().first().copied().unwrap_or(0);
        x.slice(&[vec![0..n], self.kept(x.shape().get(1..).unwrap_or(&[]))?].concat())
    }
}
