//! Dropout, of single values and of whole channels.

use super::super::{Base, Build, Call, Layer, named};
use super::{NoiseShape, noise_shape_option};
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// In training, sets each value to 0 with probability `rate` and divides the others by `1 - rate`, so that the expected value stays; otherwise
/// does nothing. Outputs have the inputs' shape. (Srivastava et al. 2014, inverted as in Keras.)
#[derive(Clone)]
pub struct Dropout {
    base: Base,
    rate: f64,
    noise_shape: NoiseShape,
}

impl Dropout {
    /// The probability of being dropped: 0 drops nothing, 1 everything.
    pub fn new(rate: f64) -> Dropout {
        Dropout { base: Base::new("Dropout"), rate, noise_shape: NoiseShape::default() }
    }

    noise_shape_option!();
    named!();
}

impl Layer for Dropout {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, _input: &Shape, cx: &Build) -> Result<()> {
        check_rate(&self.base, "rate", self.rate)?;
        cx.seeds(&self.base)
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        drop(&self.base, x, self.rate, &self.noise_shape.of(&self.base, x.shape())?, cx)
    }
}

macro_rules! spatial_dropout {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $axes:literal, $shape:literal) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            base: Base,
            rate: f64,
        }

        impl $name {
            /// The probability of being dropped: 0 drops nothing, 1 everything.
            pub fn new(rate: f64) -> $name {
                $name { base: Base::new($kind), rate }
            }

            named!();
        }

        impl Layer for $name {
            fn base(&self) -> &Base {
                &self.base
            }

            fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
                check_rate(&self.base, "rate", self.rate)?;
                if input.rank() != $axes {
                    return Err(Error::shape(self.base.title(), concat!("samples of shape ", $shape), format!("{input} per sample")));
                }
                cx.seeds(&self.base)
            }

            fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
                let last = x.rank().saturating_sub(1);
                let shape = x.shape().iter().enumerate().map(|(axis, &n)| if axis == 0 || axis == last { n } else { 1 });
                drop(&self.base, x, self.rate, &Shape::from(shape.collect::<Vec<_>>()), cx)
            }
        }
    };
}

spatial_dropout! {
    /// [`Dropout`] of whole features of a sequence. Inputs `[n, steps, channels]`, outputs the same. (Tompson et al. 2014.)
    SpatialDropout1D, "SpatialDropout1D", 2, "[steps, channels]"
}

spatial_dropout! {
    /// [`Dropout`] of whole channels of an image. Inputs `[n, height, width, channels]`, outputs the same. (Tompson et al. 2014.)
    SpatialDropout2D, "SpatialDropout2D", 3, "[height, width, channels]"
}

spatial_dropout! {
    /// [`Dropout`] of whole channels of a volume. Inputs `[n, depth, height, width, channels]`, outputs the same. (Tompson et al. 2014.)
    SpatialDropout3D, "SpatialDropout3D", 4, "[depth, height, width, channels]"
}

/// That a probability of being dropped is one.
pub(in crate::layers) fn check_rate(base: &Base, option: &str, rate: f64) -> Result<()> {
    if (0.0..=1.0).contains(&rate) {
        return Ok(());
    }
    Err(Error::argument(format!("{}: {option}", base.title()), "a number from 0 to 1", rate))
}

/// In training, `x` with some values set to 0 and the others divided by the probability of that. `drawn` is the shape of the decisions, which
/// broadcasts to that of `x`; `base` has a source of random numbers.
pub(in crate::layers) fn drop(base: &Base, x: &Tensor, rate: f64, drawn: &Shape, cx: &Call) -> Result<Tensor> {
    if !cx.training || rate == 0.0 {
        return Ok(x.clone());
    }
    if rate >= 1.0 {
        return x.mul_scalar(0.0);
    }
    let kept = base.seeds()?.bernoulli_as(drawn, 1.0 - rate, x.dtype())?;
    let scale = 1.0 / (1.0 - rate);
    map1(&[x, &kept], |e| &e[0] * &e[1] * scale)
}
