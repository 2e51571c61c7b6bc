//! Crossentropy with one-hot labels.

use super::labels::{as_dense, check_share, check_width, clip};
use super::settings::{settings, settings_of_loss};
use super::{Head, Loss};
use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::shape::{Shape, Spec};
use crate::tensor::{Squash, Tensor};

settings! {
    /// `-Σ t · log p` over the last axis, for labels and predictions `[n, …, classes]`.
    ///
    /// Predictions that a softmax made are taken back to its logits. Other probabilities are divided by their sum and clipped to
    /// `[1e-7, 1 - 1e-7]`.
    loss CategoricalCrossentropy("categorical_crossentropy") {
        /// Whether predictions are logits. Default: no, probabilities.
        from_logits: bool = false,
        /// Replaces labels `t` by `t · (1 - smoothing) + smoothing / classes`. From 0 to 1. Default: 0.
        label_smoothing: f64 = 0.0,
    }
}

settings! {
    /// `-α Σ (1 - p)^γ · t · log p` over the last axis, for labels and predictions `[n, …, classes]`: easy samples count little (Lin et al. 2017).
    ///
    /// Probabilities, also those that a softmax made, are divided by their sum and clipped to `[1e-7, 1 - 1e-7]`.
    loss CategoricalFocalCrossentropy("categorical_focal_crossentropy") {
        /// `α`. Default: 0.25.
        alpha: f64 = 0.25,
        /// `γ`, 0 or above. Default: 2.
        gamma: f64 = 2.0,
        /// Whether predictions are logits. Default: no, probabilities.
        from_logits: bool = false,
        /// Replaces labels `t` by `t · (1 - smoothing) + smoothing / classes`. From 0 to 1. Default: 0.
        label_smoothing: f64 = 0.0,
    }
}

impl Loss for CategoricalCrossentropy {
    settings_of_loss!();

    fn head(&self) -> Option<Head> {
        Some(if self.from_logits { Head::Logits } else { Head::Softmax })
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        check_share(&self.name, "label_smoothing", self.label_smoothing)?;
        check_width(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let labels = smooth(y_true, y_pred, self.label_smoothing)?;
        match y_pred.logits(Squash::Softmax) {
            Some(logits) => logits.softmax_crossentropy(&labels),
            None if self.from_logits => y_pred.softmax_crossentropy(&labels),
            None => map1(&[&labels, &normalised(y_pred)?], |e| -(&e[0] * e[1].log()))?.sum(&[-1], false),
        }
    }
}

impl Loss for CategoricalFocalCrossentropy {
    settings_of_loss!();

    fn head(&self) -> Option<Head> {
        Some(if self.from_logits { Head::Logits } else { Head::Softmax })
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        check_share(&self.name, "label_smoothing", self.label_smoothing)?;
        check_width(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let labels = smooth(y_true, y_pred, self.label_smoothing)?;
        let p = normalised(&if self.from_logits { y_pred.softmax()? } else { y_pred.clone() })?;
        let values = map1(&[&labels, &p], |e| {
            let focal = (1.0 - &e[1]).pow(&e[1].number(self.gamma)) * self.alpha;
            -(&e[0] * e[1].log()) * focal
        })?;
        values.sum(&[-1], false)
    }
}

fn smooth(y_true: &Tensor, y_pred: &Tensor, smoothing: f64) -> Result<Tensor> {
    let labels = as_dense(y_true, y_pred)?;
    let classes = y_pred.shape().last().copied().unwrap_or(1) as f64;
    if smoothing == 0.0 { Ok(labels) } else { map1(&[&labels], |e| &e[0] * (1.0 - smoothing) + smoothing / classes) }
}

/// Probabilities that sum to 1 and whose logarithms are finite.
fn normalised(p: &Tensor) -> Result<Tensor> {
    clip(&p.div(&p.sum(&[-1], true)?)?)
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
        close(&[plain.value(&y_true, &y_pred)?.item()? as f32], &[1.176_939_194], 1e-6);
        let smooth = plain.clone().label_smoothing(0.1);
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
