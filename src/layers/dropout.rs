//! Dropout.

use super::{Build, Call, Layer, layer_name, not_built, title};
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::ops::random::SeedGenerator;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// In training, sets each value to 0 with probability `rate` and divides the others by `1 - rate`, so that the expected value stays; otherwise
/// does nothing. Outputs have the inputs' shape. (Srivastava et al. 2014, inverted as in Keras.)
pub struct Dropout {
    name: String,
    rate: f64,
    seeds: Option<SeedGenerator>,
}

impl Dropout {
    /// The probability of being dropped: 0 drops nothing, 1 everything.
    pub fn new(rate: f64) -> Dropout {
        Dropout { name: String::new(), rate, seeds: None }
    }
}

impl Layer for Dropout {
    fn kind(&self) -> &'static str {
        "Dropout"
    }

    layer_name!();

    fn build(&mut self, input: &Shape, cx: &mut Build) -> Result<Shape> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(Error::argument(format!("{}: rate", title(self)), "a number from 0 to 1", self.rate));
        }
        if self.seeds.is_none() {
            self.seeds = Some(cx.seed_generator()?);
        }
        Ok(input.clone())
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        if !cx.training || self.rate == 0.0 {
            return Ok(x.clone());
        }
        if self.rate >= 1.0 {
            return x.mul_scalar(0.0);
        }
        let seeds = self.seeds.as_ref().ok_or_else(|| not_built(self))?;
        let kept = seeds.bernoulli_as(x.shape(), 1.0 - self.rate, x.dtype())?;
        let scale = 1.0 / (1.0 - self.rate);
        map1(&[x, &kept], |e| &e[0] * &e[1] * scale)
    }
}
