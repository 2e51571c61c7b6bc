//! Crossentropy with one-hot labels.

use super::{Loss, as_dense, clip, same_width, wide_shape_error};
use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::shape::{Shape, Spec};
use crate::tensor::{Squash, Tensor};

/// `-Σ t · log p` over the last axis, for labels and predictions `[n, classes]`.
///
/// Predictions that a softmax made are taken back to its logits. Other probabilities are divided by their sum and clipped to
/// `[1e-7, 1 - 1e-7]`. Defaults: predictions are probabilities, no label smoothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct CategoricalCrossentropy {
    from_logits: bool,
    label_smoothing: f64,
}

impl CategoricalCrossentropy {
    /// The loss for probabilities.
    pub fn new() -> CategoricalCrossentropy {
        CategoricalCrossentropy::default()
    }

    /// Whether predictions are logits. Default: no, probabilities.
    #[must_use]
    pub fn from_logits(mut self, from_logits: bool) -> CategoricalCrossentropy {
        self.from_logits = from_logits;
        self
    }

    /// Replaces labels `t` by `t · (1 - smoothing) + smoothing / classes`. From 0 to 1. Default: 0.
    #[must_use]
    pub fn label_smoothing(mut self, smoothing: f64) -> CategoricalCrossentropy {
        self.label_smoothing = smoothing;
        self
    }
}

impl Loss for CategoricalCrossentropy {
    fn name(&self) -> &str {
        "categorical_crossentropy"
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        super::check_smoothing(self.name(), self.label_smoothing)?;
        if same_width(&y_true.shape, y_pred) { Ok(()) } else { Err(wide_shape_error(self.name(), y_true, y_pred)) }
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let mut labels = as_dense(y_true, y_pred)?;
        if self.label_smoothing != 0.0 {
            let classes = y_pred.shape().last().copied().unwrap_or(1) as f64;
            labels = map1(&[&labels], |e| &e[0] * (1.0 - self.label_smoothing) + self.label_smoothing / classes)?;
        }
        match y_pred.logits(Squash::Softmax) {
            Some(logits) => logits.softmax_crossentropy(&labels),
            None if self.from_logits => y_pred.softmax_crossentropy(&labels),
            None => {
                let p = clip(&y_pred.div(&y_pred.sum(&[-1], true)?)?)?;
                map1(&[&labels, &p], |e| -(&e[0] * e[1].log()))?.sum(&[-1], false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;

    #[test]
    fn golden_values() -> Result<()> {
        let y_true = tensor([2, 3], &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0])?;
        let y_pred = tensor([2, 3], &[0.05, 0.95, 0.0, 0.1, 0.8, 0.1])?;
        let plain = CategoricalCrossentropy::new();
        close(&plain.call(&y_true, &y_pred)?.to_vec()?, &[0.051_293_294, std::f64::consts::LN_10], 1e-6);
        close(&[plain.mean(&y_true, &y_pred)?.item()? as f32], &[1.176_939_194], 1e-6);
        let smooth = plain.label_smoothing(0.1);
        close(&smooth.call(&y_true, &y_pred)?.to_vec()?, &[0.685_001_339, 2.233_270_375], 1e-6);
        Ok(())
    }

    #[test]
    fn softmax_is_undone() -> Result<()> {
        let z = tensor([1, 3], &[100.0, 0.0, 0.0])?;
        let y_true = tensor([1, 3], &[0.0, 1.0, 0.0])?;
        close(&CategoricalCrossentropy::new().call(&y_true, &z.softmax()?)?.to_vec()?, &[100.0], 1e-6);
        close(&CategoricalCrossentropy::new().from_logits(true).call(&y_true, &z)?.to_vec()?, &[100.0], 1e-6);
        Ok(())
    }

    #[test]
    fn class_numbers_get_advice() -> Result<()> {
        let y_pred = tensor([2, 3], &[0.1; 6])?;
        for shape in [Shape::from([2]), Shape::from([2, 1])] {
            let text = CategoricalCrossentropy::new().call(&tensor(shape, &[0.0, 1.0])?, &y_pred).expect_err("numbers").to_string();
            assert!(text.contains("for 3 classes; did you mean SparseCategoricalCrossentropy?"), "{text}");
        }
        assert!(CategoricalCrossentropy::new().label_smoothing(1.5).call(&y_pred, &y_pred).is_err());
        Ok(())
    }
}
