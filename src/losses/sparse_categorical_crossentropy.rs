//! Crossentropy with class numbers as labels.

use super::labels::{as_classes, as_float, check_classes, clip, without_column};
use super::settings::{settings, settings_of_loss};
use super::{Head, Loss};
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::{Squash, Tensor};

settings! {
    /// `-log p[label]`, for labels `[n, …]` or `[n, …, 1]` of any number type and predictions `[n, …, classes]`.
    ///
    /// Predictions that a softmax made are taken back to its logits, which is stable for any of them. Other probabilities are clipped to
    /// `[1e-7, 1 - 1e-7]` and normalised, as Keras on TensorFlow does.
    loss SparseCategoricalCrossentropy("sparse_categorical_crossentropy") {
        /// Whether predictions are logits. Default: no, probabilities.
        from_logits: bool = false,
        /// A label, which need not be a class, whose values are 0 and are left out of the mean. Default: none.
        ignore_class(into): Option<i64> = None,
    }
}

settings! {
    /// `(1 - p[label]^q) / q`, which bears wrong labels better than the crossentropy, its limit for `q` towards 0 (Zhang and Sabuncu 2018). Labels
    /// `[n, …]` or `[n, …, 1]` of any number type, predictions `[n, …, classes]` are probabilities.
    loss CategoricalGeneralizedCrossEntropy("categorical_generalized_cross_entropy") {
        /// Between 0 and 1. Default: 0.5.
        q: f64 = 0.5,
    }
}

impl Loss for SparseCategoricalCrossentropy {
    settings_of_loss!();

    fn head(&self) -> Option<Head> {
        Some(if self.from_logits { Head::Logits } else { Head::Softmax })
    }

    fn takes_classes(&self) -> bool {
        self.ignore_class.is_none()
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        check_classes(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let given = without_column(y_true, y_pred)?;
        let labels = as_float(&self.ignore(&given, &given)?, DType::U32)?;
        let values = match y_pred.logits(Squash::Softmax) {
            Some(logits) => logits.sparse_softmax_crossentropy(&labels),
            None if self.from_logits => y_pred.sparse_softmax_crossentropy(&labels),
            None => clip(y_pred)?.log()?.sparse_softmax_crossentropy(&labels),
        };
        self.ignore(&given, &values?)
    }

    fn mask(&self, y_true: &Tensor, values: &Tensor) -> Result<Option<Tensor>> {
        let Some(ignored) = self.ignore_class else { return Ok(None) };
        let labels = y_true.reshape(values.shape())?;
        Ok(Some(map1(&[&labels], |e| e[0].ne(&e[0].number(ignored as f64)))?.cast(values.dtype())?))
    }
}

impl SparseCategoricalCrossentropy {
    /// 0 where the label is ignored, which is a class in any case.
    fn ignore(&self, labels: &Tensor, values: &Tensor) -> Result<Tensor> {
        let Some(ignored) = self.ignore_class else { return Ok(values.clone()) };
        map1(&[labels, values], |e| e[0].eq(&e[0].number(ignored as f64)).select(&e[1].number(0.0), &e[1]))
    }
}

impl Loss for CategoricalGeneralizedCrossEntropy {
    settings_of_loss!();

    fn takes_classes(&self) -> bool {
        true
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        if !(self.q > 0.0 && self.q < 1.0) {
            return Err(Error::argument(format!("{}: q", self.name), "a number between 0 and 1", self.q));
        }
        check_classes(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let classes = y_pred.shape().last().copied().unwrap_or(1);
        let hot = as_classes(y_true, y_pred)?.one_hot_as(classes, y_pred.dtype())?;
        map1(&[&y_pred.mul(&hot)?.sum(&[-1], false)?], |e| (1.0 - e[0].pow(&e[0].number(self.q))) / self.q)
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
        close(&losses(loss.clone(), &[2.0, 0.5, 0.0], 3, &[0])?, &[0.306_355_712], 1e-6);
        close(&losses(loss.clone(), &[100.0, 0.0, 0.0], 3, &[1])?, &[100.0], 1e-6);
        let p = tensor([1, 3], &[100.0, 0.0, 0.0])?.softmax()?;
        let label = Tensor::new(&Device::cpu(), [1, 1], &[1u8])?;
        for loss in [loss, SparseCategoricalCrossentropy::new()] {
            close(&loss.call(&label, &p)?.to_vec()?, &[100.0], 1e-6);
        }
        Ok(())
    }

    #[test]
    fn an_ignored_class_counts_nowhere() -> Result<()> {
        let y_pred = tensor([3, 2], &[0.25, 0.75, 0.5, 0.5, 0.125, 0.875])?;
        let y_true = Tensor::new(&Device::cpu(), [3], &[0, -1, 1])?;
        let loss = SparseCategoricalCrossentropy::new().ignore_class(-1);
        let want = [4.0f64.ln(), 0.0, (8.0f64 / 7.0).ln()];
        close(&loss.call(&y_true, &y_pred)?.to_vec()?, &want, 1e-6);
        close(&[loss.value(&y_true, &y_pred)?.item()? as f32], &[(want[0] + want[2]) / 2.0], 1e-6);
        let mask = tensor([3], &[1.0, 1.0, 0.0])?;
        close(&[loss.weighted_value(&y_true, &y_pred, None, Some(&mask))?.item()? as f32], &want[..1], 1e-6);
        Ok(())
    }

    #[test]
    fn generalised() -> Result<()> {
        let y_pred = tensor([2, 2], &[0.25, 0.75, 0.5, 0.5])?;
        let y_true = Tensor::new(&Device::cpu(), [2], &[0u32, 1])?;
        let got = CategoricalGeneralizedCrossEntropy::new().call(&y_true, &y_pred)?.to_vec()?;
        close(&got, &[1.0, 2.0 - 2.0f64.sqrt()], 1e-6);
        assert!(CategoricalGeneralizedCrossEntropy::new().q(1.0).call(&y_true, &y_pred).is_err());
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
