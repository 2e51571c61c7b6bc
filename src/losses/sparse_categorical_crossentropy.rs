//! Crossentropy with class numbers as labels.

use super::{Loss, are_classes, as_classes, clip};
use crate::error::{Error, Result};
use crate::shape::{Shape, Spec};
use crate::tensor::{Squash, Tensor};

/// `-log p[label]`, for labels `[n]` or `[n, 1]` of any number type and predictions `[n, classes]`.
///
/// Predictions that a softmax made are taken back to its logits, which is stable for any of them. Other probabilities are clipped to
/// `[1e-7, 1 - 1e-7]` and normalised, as Keras on TensorFlow does. Default: predictions are probabilities.
#[derive(Clone, Copy, Debug, Default)]
pub struct SparseCategoricalCrossentropy {
    from_logits: bool,
}

impl SparseCategoricalCrossentropy {
    /// The loss for probabilities.
    pub fn new() -> SparseCategoricalCrossentropy {
        SparseCategoricalCrossentropy::default()
    }

    /// Whether predictions are logits. Default: no, probabilities.
    #[must_use]
    pub fn from_logits(mut self, from_logits: bool) -> SparseCategoricalCrossentropy {
        self.from_logits = from_logits;
        self
    }
}

impl Loss for SparseCategoricalCrossentropy {
    fn name(&self) -> &str {
        "sparse_categorical_crossentropy"
    }

    fn takes_classes(&self) -> bool {
        true
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        if are_classes(&y_true.shape, y_pred) {
            return Ok(());
        }
        let outer = Shape::from(&y_pred[..y_pred.rank().saturating_sub(1)]);
        let error = Error::shape(self.name(), format!("class numbers of shape {outer} for predictions {y_pred}"), y_true);
        Err(if y_true.shape == *y_pred {
            error.hint("these look like one-hot labels; did you mean CategoricalCrossentropy?")
        } else {
            error.hint("give one class number per sample; is a Flatten missing before the last layer?")
        })
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let labels = as_classes(y_true, y_pred)?;
        match y_pred.logits(Squash::Softmax) {
            Some(logits) => logits.sparse_softmax_crossentropy(&labels),
            None if self.from_logits => y_pred.sparse_softmax_crossentropy(&labels),
            None => clip(y_pred)?.log()?.sparse_softmax_crossentropy(&labels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;
    use crate::device::Device;

    fn losses(loss: SparseCategoricalCrossentropy, predictions: &[f32], classes: usize, labels: &[u32]) -> Result<Vec<f32>> {
        let y_pred = tensor([labels.len(), classes], predictions)?;
        let y_true = Tensor::new(&Device::cpu(), [labels.len()], labels)?;
        loss.call(&y_true, &y_pred)?.to_vec()
    }

    #[test]
    fn probabilities_that_no_softmax_made() -> Result<()> {
        let rows: Vec<f32> = [2.0, 0.5, 0.0].repeat(3);
        let got = losses(SparseCategoricalCrossentropy::new(), &rows, 3, &[0, 1, 2])?;
        close(&got, &[0.405_465_208, 1.098_612_289, 16.523_560_759], 1e-6);
        let got = losses(SparseCategoricalCrossentropy::new(), &[0.0; 10], 10, &[4])?;
        close(&got, &[std::f64::consts::LN_10], 1e-6);
        Ok(())
    }

    #[test]
    fn logits_and_softmax_are_stable() -> Result<()> {
        let loss = SparseCategoricalCrossentropy::new().from_logits(true);
        close(&losses(loss, &[2.0, 0.5, 0.0], 3, &[0])?, &[0.306_355_712], 1e-6);
        close(&losses(loss, &[100.0, 0.0, 0.0], 3, &[1])?, &[100.0], 1e-6);
        let p = tensor([1, 3], &[100.0, 0.0, 0.0])?.softmax()?;
        let label = Tensor::new(&Device::cpu(), [1, 1], &[1u8])?;
        for loss in [loss, SparseCategoricalCrossentropy::new()] {
            close(&loss.call(&label, &p)?.to_vec()?, &[100.0], 1e-6);
        }
        Ok(())
    }

    #[test]
    fn wrong_labels_get_advice() -> Result<()> {
        let y_pred = tensor([2, 3], &[0.1; 6])?;
        let text = SparseCategoricalCrossentropy::new().call(&y_pred, &y_pred).expect_err("one-hot").to_string();
        assert!(text.contains("did you mean CategoricalCrossentropy?"), "{text}");
        let text = SparseCategoricalCrossentropy::new().call(&tensor([3], &[0.0; 3])?, &y_pred).expect_err("three labels").to_string();
        assert!(text.contains("class numbers of shape [2] for predictions [2, 3]"), "{text}");
        Ok(())
    }
}
