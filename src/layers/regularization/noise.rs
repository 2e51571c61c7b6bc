//! Noise with a normal distribution, and dropout that suits SELU.

use super::super::{Base, Build, Call, Layer, named};
use super::{NoiseShape, noise_shape_option};
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// In training, adds normal noise of mean 0; otherwise does nothing. Outputs have the inputs' shape.
#[derive(Clone)]
pub struct GaussianNoise {
    base: Base,
    stddev: f64,
}

/// In training, multiplies each value by normal noise of mean 1 and variance `rate / (1 - rate)`; otherwise does nothing. Outputs have the
/// inputs' shape. (Srivastava et al. 2014.)
#[derive(Clone)]
pub struct GaussianDropout {
    base: Base,
    rate: f64,
}

/// In training, sets each value with probability `rate` to the value that SELU gives for minus infinity, and then scales and shifts all so that
/// mean 0 and variance 1 stay; otherwise does nothing. Outputs have the inputs' shape. (Klambauer et al. 2017.)
#[derive(Clone)]
pub struct AlphaDropout {
    base: Base,
    rate: f64,
    noise_shape: NoiseShape,
}

impl GaussianNoise {
    /// The noise's standard deviation.
    pub fn new(stddev: f64) -> GaussianNoise {
        GaussianNoise { base: Base::new("GaussianNoise"), stddev }
    }

    named!();
}

impl GaussianDropout {
    /// The rate of a [`Dropout`](super::Dropout) with noise as strong: from 0, below 1.
    pub fn new(rate: f64) -> GaussianDropout {
        GaussianDropout { base: Base::new("GaussianDropout"), rate }
    }

    named!();
}

impl AlphaDropout {
    /// The probability of being dropped: from 0, below 1.
    pub fn new(rate: f64) -> AlphaDropout {
        AlphaDropout { base: Base::new("AlphaDropout"), rate, noise_shape: NoiseShape::default() }
    }

    noise_shape_option!();
    named!();
}

impl Layer for GaussianNoise {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, _input: &Shape, cx: &Build) -> Result<()> {
        if !(self.stddev >= 0.0 && self.stddev.is_finite()) {
            return Err(Error::argument(format!("{}: stddev", self.base.title()), "a number from 0", self.stddev));
        }
        cx.seeds(&self.base)
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        if !cx.training || self.stddev == 0.0 {
            return Ok(x.clone());
        }
        let noise = self.base.seeds()?.normal_as(x.shape(), x.dtype())?;
        map1(&[x, &noise], |e| &e[0] + &e[1] * self.stddev)
    }
}

impl Layer for GaussianDropout {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, _input: &Shape, cx: &Build) -> Result<()> {
        check_below_one(&self.base, self.rate)?;
        cx.seeds(&self.base)
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        if !cx.training || self.rate == 0.0 {
            return Ok(x.clone());
        }
        let noise = self.base.seeds()?.normal_as(x.shape(), x.dtype())?;
        let stddev = (self.rate / (1.0 - self.rate)).sqrt();
        map1(&[x, &noise], |e| &e[0] * (&e[1] * stddev + 1.0))
    }
}

impl Layer for AlphaDropout {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, _input: &Shape, cx: &Build) -> Result<()> {
        check_below_one(&self.base, self.rate)?;
        cx.seeds(&self.base)
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        if !cx.training || self.rate == 0.0 {
            return Ok(x.clone());
        }
        let shape = self.noise_shape.of(&self.base, x.shape())?;
        let kept = self.base.seeds()?.bernoulli_as(shape, 1.0 - self.rate, x.dtype())?;
        let scale = ((1.0 - self.rate) * (1.0 + self.rate * SATURATED * SATURATED)).powf(-0.5);
        let offset = -scale * SATURATED * self.rate;
        map1(&[x, &kept], |e| (&e[0] * &e[1] + SATURATED * (1.0 - &e[1])) * scale + offset)
    }
}

/// What SELU gives for minus infinity: minus its alpha times its scale.
const SATURATED: f64 = -1.673_263_242_354_377_2 * 1.050_700_987_355_480_5;

fn check_below_one(base: &Base, rate: f64) -> Result<()> {
    if (0.0..1.0).contains(&rate) {
        return Ok(());
    }
    Err(Error::argument(format!("{}: rate", base.title()), "a number from 0, below 1", rate))
}
