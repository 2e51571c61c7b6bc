//! Pooling: one number for each channel of a window, or of everything.

use super::images::{fits, image_shape, kind, on_images};
use super::{Base, Build, Call, Layer, PaddingArg, Size, named};
use crate::error::Result;
use crate::ops::window::Pool2dParams;
use crate::shape::Shape;
use crate::tensor::Tensor;
use std::marker::PhantomData;

/// The largest value of each window and channel. Inputs `[n, height, width, channels]`, outputs `[n, height', width', channels]`.
/// Padding is never the largest. Defaults: pool size 2, strides = pool size, padding `Valid`.
pub type MaxPooling2D = Pooling<Max, 2>;

/// [`MaxPooling2D`] along one axis: inputs `[n, steps, channels]`, outputs `[n, steps', channels]`.
pub type MaxPooling1D = Pooling<Max, 1>;

/// The mean of each window and channel. Inputs `[n, height, width, channels]`, outputs `[n, height', width', channels]`. Padding is not
/// counted. Defaults: strides = pool size, padding `Valid`.
pub type AveragePooling2D = Pooling<Average, 2>;

/// [`AveragePooling2D`] along one axis: inputs `[n, steps, channels]`, outputs `[n, steps', channels]`.
pub type AveragePooling1D = Pooling<Average, 1>;

/// The largest value of each channel; values that tie share the gradient. Inputs `[n, height, width, channels]`, outputs `[n, channels]`, or
/// `[n, 1, 1, channels]` with `keepdims`.
pub type GlobalMaxPooling2D = GlobalPooling<Max, 2>;

/// [`GlobalMaxPooling2D`] along one axis: inputs `[n, steps, channels]`.
pub type GlobalMaxPooling1D = GlobalPooling<Max, 1>;

/// The mean of each channel. Inputs `[n, height, width, channels]`, outputs `[n, channels]`, or `[n, 1, 1, channels]` with `keepdims`.
pub type GlobalAveragePooling2D = GlobalPooling<Average, 2>;

/// [`GlobalAveragePooling2D`] along one axis: inputs `[n, steps, channels]`.
pub type GlobalAveragePooling1D = GlobalPooling<Average, 1>;

/// What becomes of the values under a window.
pub trait Pool: Clone + Send + Sync {
    /// The names of the layers with windows, along one axis and over two.
    const KINDS: [&'static str; 2];
    /// The names of the layers without.
    const GLOBAL: [&'static str; 2];

    /// What becomes of images under a window that slides.
    ///
    /// # Errors
    /// What the operation returns.
    fn slide(x: &Tensor, params: Pool2dParams) -> Result<Tensor>;

    /// What becomes of all values along axes.
    ///
    /// # Errors
    /// What the operation returns.
    fn reduce(x: &Tensor, axes: &[isize], keepdims: bool) -> Result<Tensor>;
}

/// The largest.
#[derive(Clone)]
pub struct Max;

/// The mean.
#[derive(Clone)]
pub struct Average;

impl Pool for Max {
    const KINDS: [&'static str; 2] = ["MaxPooling1D", "MaxPooling2D"];
    const GLOBAL: [&'static str; 2] = ["GlobalMaxPooling1D", "GlobalMaxPooling2D"];

    fn slide(x: &Tensor, params: Pool2dParams) -> Result<Tensor> {
        x.max_pool2d(params)
    }
    fn reduce(x: &Tensor, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        x.max(axes, keepdims)
    }
}

impl Pool for Average {
    const KINDS: [&'static str; 2] = ["AveragePooling1D", "AveragePooling2D"];
    const GLOBAL: [&'static str; 2] = ["GlobalAveragePooling1D", "GlobalAveragePooling2D"];

    fn slide(x: &Tensor, params: Pool2dParams) -> Result<Tensor> {
        x.avg_pool2d(params)
    }
    fn reduce(x: &Tensor, axes: &[isize], keepdims: bool) -> Result<Tensor> {
        x.mean(axes, keepdims)
    }
}

/// A window that slides, and what becomes of the values under it.
#[derive(Clone)]
pub struct Pooling<P, const R: usize> {
    base: Base,
    size: Size<R>,
    strides: Option<Size<R>>,
    padding: PaddingArg,
    pool: PhantomData<P>,
}

impl<P: Pool, const R: usize> Pooling<P, R> {
    /// Windows of this size, each beside the last.
    pub fn new(pool_size: impl Into<Size<R>>) -> Self {
        let base = Base::new(kind::<R>(P::KINDS));
        Pooling { base, size: pool_size.into(), strides: None, padding: PaddingArg::default(), pool: PhantomData }
    }

    /// The window moves by so many cells. Default: its own size.
    #[must_use]
    pub fn strides(mut self, strides: impl Into<Size<R>>) -> Self {
        self.strides = Some(strides.into());
        self
    }

    /// Whether windows may reach over the edge. Default: `Valid`, they may not.
    #[must_use]
    pub fn padding(mut self, padding: impl Into<PaddingArg>) -> Self {
        self.padding = padding.into();
        self
    }

    named!();

    fn params(&self) -> Result<Pool2dParams> {
        let strides = self.strides.unwrap_or(self.size).of_image();
        Ok(Pool2dParams { size: self.size.of_image(), strides, padding: self.padding.get(&self.base)? })
    }
}

impl<const R: usize> Default for Pooling<Max, R> {
    fn default() -> Self {
        Pooling::new(2)
    }
}

impl<P: Pool, const R: usize> Layer for Pooling<P, R> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        let params = self.params()?;
        let [height, width, _] = image_shape::<R>(&self.base, input)?;
        for (axis, n) in [height, width].into_iter().enumerate() {
            fits(&self.base, n, params.size[axis], params.strides[axis], 1, params.padding)?;
        }
        Ok(())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        on_images::<R>(x, |x| P::slide(x, self.params()?))
    }
}

/// One number for each channel.
#[derive(Clone)]
pub struct GlobalPooling<P, const R: usize> {
    base: Base,
    keepdims: bool,
    pool: PhantomData<P>,
}

impl<P: Pool, const R: usize> Default for GlobalPooling<P, R> {
    fn default() -> Self {
        GlobalPooling::new()
    }
}

impl<P: Pool, const R: usize> GlobalPooling<P, R> {
    /// The layer without `keepdims`.
    pub fn new() -> Self {
        GlobalPooling { base: Base::new(kind::<R>(P::GLOBAL)), keepdims: false, pool: PhantomData }
    }

    /// Whether the axes that are pooled stay, with length 1. Default: no.
    #[must_use]
    pub fn keepdims(mut self, keepdims: bool) -> Self {
        self.keepdims = keepdims;
        self
    }

    named!();
}

impl<P: Pool, const R: usize> Layer for GlobalPooling<P, R> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        image_shape::<R>(&self.base, input).map(|_| ())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        P::reduce(x, if R == 1 { &[1] } else { &[1, 2] }, self.keepdims)
    }
}

#[cfg(test)]
mod tests;
