//! Layers that do something in training only: they drop values, add noise, or cost something.

mod activity;
mod dropout;
mod noise;

pub use activity::ActivityRegularization;
pub use dropout::{Dropout, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D};
pub use noise::{AlphaDropout, GaussianDropout, GaussianNoise};

pub(super) use dropout::{check_rate, drop};

use super::Base;
use crate::error::{Error, Result};
use crate::shape::Shape;

/// The shape of the random numbers for a batch: along some axes as long as the batch, along others 1, so that all share one.
#[derive(Clone, Debug, Default)]
struct NoiseShape(Option<Vec<Option<usize>>>);

impl NoiseShape {
    fn of(&self, base: &Base, batch: &Shape) -> Result<Shape> {
        let Some(given) = &self.0 else { return Ok(batch.clone()) };
        let shape: Vec<usize> = given.iter().zip(&batch[..]).map(|(given, &length)| given.unwrap_or(length)).collect();
        let fits = given.len() == batch.rank() && shape.iter().zip(&batch[..]).all(|(&noise, &length)| noise == length || noise == 1);
        if fits {
            return Ok(Shape::from(shape));
        }
        let want = format!("for each axis of a batch {batch} its length, 1, or `None` for its length");
        Err(Error::argument(format!("{}: noise_shape", base.title()), want, format!("{given:?}")))
    }
}

/// The builder method of layers with a field `noise_shape`.
macro_rules! noise_shape_option {
    () => {
        /// The shape of what is drawn, with the batch axis; `None` stands for an axis's length. Where it is 1, the whole axis shares one
        /// decision: `[None, Some(1), None]` drops whole features of a sequence. Default: one for each value.
        #[must_use]
        pub fn noise_shape(mut self, shape: impl Into<Vec<Option<usize>>>) -> Self {
            self.noise_shape = super::NoiseShape(Some(shape.into()));
            self
        }
    };
}
use noise_shape_option;

#[cfg(test)]
mod tests;
