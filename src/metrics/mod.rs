//! Metrics: one value per sample, whose mean over an epoch is reported. Totals and counts live on the device, see [`crate::train`].

mod accuracy;

pub use accuracy::Accuracy;

use crate::error::Result;
use crate::suggest;
use crate::tensor::Tensor;

/// A number that is reported but not minimised.
pub trait Metric: Send + Sync {
    /// The name in logs.
    fn name(&self) -> &str;

    /// The value of every sample, f32 of shape `[n]`, for labels `[n, …]` and predictions `[n, …]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for labels that do not fit the predictions.
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor>;
}

impl<M: Metric + ?Sized> Metric for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        (**self).call(y_true, y_pred)
    }
}

/// The metric of a Keras name; logs use the name as it is given: `"accuracy"`, `"acc"`.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) with the nearest name.
pub fn from_name(name: &str) -> Result<Box<dyn Metric>> {
    suggest::find("metric", name, &[("accuracy", ()), ("acc", ())])?;
    Ok(Box::new(Accuracy::default().named(name)))
}
