//! Labels beside predictions: which shapes belong together, and the numbers that formulas take.

use crate::error::{Error, Result};
use crate::ops::pointwise::{Expr, map1};
use crate::shape::{DType, Shape, Spec};
use crate::tensor::Tensor;

/// Keras's `epsilon()`: what keeps divisions and logarithms away from 0.
pub(crate) const EPSILON: f64 = 1e-7;

/// The mean over a sample's other axes: `[n, …]` becomes `[n]`.
pub(crate) fn per_sample(values: &Tensor) -> Result<Tensor> {
    let axes: Vec<isize> = (1..values.rank() as isize).collect();
    if axes.is_empty() { Ok(values.clone()) } else { values.mean(&axes, false) }
}

/// The values in the type `like`, as Keras casts labels of any type.
pub(crate) fn as_float(values: &Tensor, like: DType) -> Result<Tensor> {
    if values.dtype() == like { Ok(values.clone()) } else { values.cast(like) }
}

/// Class numbers in their own type, without a last axis of 1 that the predictions do not have.
pub(crate) fn without_column(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let shape = &y_pred.shape()[..y_pred.rank() - 1];
    if y_true.shape()[..] == *shape { Ok(y_true.clone()) } else { y_true.reshape(shape) }
}

/// [`without_column`] as `u32`.
pub(crate) fn as_classes(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    as_float(&without_column(y_true, y_pred)?, DType::U32)
}

/// Whether class numbers of this shape belong to predictions of that shape: `[n]` or `[n, 1]` for `[n, classes]`.
pub(crate) fn are_classes(y_true: &Shape, y_pred: &Shape) -> bool {
    let Some((_, outer)) = y_pred.split_last() else { return false };
    y_true[..] == *outer || (y_true.rank() == y_pred.rank() && y_true.last() == Some(&1) && y_true[..outer.len()] == *outer)
}

/// Whether labels are as wide as predictions; a last axis of 1 may be missing.
pub(crate) fn same_width(y_true: &Shape, y_pred: &Shape) -> bool {
    y_true == y_pred || are_classes(y_true, y_pred) && y_pred.last() == Some(&1)
}

/// Labels as floats of the predictions' shape.
pub(crate) fn as_dense(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let labels = if y_true.shape() == y_pred.shape() { y_true.clone() } else { y_true.reshape(y_pred.shape())? };
    as_float(&labels, y_pred.dtype())
}

/// The number, or the nearer of two others that it is not between.
pub(super) fn clamp(number: &Expr, low: f64, high: f64) -> Expr {
    number.max(&number.number(low)).min(&number.number(high))
}

/// Probabilities moved into `[ε, 1 - ε]`.
pub(super) fn clip(p: &Tensor) -> Result<Tensor> {
    map1(&[p], |e| clamp(&e[0], EPSILON, 1.0 - EPSILON))
}

/// That labels are as wide as predictions.
pub(crate) fn check_width(name: &str, y_true: &Spec, y_pred: &Shape) -> Result<()> {
    if same_width(&y_true.shape, y_pred) {
        return Ok(());
    }
    let error = Error::shape(name, format!("labels of the predictions' shape {y_pred}"), y_true);
    let classes = y_pred.last().copied().unwrap_or(0);
    if !are_classes(&y_true.shape, y_pred) || classes <= 1 {
        return Err(error.hint("does the last layer have a unit for every column of the labels?"));
    }
    let instead = match name {
        _ if name.contains("crossentropy") => "did you mean SparseCategoricalCrossentropy?",
        _ if name.contains("accuracy") => "did you mean SparseCategoricalAccuracy?",
        _ => "make them one-hot",
    };
    Err(error.hint(format!("these look like class numbers for {classes} classes; {instead}")))
}

/// That labels are one class number per sample.
pub(crate) fn check_classes(name: &str, y_true: &Spec, y_pred: &Shape) -> Result<()> {
    if are_classes(&y_true.shape, y_pred) {
        return Ok(());
    }
    let outer = Shape::from(&y_pred[..y_pred.rank().saturating_sub(1)]);
    let error = Error::shape(name, format!("class numbers of shape {outer} for predictions {y_pred}"), y_true);
    Err(if y_true.shape == *y_pred {
        let instead = if name.contains("accuracy") { "CategoricalAccuracy" } else { "CategoricalCrossentropy" };
        error.hint(format!("these look like one-hot labels; did you mean {instead}?"))
    } else {
        error.hint("give one class number per sample; is a Flatten missing before the last layer?")
    })
}

/// That a share is one: from 0 to 1.
pub(crate) fn check_share(name: &str, option: &str, share: f64) -> Result<()> {
    if (0.0..=1.0).contains(&share) {
        return Ok(());
    }
    Err(Error::argument(format!("{name}: {option}"), "a number from 0 to 1", share))
}
