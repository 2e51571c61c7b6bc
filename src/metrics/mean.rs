//! Metrics that are a weighted mean of one value per sample.

use super::{Direction, Metric};
use crate::error::{Error, Result};
use crate::losses::{Loss, as_float, per_sample};
use crate::ops::pointwise::{Expr, map1};
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;
use std::fmt;
use std::sync::Arc;

type Formula = dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync;

/// The mean of any function of labels and predictions that gives values `[n, …]`.
///
/// ```
/// use gradus::metrics::MeanMetric;
/// let largest_error = MeanMetric::new("largest_error", |y_true, y_pred| y_pred.sub(y_true)?.abs()?.max(&[-1], false));
/// ```
#[derive(Clone)]
pub struct MeanMetric {
    name: String,
    direction: Option<Direction>,
    formula: Arc<Formula>,
}

impl MeanMetric {
    /// The mean of `formula(y_true, y_pred)`, whose values are `[n, …]`: over a sample's values first, then over the samples.
    pub fn new(name: impl Into<String>, formula: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static) -> MeanMetric {
        MeanMetric { name: name.into(), direction: None, formula: Arc::new(formula) }
    }

    /// Says which values are better, for callbacks whose mode is `auto`.
    #[must_use]
    pub fn better(mut self, direction: Direction) -> MeanMetric {
        self.direction = Some(direction);
        self
    }
}

impl fmt::Debug for MeanMetric {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("MeanMetric").field("name", &self.name).field("direction", &self.direction).finish_non_exhaustive()
    }
}

impl Metric for MeanMetric {
    fn name(&self) -> &str {
        &self.name
    }
    fn size(&self, _y_pred: &Shape) -> usize {
        SIZE
    }
    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        update(&self.name, &(self.formula)(y_true, y_pred)?, None, weights)
    }
    fn result(&self, sums: &[f64]) -> f64 {
        result(sums)
    }
    fn direction(&self) -> Option<Direction> {
        self.direction
    }
}

/// The mean of a loss over all samples; its reduction does not matter, and values that the loss leaves out are left out here. The one value of a
/// loss of whole batches stands for each sample of the batch.
#[derive(Clone, Debug)]
pub struct OfLoss<L> {
    name: String,
    loss: L,
}

impl<L: Loss> OfLoss<L> {
    /// The mean of this loss, under its name.
    pub fn of(loss: L) -> OfLoss<L> {
        OfLoss { name: loss.name().into(), loss }
    }

    /// Its name in logs.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> OfLoss<L> {
        self.name = name.into();
        self
    }
}

impl<L: Loss + Default> OfLoss<L> {
    /// The mean of the loss with its defaults.
    pub fn new() -> OfLoss<L> {
        OfLoss::of(L::default())
    }
}

impl<L: Loss + Default> Default for OfLoss<L> {
    fn default() -> OfLoss<L> {
        OfLoss::new()
    }
}

impl<L: Loss> Metric for OfLoss<L> {
    fn name(&self) -> &str {
        &self.name
    }
    fn size(&self, _y_pred: &Shape) -> usize {
        SIZE
    }
    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        // What does not count must not count for the others, where samples meet.
        let counts = map1(&[weights], |e| e[0].ne(&e[0].number(0.0)).cast(DType::F32))?;
        let values = self.loss.call_among(y_true, y_pred, &counts)?;
        let values = if values.rank() == 0 { values.broadcast_to(weights.shape())? } else { values };
        update(&self.name, &values, self.loss.mask(y_true, &values)?.as_ref(), weights)
    }
    fn result(&self, sums: &[f64]) -> f64 {
        result(sums)
    }
    fn direction(&self) -> Option<Direction> {
        Some(Direction::Min)
    }
}

/// The sums of a mean: of the weighted values, and of the weights.
pub(super) const SIZE: usize = 2;

/// What values `[n, …]`, of which a mask may leave some out, add to the sums of a mean.
pub(super) fn update(name: &str, values: &Tensor, mask: Option<&Tensor>, weights: &Tensor) -> Result<Tensor> {
    if values.shape().first() != Some(&weights.shape().elements()) || weights.rank() != 1 {
        return Err(Error::shape(name, format!("values per sample [{}, …]", weights.shape().elements()), values.shape()));
    }
    let values = as_float(values, DType::F32)?;
    let (values, counts) = match mask {
        None => (per_sample(&values)?, weights.clone()),
        Some(mask) => {
            let mask = as_float(mask, DType::F32)?;
            (per_sample(&map1(&[&values, &mask], |e| keep(&e[1], &e[0]))?)?, per_sample(&mask)?.mul(weights)?)
        }
    };
    let total = map1(&[&values, weights], |e| keep(&e[1], &(&e[0] * &e[1])))?;
    Tensor::concat(&[&total.sum(&[0], true)?, &counts.sum(&[0], true)?], 0)
}

