//! Metrics: numbers that are reported but not minimised. A metric is a few sums over the samples and what follows from them; the sums live on
//! the device, see [`crate::train`].

mod accuracy;
mod auc;
mod confusion;
mod f_score;
mod iou;
mod mean;
mod names;
mod operating_point;
mod r2_score;
mod regression;
mod running;
mod thresholds;

pub use accuracy::{
    Accuracy, BinaryAccuracy, CategoricalAccuracy, ExactAccuracy, SparseCategoricalAccuracy, SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
};
pub use auc::{AUC, Curve, Summation};
pub use confusion::{FalseNegatives, FalsePositives, Precision, Recall, TrueNegatives, TruePositives};
pub use f_score::{Average, F1Score, FBetaScore};
pub use iou::{BinaryIoU, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU};
pub use mean::{MeanMetric, OfLoss};
pub use names::from_name;
pub use operating_point::{PrecisionAtRecall, RecallAtPrecision, SensitivityAtSpecificity, SpecificityAtSensitivity};
pub use r2_score::{Aggregation, R2Score};
pub use regression::{ConcordanceCorrelation, CosineSimilarity, LogCoshError, PearsonCorrelation, RootMeanSquaredError};
pub use running::{Mean, Running, Sum};

use crate::error::Result;
use crate::losses;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Which values of a metric are better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Smaller ones, as of an error.
    Min,
    /// Larger ones, as of an accuracy.
    Max,
}

/// A number that is reported but not minimised.
///
/// Over any number of batches, `sums` starts at zeros, [`Metric::update`] says what to add to it for each, and [`Metric::result`] what it
/// amounts to.
pub trait Metric: Send + Sync {
    /// The name in logs.
    fn name(&self) -> &str;

    /// How many sums it needs for predictions of this shape, `[n, …]`; `n` does not matter.
    fn size(&self, y_pred: &Shape) -> usize;

    /// What a batch adds to the sums: f32 `[size]`, for labels `[n, …]`, predictions `[n, …]` and f32 weights of the samples `[n]`. A sample of
    /// weight 0 adds nothing, whatever it holds.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for labels that do not fit the predictions.
    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor>;

    /// The value for sums over all samples so far.
    fn result(&self, sums: &[f64]) -> f64;

    /// All values, of a metric that has several: one for each threshold or class. [`Metric::result`] is then their mean.
    fn results(&self, sums: &[f64]) -> Vec<f64> {
        vec![self.result(sums)]
    }

    /// Which values are better, where that is known: what `mode = "auto"` of a callback asks.
    fn direction(&self) -> Option<Direction> {
        None
    }
}

impl<M: Metric + ?Sized> Metric for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn size(&self, y_pred: &Shape) -> usize {
        (**self).size(y_pred)
    }
    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        (**self).update(y_true, y_pred, weights)
    }
    fn result(&self, sums: &[f64]) -> f64 {
        (**self).result(sums)
    }
    fn results(&self, sums: &[f64]) -> Vec<f64> {
        (**self).results(sums)
    }
    fn direction(&self) -> Option<Direction> {
        (**self).direction()
    }
}

macro_rules! of_losses {
    ($($loss:ident $what:literal),*) => { $(
        #[doc = concat!("The mean over all samples of ", $what, "; options come with [`OfLoss::of`].")]
        pub type $loss = OfLoss<losses::$loss>;
    )* };
}
of_losses!(
    MeanSquaredError "squared errors",
    MeanAbsoluteError "absolute errors",
    MeanAbsolutePercentageError "absolute errors in percent of the labels",
    MeanSquaredLogarithmicError "squared errors of logarithms",
    Hinge "hinge losses",
    SquaredHinge "squared hinge losses",
    CategoricalHinge "categorical hinge losses",
    KLDivergence "Kullback-Leibler divergences",
    Poisson "Poisson losses",
    BinaryCrossentropy "binary crossentropies",
    CategoricalCrossentropy "crossentropies with one-hot labels",
    SparseCategoricalCrossentropy "crossentropies with class numbers"
);

#[cfg(test)]
mod tests_support {
    use super::*;

    /// The value after these batches of labels, predictions and weights.
    pub fn value(metric: &dyn Metric, batches: &[(&Tensor, &Tensor, &[f32])]) -> Result<f64> {
        let mut sums = Vec::new();
        for (y_true, y_pred, weights) in batches {
            let weights = Tensor::new(y_pred.device(), [weights.len()], weights)?;
            let added: Vec<f32> = metric.update(y_true, y_pred, &weights)?.to_vec()?;
            assert_eq!(added.len(), metric.size(y_pred.shape()));
            sums.resize(added.len(), 0.0);
            sums.iter_mut().zip(added).for_each(|(sum, add)| *sum += f64::from(add));
        }
        Ok(metric.result(&sums))
    }
}
