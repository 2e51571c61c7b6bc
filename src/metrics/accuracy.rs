//! How often predictions are right.

use super::mean::{self, mean_of};
use super::{Direction, Metric};
use crate::error::{Error, Result};
use crate::losses::settings::settings;
use crate::losses::{are_classes, as_classes, as_dense, as_float, check_classes, check_width, without_column};
use crate::ops::pointwise::map1;
use crate::shape::{DType, Shape};
use crate::tensor::{Squash, Tensor};

settings! {
    /// The share of right predictions. What that means follows from the shapes, as Keras's `"accuracy"`:
    ///
    /// * predictions `[n, 1]`: [`BinaryAccuracy`];
    /// * labels `[n]` or `[n, 1]` for predictions `[n, classes]`: [`SparseCategoricalAccuracy`];
    /// * otherwise: [`CategoricalAccuracy`].
    Accuracy("accuracy") {}
}

settings! {
    /// The share of predictions that equal their labels: Keras's class `Accuracy`.
    ExactAccuracy("accuracy") {}
}

settings! {
    /// The share of right yes/no answers: above the threshold where the label is 1, at most the threshold where it is 0.
    BinaryAccuracy("binary_accuracy") {
        /// The largest prediction that means no. Default: 0.5.
        threshold: f64 = 0.5,
    }
}

settings! {
    /// The share of samples whose one-hot label and whose prediction are largest at the same class. The first of equals is the largest.
    CategoricalAccuracy("categorical_accuracy") {}
}

settings! {
    /// The share of samples whose prediction is largest at the class that the label names. The first of equals is the largest.
    SparseCategoricalAccuracy("sparse_categorical_accuracy") {}
}

settings! {
    /// The share of samples of which fewer than `k` classes are predicted above the class of the one-hot label.
    TopKCategoricalAccuracy("top_k_categorical_accuracy") {
        /// Default: 5.
        k: usize = 5,
    }
}

settings! {
    /// The share of samples of which fewer than `k` classes are predicted above the class that the label names.
    SparseTopKCategoricalAccuracy("sparse_top_k_categorical_accuracy") {
        /// Default: 5.
        k: usize = 5,
    }
}

mean_of!(Accuracy, Max, |metric, y_true, y_pred| {
    if y_pred.shape().last() == Some(&1) {
        binary(&metric.name, y_true, y_pred, 0.5)
    } else if are_classes(y_true.shape(), y_pred.shape()) {
        sparse(&metric.name, y_true, y_pred)
    } else if y_true.shape() == y_pred.shape() && y_pred.rank() > 0 {
        categorical(&metric.name, y_true, y_pred)
    } else {
        Err(Error::shape(&*metric.name, format!("labels for predictions {}", y_pred.shape()), y_true.shape()))
    }
});

mean_of!(ExactAccuracy, Max, |metric, y_true, y_pred| {
    check_width(&metric.name, y_true.spec(), y_pred.shape())?;
    y_pred.eq(&as_dense(y_true, y_pred)?)
});

mean_of!(BinaryAccuracy, Max, |metric, y_true, y_pred| binary(&metric.name, y_true, y_pred, metric.threshold));

mean_of!(CategoricalAccuracy, Max, |metric, y_true, y_pred| categorical(&metric.name, y_true, y_pred));

mean_of!(SparseCategoricalAccuracy, Max, |metric, y_true, y_pred| sparse(&metric.name, y_true, y_pred));

mean_of!(TopKCategoricalAccuracy, Max, |metric, y_true, y_pred| {
    check_width(&metric.name, y_true.spec(), y_pred.shape())?;
    in_top_k(&as_dense(y_true, y_pred)?.argmax(-1)?, y_pred, metric.k)
});

mean_of!(SparseTopKCategoricalAccuracy, Max, |metric, y_true, y_pred| {
    check_classes(&metric.name, y_true.spec(), y_pred.shape())?;
    in_top_k(&as_classes(y_true, y_pred)?, y_pred, metric.k)
});

fn binary(name: &str, y_true: &Tensor, y_pred: &Tensor, threshold: f64) -> Result<Tensor> {
    check_width(name, y_true.spec(), y_pred.shape())?;
    map1(&[&as_dense(y_true, y_pred)?, y_pred], |e| e[1].gt(&e[1].number(threshold)).cast(y_pred.dtype()).eq(&e[0]))
}