/// The mean, 0 where nothing was counted.
pub(super) fn result(sums: &[f64]) -> f64 {
    ratio(sums[0], sums[1])
}

/// `a / b`, and 0 where `b` is 0: Keras's `divide_no_nan`.
pub(super) fn ratio(a: f64, b: f64) -> f64 {
    if b == 0.0 { 0.0 } else { a / b }
}

/// Makes a metric of a type: the mean of a formula of the metric, the labels and the predictions, whose values are `[n, …]`, and what is done to
/// the mean in the end.
macro_rules! mean_of {
    ($type:ident, $direction:ident, $formula:expr $(, $finish:expr)?) => {
        impl Metric for $type {
            fn name(&self) -> &str {
                &self.name
            }
            fn size(&self, _y_pred: &Shape) -> usize {
                mean::SIZE
            }
            fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
                let formula: fn(&$type, &Tensor, &Tensor) -> Result<Tensor> = $formula;
                mean::update(&self.name, &formula(self, y_true, y_pred)?, None, weights)
            }
            fn result(&self, sums: &[f64]) -> f64 {
                let mean = mean::result(sums);
                $(let mean = $finish(mean);)?
                mean
            }
            fn direction(&self) -> Option<Direction> {
                Some(Direction::$direction)
            }
        }
    };
}
pub(super) use mean_of;

/// The value, or 0 where the weight is 0, so that a NaN in a sample that does not count cannot spread.
pub(super) fn keep(weight: &Expr, value: &Expr) -> Expr {
    let zero = value.number(0.0);
    weight.eq(&zero).select(&zero, value)
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::value;
    use super::*;
    use crate::device::Device;
    use crate::losses::MeanSquaredError;

    #[test]
    fn means_over_two_batches() -> Result<()> {
        let cpu = Device::cpu();
        let y_true = Tensor::new(&cpu, [2, 2], &[0.0f32; 4])?;
        let y_pred = Tensor::new(&cpu, [2, 2], &[1.0f32, 3.0, f32::NAN, 0.0])?;
        let other = Tensor::new(&cpu, [2, 2], &[2.0f32, 2.0, 0.0, 4.0])?;
        let batches: [(&Tensor, &Tensor, &[f32]); 2] = [(&y_true, &y_pred, &[1.0, 0.0]), (&y_true, &other, &[2.0, 0.5])];
        // Squares: mean 5 with weight 1, a NaN that does not count, mean 4 with weight 2, mean 8 with weight a half.
        let metric = OfLoss::of(MeanSquaredError::new());
        assert_eq!((metric.name(), metric.direction()), ("mean_squared_error", Some(Direction::Min)));
        assert!((value(&metric, &batches)? - 17.0 / 3.5).abs() <= 1e-6);
        let whole = value(&OfLoss::of(crate::losses::Dice::new()), &[(&y_pred.slice(&[0..1])?, &other.slice(&[0..1])?, &[2.0])])?;
        assert!((whole - (1.0 - 16.0 / 8.0)).abs() <= 1e-6);
        let own = MeanMetric::new("own", |y_true, y_pred| y_pred.sub(y_true)?.square()).better(Direction::Min);
        assert!((value(&own, &batches)? - 17.0 / 3.5).abs() <= 1e-6);
        assert_eq!(own.result(&[0.0, 0.0]), 0.0);
        Ok(())
    }

    #[test]
    fn one_value_for_a_batch_is_no_value_per_sample() -> Result<()> {
        let cpu = Device::cpu();
        let x = Tensor::new(&cpu, [2, 2], &[0.0f32; 4])?;
        let metric = MeanMetric::new("own", |_, y_pred| y_pred.mean_all());
        let error = metric.update(&x, &x, &Tensor::new(&cpu, [2], &[1.0f32; 2])?).expect_err("a scalar").to_string();
        assert_eq!(error, "own: expected values per sample [2, …], got []");
        Ok(())
    }
}
