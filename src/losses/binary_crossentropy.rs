//! Crossentropy of independent yes/no answers.

use super::labels::{as_dense, check_share, check_width, clip};
use super::settings::{settings, settings_of_loss};
use super::{Head, Loss};
use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::shape::{Shape, Spec, axis_index};
use crate::tensor::{Squash, Tensor};

settings! {
    /// `-(t · log p + (1 - t) · log(1 - p))`, its mean over the last axis, for labels and predictions `[n, answers]`.
    ///
    /// Predictions that a sigmoid made are taken back to its logits `z`, where it is `max(z, 0) - z · t + log(1 + exp(-|z|))`. Other
    /// probabilities are clipped to `[1e-7, 1 - 1e-7]`.
    loss BinaryCrossentropy("binary_crossentropy") {
        /// Whether predictions are logits. Default: no, probabilities.
        from_logits: bool = false,
        /// Replaces labels `t` by `t · (1 - smoothing) + smoothing / 2`. From 0 to 1. Default: 0.
        label_smoothing: f64 = 0.0,
        /// The axis of the mean, which the values lack; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

settings! {
    /// [`BinaryCrossentropy`] whose values are multiplied by `(1 - q)^γ`, where `q` is the probability of the right answer, so that easy answers
    /// count little (Lin et al. 2017).
    loss BinaryFocalCrossentropy("binary_focal_crossentropy") {
        /// Whether values are also multiplied by `α` where the label is 1, and by `1 - α` where it is 0. Default: no.
        apply_class_balancing: bool = false,
        /// `α`, the weight of label 1. Default: 0.25.
        alpha: f64 = 0.25,
        /// `γ`, 0 or above. Default: 2.
        gamma: f64 = 2.0,
        /// Whether predictions are logits. Default: no, probabilities.
        from_logits: bool = false,
        /// Replaces labels `t` by `t · (1 - smoothing) + smoothing / 2`. From 0 to 1. Default: 0.
        label_smoothing: f64 = 0.0,
        /// The axis of the mean, which the values lack; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

impl Loss for BinaryCrossentropy {
    settings_of_loss!();

    fn head(&self) -> Option<Head> {
        Some(if self.from_logits { Head::Logits } else { Head::Sigmoid })
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        check_share(&self.name, "label_smoothing", self.label_smoothing)?;
        axis_index(self.axis, y_pred.rank(), &self.name)?;
        check_width(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let labels = smooth(y_true, y_pred, self.label_smoothing)?;
        crossentropy(&labels, y_pred, self.from_logits)?.mean(&[self.axis], false)
    }
}

impl Loss for BinaryFocalCrossentropy {
    settings_of_loss!();

    fn head(&self) -> Option<Head> {
        Some(if self.from_logits { Head::Logits } else { Head::Sigmoid })
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        check_share(&self.name, "label_smoothing", self.label_smoothing)?;
        check_share(&self.name, "alpha", self.alpha)?;
        axis_index(self.axis, y_pred.rank(), &self.name)?;
        check_width(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let labels = smooth(y_true, y_pred, self.label_smoothing)?;
        let p = if self.from_logits { y_pred.sigmoid()? } else { y_pred.clone() };
        let values = map1(&[&labels, &p, &crossentropy(&labels, &p, false)?], |e| {
            let (t, p) = (&e[0], &e[1]);
            let right = t * p + (1.0 - t) * (1.0 - p);
            let focal = (1.0 - right).pow(&p.number(self.gamma)) * &e[2];
            if self.apply_class_balancing { (t * self.alpha + (1.0 - t) * (1.0 - self.alpha)) * focal } else { focal }
        })?;
        values.mean(&[self.axis], false)
    }
}

fn smooth(y_true: &Tensor, y_pred: &Tensor, smoothing: f64) -> Result<Tensor> {
    let labels = as_dense(y_true, y_pred)?;
    if smoothing == 0.0 { Ok(labels) } else { map1(&[&labels], |e| &e[0] * (1.0 - smoothing) + smoothing / 2.0) }
}

/// The crossentropy of every answer.
fn crossentropy(labels: &Tensor, y_pred: &Tensor, from_logits: bool) -> Result<Tensor> {
    // -t·log σ(z) - (1-t)·log(1 - σ(z)), with its true slope also at 0.
    // The large part is taken out first, so that a confident right answer keeps its digits.
    let of_logits = |z: &Tensor| {
        map1(&[labels, z], |e| {
            let (positive, zero) = (e[1].ge(&e[1].number(0.0)), e[1].number(0.0));
            positive.select(&e[1], &zero) - &e[1] * &e[0] + positive.select(&-&e[1], &e[1]).softplus()
        })
    };
    match y_pred.logits(Squash::Sigmoid) {
        Some(logits) => of_logits(logits),
        None if from_logits => of_logits(y_pred),
        None => map1(&[labels, &clip(y_pred)?], |e| -(&e[0] * e[1].log() + (1.0 - &e[0]) * (1.0 - &e[1]).log())),
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
        close(&plain.clone().label_smoothing(0.1).call(&y_true, &y_pred)?.to_vec()?, &[0.896_017_476, 0.713_558_178], 1e-6);
        let y_true = tensor([1, 4], &[0.0, 1.0, 0.0, 0.0])?;
        let z = tensor([1, 4], &[-18.6, 0.51, 2.94, -12.8])?;
        close(&plain.clone().from_logits(true).call(&y_true, &z)?.to_vec()?, &[0.865_457_950], 1e-6);
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
