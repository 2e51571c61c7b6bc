//! Crossentropy of independent yes/no answers.

use super::{Loss, as_dense, clip, same_width, wide_shape_error};
use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::shape::{Shape, Spec};
use crate::tensor::{Squash, Tensor};

/// `-(t · log p + (1 - t) · log(1 - p))`, its mean over the last axis, for labels and predictions `[n, answers]`.
///
/// Predictions that a sigmoid made are taken back to its logits `z`, where it is `max(z, 0) - z · t + log(1 + exp(-|z|))`. Other probabilities
/// are clipped to `[1e-7, 1 - 1e-7]`. Defaults: predictions are probabilities, no label smoothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinaryCrossentropy {
    from_logits: bool,
    label_smoothing: f64,
}

impl BinaryCrossentropy {
    /// The loss for probabilities.
    pub fn new() -> BinaryCrossentropy {
        BinaryCrossentropy::default()
    }

    /// Whether predictions are logits. Default: no, probabilities.
    #[must_use]
    pub fn from_logits(mut self, from_logits: bool) -> BinaryCrossentropy {
        self.from_logits = from_logits;
        self
    }

    /// Replaces labels `t` by `t · (1 - smoothing) + smoothing / 2`. From 0 to 1. Default: 0.
    #[must_use]
    pub fn label_smoothing(mut self, smoothing: f64) -> BinaryCrossentropy {
        self.label_smoothing = smoothing;
        self
    }
}

impl Loss for BinaryCrossentropy {
    fn name(&self) -> &str {
        "binary_crossentropy"
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        super::check_smoothing(self.name(), self.label_smoothing)?;
        if same_width(&y_true.shape, y_pred) { Ok(()) } else { Err(wide_shape_error(self.name(), y_true, y_pred)) }
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let mut labels = as_dense(y_true, y_pred)?;
        if self.label_smoothing != 0.0 {
            labels = map1(&[&labels], |e| &e[0] * (1.0 - self.label_smoothing) + self.label_smoothing / 2.0)?;
        }
        // -t·log σ(z) - (1-t)·log(1 - σ(z)), with its true slope also at 0.
        // The large part is taken out first, so that a confident right answer keeps its digits.
        let of_logits = |z: &Tensor| {
            map1(&[&labels, z], |e| {
                let (positive, zero) = (e[1].ge(&e[1].number(0.0)), e[1].number(0.0));
                positive.select(&e[1], &zero) - &e[1] * &e[0] + positive.select(&-&e[1], &e[1]).softplus()
            })
        };
        let values = match y_pred.logits(Squash::Sigmoid) {
            Some(logits) => of_logits(logits)?,
            None if self.from_logits => of_logits(y_pred)?,
            None => {
                let p = clip(y_pred)?;
                map1(&[&labels, &p], |e| -(&e[0] * e[1].log() + (1.0 - &e[0]) * (1.0 - &e[1]).log()))?
            }
        };
        values.mean(&[-1], false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;

    #[test]
    fn golden_values() -> Result<()> {
        let y_true = tensor([2, 2], &[0.0, 1.0, 0.0, 0.0])?;
        let y_pred = tensor([2, 2], &[0.6, 0.4, 0.4, 0.6])?;
        let plain = BinaryCrossentropy::new();
        close(&plain.call(&y_true, &y_pred)?.to_vec()?, &[0.916_290_732, 0.713_558_178], 1e-6);
        close(&plain.label_smoothing(0.1).call(&y_true, &y_pred)?.to_vec()?, &[0.896_017_476, 0.713_558_178], 1e-6);
        let y_true = tensor([1, 4], &[0.0, 1.0, 0.0, 0.0])?;
        let z = tensor([1, 4], &[-18.6, 0.51, 2.94, -12.8])?;
        close(&plain.from_logits(true).call(&y_true, &z)?.to_vec()?, &[0.865_457_950], 1e-6);
        close(&plain.call(&y_true, &z.sigmoid()?)?.to_vec()?, &[0.865_457_950], 1e-6);
        Ok(())
    }

    #[test]
    fn one_answer_without_its_axis() -> Result<()> {
        let y_pred = tensor([2, 1], &[0.5, 0.25])?;
        let got = BinaryCrossentropy::new().call(&tensor([2], &[1.0, 0.0])?, &y_pred)?;
        assert_eq!(got.shape()[..], [2]);
        close(&got.to_vec()?, &[std::f64::consts::LN_2, 0.287_682_1], 1e-6);
        Ok(())
    }

    #[test]
    fn other_shapes_are_errors() -> Result<()> {
        let y_pred = tensor([2, 2], &[0.5; 4])?;
        assert!(BinaryCrossentropy::new().call(&tensor([2, 3], &[0.0; 6])?, &y_pred).is_err());
        Ok(())
    }
}
