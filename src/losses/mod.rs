//! Losses: one value per sample, and how they become the number that is minimised.

mod binary_crossentropy;
mod categorical_crossentropy;
mod circle;
mod ctc;
mod divergence;
mod elementwise;
mod hinge;
mod labels;
mod names;
mod overlap;
mod reduction;
pub(crate) mod settings;
mod sparse_categorical_crossentropy;

pub use binary_crossentropy::{BinaryCrossentropy, BinaryFocalCrossentropy};
pub use categorical_crossentropy::{CategoricalCrossentropy, CategoricalFocalCrossentropy};
pub use circle::Circle;
pub use ctc::CTC;
pub use divergence::{CosineSimilarity, KLDivergence};
pub use elementwise::{
    Huber, LogCosh, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredError, MeanSquaredLogarithmicError, Poisson,
};
pub use hinge::{CategoricalHinge, Hinge, SquaredHinge};
pub use names::from_name;
pub use overlap::{Dice, Tversky};
pub use reduction::Reduction;
pub use sparse_categorical_crossentropy::{CategoricalGeneralizedCrossEntropy, SparseCategoricalCrossentropy};

pub(crate) use labels::{
    EPSILON, are_classes, as_classes, as_dense, as_float, check_classes, check_share, check_width, per_sample, without_column,
};
pub(crate) use names::find;

use crate::error::Result;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;

/// A measure of how far predictions are from labels.
pub trait Loss: Send + Sync {
    /// Keras's name: `sparse_categorical_crossentropy`.
    fn name(&self) -> &str;

    /// Whether labels are one number per sample, of a class in the predictions' last axis, rather than as wide as the predictions.
    fn takes_classes(&self) -> bool {
        false
    }

    /// Whether labels of this spec fit predictions of this shape (both with the batch axis first).
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), with the loss to use instead where it can be told.
    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()>;

    /// The loss of every sample: the predictions' shape without the last axis. A loss of whole batches gives one value, without axes.
    ///
    /// # Errors
    /// As [`Loss::check`].
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor>;

    /// [`Loss::call`] where some samples do not count: `mask`, `[n]` or longer, is 0 there, else 1. Only a loss in which samples meet need say
    /// how; those that do not count must not change the values of the others.
    ///
    /// # Errors
    /// As [`Loss::check`].
    fn call_among(&self, y_true: &Tensor, y_pred: &Tensor, _mask: &Tensor) -> Result<Tensor> {
        self.call(y_true, y_pred)
    }

    /// Which of its values count: of their shape, 1 or 0. Default: all.
    ///
    /// # Errors
    /// As [`Loss::check`].
    fn mask(&self, _y_true: &Tensor, _values: &Tensor) -> Result<Option<Tensor>> {
        Ok(None)
    }

    /// What predictions it is made for, if it is for one kind: advice is given on last layers that make another.
    fn head(&self) -> Option<Head> {
        None
    }

    /// How the values become one number.
    fn reduction(&self) -> Reduction {
        Reduction::SumOverBatchSize
    }

    /// The loss of a batch, a tensor without axes.
    ///
    /// # Errors
    /// As [`Loss::check`].
    fn value(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.weighted_value(y_true, y_pred, None, None)
    }

    /// The loss of a batch whose samples have weights, and of which some may not count: see [`Reduction::apply`], whose `mask` is the one given
    /// here together with [`Loss::mask`].
    ///
    /// # Errors
    /// As [`Loss::check`]; [`Error::Shape`](crate::Error::Shape) for weights or a mask that fit neither the values nor the samples.
    fn weighted_value(&self, y_true: &Tensor, y_pred: &Tensor, sample_weight: Option<&Tensor>, mask: Option<&Tensor>) -> Result<Tensor> {
        let values = mask.map_or_else(|| self.call(y_true, y_pred), |mask| self.call_among(y_true, y_pred, mask))?;
        let own = self.mask(y_true, &values)?;
        let both = match (&own, mask) {
            (Some(own), Some(given)) => Some(reduction::along("mask", own, &values)?.mul(&reduction::along("mask", given, &values)?)?),
            (own, given) => own.as_ref().or(given).cloned(),
        };
        self.reduction().apply(&values, sample_weight, both.as_ref())
    }
}

impl<L: Loss + ?Sized> Loss for Box<L> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn takes_classes(&self) -> bool {
        (**self).takes_classes()
    }
    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        (**self).check(y_true, y_pred)
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        (**self).call(y_true, y_pred)
    }
    fn call_among(&self, y_true: &Tensor, y_pred: &Tensor, mask: &Tensor) -> Result<Tensor> {
        (**self).call_among(y_true, y_pred, mask)
    }
    fn mask(&self, y_true: &Tensor, values: &Tensor) -> Result<Option<Tensor>> {
        (**self).mask(y_true, values)
    }
    fn head(&self) -> Option<Head> {
        (**self).head()
    }
    fn reduction(&self) -> Reduction {
        (**self).reduction()
    }
}

/// What a last layer makes of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head {
    /// Probabilities of classes, of which one is right: a softmax.
    Softmax,
    /// Probabilities that each stand by themselves: a sigmoid.
    Sigmoid,
    /// Logits: no activation.
    Logits,
}

#[cfg(test)]
mod tests_support {
    use super::*;
    use crate::device::Device;

    pub fn tensor(shape: impl Into<Shape>, data: &[f32]) -> Result<Tensor> {
        Tensor::new(&Device::cpu(), shape, data)
    }

    pub fn close(got: &[f32], want: &[f64], relative: f64) {
        assert_eq!(got.len(), want.len(), "{got:?}");
        for (g, w) in got.iter().zip(want) {
            let error = (f64::from(*g) - w).abs();
            assert!(error <= relative * w.abs(), "{got:?} instead of {want:?}");
        }
    }
}
