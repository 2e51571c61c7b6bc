//! Images made larger.

use crate::error::{Error, Result};
use crate::layers::finish::at_least_one;
use crate::layers::images::{image_shape, kind, on_images};
use crate::layers::{Base, Build, Call, Layer, Size, named};
use crate::shape::Shape;
use crate::suggest;
use crate::tensor::Tensor;
use std::str::FromStr;

/// How new pixels get their values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Interpolation {
    /// Those of the old pixel that they lie in.
    #[default]
    Nearest,
    /// Mixed from the nearest old pixels along each axis: [`Tensor::resize_bilinear2d`].
    Bilinear,
}

impl FromStr for Interpolation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Interpolation> {
        suggest::find("interpolation", name, &[("nearest", Interpolation::Nearest), ("bilinear", Interpolation::Bilinear)])
    }
}

/// An [`Interpolation`], or the name of one: `"nearest"`, `"bilinear"`. A wrong name is reported when the layer is built.
#[derive(Clone, Debug)]
pub struct InterpolationArg(Result<Interpolation>);

impl From<Interpolation> for InterpolationArg {
    fn from(interpolation: Interpolation) -> InterpolationArg {
        InterpolationArg(Ok(interpolation))
    }
}
impl From<&str> for InterpolationArg {
    fn from(name: &str) -> InterpolationArg {
        InterpolationArg(name.parse())
    }
}

/// Images with several times the rows and columns. Inputs `[n, height, width, channels]`, outputs `[n, height · rows, width · columns, channels]`.
/// Defaults: size 2, interpolation nearest.
pub type UpSampling2D = UpSampling<2>;

/// Every step several times. Inputs `[n, steps, channels]`, outputs `[n, steps · size, channels]`. Default: size 2.
pub type UpSampling1D = UpSampling<1>;

/// [`UpSampling1D`] and [`UpSampling2D`].
#[derive(Clone)]
pub struct UpSampling<const R: usize> {
    base: Base,
    size: Size<R>,
    interpolation: InterpolationArg,
}

impl<const R: usize> UpSampling<R> {
    /// How many times as long each axis gets.
    pub fn new(size: impl Into<Size<R>>) -> Self {
        let base = Base::new(kind::<R>(["UpSampling1D", "UpSampling2D"]));
        UpSampling { base, size: size.into(), interpolation: Interpolation::Nearest.into() }
    }

    named!();
}

impl UpSampling<2> {
    /// How new pixels get their values. Default: nearest.
    #[must_use]
    pub fn interpolation(mut self, interpolation: impl Into<InterpolationArg>) -> Self {
        self.interpolation = interpolation.into();
        self
    }
}

impl<const R: usize> Default for UpSampling<R> {
    fn default() -> Self {
        UpSampling::new(2)
    }
}

impl<const R: usize> Layer for UpSampling<R> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        self.size.0.iter().try_for_each(|&times| at_least_one(&self.base, "size", times))?;
        self.interpolation.0.clone().map_err(|e| e.at(self.base.title()))?;
        image_shape::<R>(&self.base, input).map(|_| ())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let size = self.size.of_image();
        match self.interpolation.0.clone()? {
            Interpolation::Nearest => on_images::<R>(x, |x| x.resize_nearest2d(size)),
            Interpolation::Bilinear => on_images::<R>(x, |x| x.resize_bilinear2d(size)),
        }
    }
}
