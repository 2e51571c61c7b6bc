//! Constant rates in turn.

use super::{LearningRateSchedule, at_least_0};
use crate::error::{Error, Result};
use crate::ops::pointwise::Expr;

/// `values[0]` while the count is at most `boundaries[0]`, then `values[1]` while it is at most `boundaries[1]`, and so on; the last value after
/// the last boundary.
pub struct PiecewiseConstantDecay {
    boundaries: Vec<u32>,
    values: Vec<f64>,
}

impl PiecewiseConstantDecay {
    /// These values, and, in rising order, where one gives way to the next: one boundary less than there are values.
    pub fn new(boundaries: impl Into<Vec<u32>>, values: impl Into<Vec<f64>>) -> PiecewiseConstantDecay {
        PiecewiseConstantDecay { boundaries: boundaries.into(), values: values.into() }
    }
}

impl LearningRateSchedule for PiecewiseConstantDecay {
    fn rate(&self, count: &Expr) -> Expr {
        let number = |value: Option<&f64>| count.number(value.copied().unwrap_or(0.0)).cast(crate::DType::F32);
        let pieces = self.boundaries.iter().zip(&self.values).rev();
        pieces.fold(number(self.values.last()), |later, (&boundary, value)| {
            count.le(&count.number(f64::from(boundary))).select(&number(Some(value)), &later)
        })
    }

    fn check(&self) -> Result<()> {
        if self.values.len() != self.boundaries.len() + 1 {
            let want = format!("{}, one more than boundaries", self.boundaries.len() + 1);
            return Err(Error::argument("PiecewiseConstantDecay: number of values", want, self.values.len()));
        }
        if !self.boundaries.is_sorted() {
            return Err(Error::argument("PiecewiseConstantDecay: boundaries", "rising numbers", format!("{:?}", self.boundaries)));
        }
        self.values.iter().try_for_each(|value| at_least_0("PiecewiseConstantDecay", "values", *value))
    }
}
