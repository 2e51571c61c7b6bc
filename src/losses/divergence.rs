//! Losses that compare whole vectors: two distributions, or two directions.

use super::Loss;
use super::elementwise::each;
use super::labels::{EPSILON, as_dense, check_width, clamp};
use super::settings::{settings, settings_of_loss};
use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::shape::{Shape, Spec, axis_index};
use crate::tensor::Tensor;

settings! {
    /// `Σ t · log(t / p)` over the last axis, both from 1e-7 to 1, for distributions `[n, …, outcomes]` (Kullback and Leibler 1951).
    loss KLDivergence("kl_divergence") {}
}

settings! {
    /// **Minus** the cosine of the angle between labels and predictions of one shape `[n, …]`: -1 where they point the same way. A vector shorter
    /// than 1e-7 counts as shorter than 1.
    loss CosineSimilarity("cosine_similarity") {
        /// The axis of the vectors, which the values lack; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

impl Loss for KLDivergence {
    settings_of_loss!();

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        check_width(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let values = each(y_true, y_pred, |t, p| {
            let (t, p) = (clamp(t, EPSILON, 1.0), clamp(p, EPSILON, 1.0));
            &t * &(&t / &p).log()
        })?;
        values.sum(&[-1], false)
    }
}

impl Loss for CosineSimilarity {
    settings_of_loss!();

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        axis_index(self.axis, y_pred.rank(), &self.name)?;
        check_width(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let labels = as_dense(y_true, y_pred)?;
        let (t, p) = (one_over_length(&labels, self.axis)?, one_over_length(y_pred, self.axis)?);
        map1(&[&labels, y_pred, &t, &p], |e| -(&(&e[0] * &e[2]) * &(&e[1] * &e[3])))?.sum(&[self.axis], false)
    }
}

/// `1/√Σx²` along an axis, which stays; at most `1/ε`.
fn one_over_length(x: &Tensor, axis: isize) -> Result<Tensor> {
    map1(&[&x.square()?.sum(&[axis], true)?], |e| {
        let (one, most) = (e[0].number(1.0), e[0].number(1.0 / EPSILON));
        let some = e[0].gt(&e[0].number(0.0));
        // The root of 1 in place of the root of 0, whose slope is infinite and would make the gradient NaN.
        some.select(&some.select(&e[0], &one).rsqrt().min(&most), &most)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;
    use crate::record::GradientTape;

    #[test]
    fn golden_values() -> Result<()> {
        let y_true = tensor([2, 2], &[0.0, 1.0, 0.0, 0.0])?;
        let y_pred = tensor([2, 2], &[0.6, 0.4, 0.4, 0.6])?;
        let got = KLDivergence::new().call(&y_true, &y_pred)?.to_vec::<f32>()?;
        close(&got[..1], &[0.916_289_17], 1e-6);
        close(&got[1..], &[-3.080_907e-6], 1e-3);
        let got = CosineSimilarity::new().call(&y_true, &y_pred)?.to_vec()?;
        close(&got, &[-0.4 / 0.52f64.sqrt(), 0.0], 1e-6);
        Ok(())
    }

    #[test]
    fn no_direction_has_no_slope() -> Result<()> {
        let (y_true, y_pred) = (tensor([1, 2], &[3.0, 4.0])?, tensor([1, 2], &[0.0, 0.0])?);
        let tape = GradientTape::new();
        tape.watch(&y_pred);
        let loss = CosineSimilarity::new().value(&y_true, &y_pred)?;
        let gradients = tape.gradient(&loss, [&y_pred])?;
        close(&gradients.get(0)?.to_vec()?, &[-0.6e7, -0.8e7], 1e-6);
        assert!(CosineSimilarity::new().axis(2).call(&y_true, &y_pred).is_err());
        Ok(())
    }
}
