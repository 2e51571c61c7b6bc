//! Losses: one value per sample, and how they become the number that is minimised.

mod binary_crossentropy;
mod categorical_crossentropy;
mod mean_squared_error;
mod sparse_categorical_crossentropy;

pub use binary_crossentropy::BinaryCrossentropy;
pub use categorical_crossentropy::CategoricalCrossentropy;
pub use mean_squared_error::MeanSquaredError;
pub use sparse_categorical_crossentropy::SparseCategoricalCrossentropy;

use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::shape::{DType, Shape, Spec};
use crate::suggest;
use crate::tensor::Tensor;

/// Keras's `epsilon()`: probabilities are kept so far from 0 and 1 before a logarithm.
const EPSILON: f64 = 1e-7;

/// A measure of how far predictions are from labels.
pub trait Loss: Send + Sync {
    /// Keras's name: `sparse_categorical_crossentropy`.
    fn name(&self) -> &str;

    /// Whether labels are class numbers, one per sample, rather than as wide as the predictions.
    fn takes_classes(&self) -> bool {
        false
    }

    /// Whether labels of this spec fit predictions of this shape (both with the batch axis first).
    ///
    /// # Errors
    /// [`Error::Shape`], with the loss to use instead where it can be told.
    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()>;

    /// The loss of every sample: the predictions' shape without the last axis.
    ///
    /// # Errors
    /// As [`Loss::check`].
    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor>;

    /// The mean loss of a batch, a tensor without axes: Keras's `sum_over_batch_size`.
    ///
    /// # Errors
    /// As [`Loss::check`].
    fn mean(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.call(y_true, y_pred)?.mean_all()
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
}

/// The loss of a Keras name, with its defaults: `"sparse_categorical_crossentropy"`, `"mse"`, …
///
/// # Errors
/// [`Error::Argument`] with the nearest name.
pub fn from_name(name: &str) -> Result<Box<dyn Loss>> {
    type Make = fn() -> Box<dyn Loss>;
    let known: [(&str, Make); 6] = [
        ("sparse_categorical_crossentropy", || Box::new(SparseCategoricalCrossentropy::default())),
        ("categorical_crossentropy", || Box::new(CategoricalCrossentropy::default())),
        ("binary_crossentropy", || Box::new(BinaryCrossentropy::default())),
        ("bce", || Box::new(BinaryCrossentropy::default())),
        ("mean_squared_error", || Box::new(MeanSquaredError)),
        ("mse", || Box::new(MeanSquaredError)),
    ];
    Ok(suggest::find("loss", name, &known)?())
}

/// The mean over a sample's other axes: `[n, …]` becomes `[n]`.
pub(crate) fn per_sample(values: &Tensor) -> Result<Tensor> {
    let axes: Vec<isize> = (1..values.rank() as isize).collect();
    if axes.is_empty() { Ok(values.clone()) } else { values.mean(&axes, false) }
}

/// The values in f32, as Keras casts labels of any type; other floats stay.
pub(crate) fn as_float(values: &Tensor, like: DType) -> Result<Tensor> {
    if values.dtype() == like { Ok(values.clone()) } else { values.cast(like) }
}

/// Class numbers as `u32` without a last axis of 1 that the predictions do not have.
pub(crate) fn as_classes(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let shape = &y_pred.shape()[..y_pred.rank() - 1];
    let labels = if y_true.shape()[..] == *shape { y_true.clone() } else { y_true.reshape(shape)? };
    as_float(&labels, DType::U32)
}

/// Whether class numbers of this shape belong to predictions of that shape: `[n]` or `[n, 1]` for `[n, classes]`.
pub(crate) fn are_classes(y_true: &Shape, y_pred: &Shape) -> bool {
    let Some((_, outer)) = y_pred.split_last() else { return false };
    y_true[..] == *outer || (y_true.rank() == y_pred.rank() && y_true.last() == Some(&1) && y_true[..outer.len()] == *outer)
}

/// Probabilities moved into `[ε, 1 - ε]`.
fn clip(p: &Tensor) -> Result<Tensor> {
    map1(&[p], |e| e[0].max(&e[0].number(EPSILON)).min(&e[0].number(1.0 - EPSILON)))
}

/// Whether labels are as wide as predictions; a last axis of 1 may be missing.
fn same_width(y_true: &Shape, y_pred: &Shape) -> bool {
    y_true == y_pred || are_classes(y_true, y_pred) && y_pred.last() == Some(&1)
}

/// Labels as floats of the predictions' shape.
fn as_dense(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let labels = if y_true.shape() == y_pred.shape() { y_true.clone() } else { y_true.reshape(y_pred.shape())? };
    as_float(&labels, y_pred.dtype())
}

fn wide_shape_error(name: &str, y_true: &Spec, y_pred: &Shape) -> Error {
    let error = Error::shape(name, format!("labels of the predictions' shape {y_pred}"), y_true);
    let classes = y_pred.last().copied().unwrap_or(0);
    if are_classes(&y_true.shape, y_pred) && classes > 1 {
        error.hint(format!("these look like class numbers for {classes} classes; did you mean SparseCategoricalCrossentropy?"))
    } else {
        error.hint("does the last layer have a unit for every column of the labels?")
    }
}

fn check_smoothing(name: &str, smoothing: f64) -> Result<()> {
    if (0.0..=1.0).contains(&smoothing) {
        return Ok(());
    }
    Err(Error::argument(format!("{name}: label_smoothing"), "a number from 0 to 1", smoothing))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(from_name("MSE").expect("known").name(), "mean_squared_error");
        assert!(from_name("sparse_categorical_crossentropy").expect("known").takes_classes());
        let text = from_name("sparse_categorical_crosentropy").err().expect("a slip").to_string();
        assert!(text.ends_with("did you mean \"sparse_categorical_crossentropy\"?"), "{text}");
    }
}