fn categorical(name: &str, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    check_width(name, y_true.spec(), y_pred.shape())?;
    scores(y_pred).argmax(-1)?.eq(&as_dense(y_true, y_pred)?.argmax(-1)?)
}

fn sparse(name: &str, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    check_classes(name, y_true.spec(), y_pred.shape())?;
    // As floats, so that a label below 0 equals no class.
    scores(y_pred).argmax(-1)?.cast(DType::F32)?.eq(&as_float(&without_column(y_true, y_pred)?, DType::F32)?)
}

/// What is largest where the prediction is: a softmax keeps the order of its logits, so it need not be computed for this.
fn scores(y_pred: &Tensor) -> &Tensor {
    y_pred.logits(Squash::Softmax).unwrap_or(y_pred)
}

/// 1 where fewer than `k` predictions are above that of the class.
fn in_top_k(classes: &Tensor, y_pred: &Tensor, k: usize) -> Result<Tensor> {
    let width = y_pred.shape().last().copied().unwrap_or(1);
    let hot = classes.one_hot_as(width, y_pred.dtype())?;
    let own = map1(&[&hot, y_pred], |e| e[0].gt(&e[0].number(0.0)).select(&e[1], &e[0].number(0.0)))?.sum(&[-1], true)?;
    // Classes that are not below count, and the class itself is one of them unless it has no number or the label no class.
    let above = map1(&[y_pred, &own], |e| e[0].gt(&e[1]).cast(DType::F32))?.sum(&[-1], false)?;
    let known = map1(&[&hot, &own], |e| e[1].is_finite().cast(DType::F32) * e[0].cast(DType::F32))?.sum(&[-1], false)?;
    map1(&[&above, &known], |e| e[0].lt(&e[0].number(k as f64)).cast(DType::F32) * &e[1])
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::value;
    use super::*;
    use crate::device::Device;

    fn accuracy(metric: &dyn Metric, y_true: &Tensor, y_pred: &Tensor) -> Result<f64> {
        value(metric, &[(y_true, y_pred, &vec![1.0; y_pred.shape()[0]])])
    }

    #[test]
    fn follows_the_shapes() -> Result<()> {
        let cpu = Device::cpu();
        let p = Tensor::new(&cpu, [4, 2], &[0.9f32, 0.1, 0.5, 0.5, 0.2, 0.8, 0.1, 0.9])?;
        let sparse = Tensor::new(&cpu, [4], &[0u8, 1, 1, 1])?;
        assert_eq!(accuracy(&Accuracy::new(), &sparse, &p)?, 0.75, "the first of equals wins");
        assert_eq!(accuracy(&Accuracy::new(), &sparse.reshape([4, 1])?, &p)?, 0.75);
        let dense = Tensor::new(&cpu, [4, 2], &[1.0f32, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0])?;
        assert_eq!(accuracy(&Accuracy::new(), &dense, &p)?, 0.5);
        let yes = Tensor::new(&cpu, [4, 1], &[0.5f32, 0.51, 0.1, 0.2])?;
        assert_eq!(accuracy(&Accuracy::new(), &Tensor::new(&cpu, [4], &[1u32, 1, 0, 0])?, &yes)?, 0.75, "strictly more than a half");
        assert!(accuracy(&Accuracy::new(), &Tensor::new(&cpu, [5], &[0u8; 5])?, &p).is_err());
        Ok(())
    }

    #[test]
    fn the_best_k() -> Result<()> {
        let cpu = Device::cpu();
        let p = Tensor::new(&cpu, [3, 4], &[0.1f32, 0.2, 0.3, 0.4, 0.3, 0.3, 0.3, 0.1, f32::NAN, 0.0, 0.0, 0.0])?;
        let labels = Tensor::new(&cpu, [3], &[2u32, 2, 0])?;
        for (k, want) in [(1, 1.0 / 3.0), (2, 2.0 / 3.0), (4, 2.0 / 3.0)] {
            assert!((accuracy(&SparseTopKCategoricalAccuracy::new().k(k), &labels, &p)? - want).abs() <= 1e-7, "{k}");
            assert!((accuracy(&TopKCategoricalAccuracy::new().k(k), &labels.one_hot(4)?, &p)? - want).abs() <= 1e-7, "{k}");
        }
        Ok(())
    }
}
