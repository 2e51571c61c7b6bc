//! The mean of squared differences.

use super::{Loss, as_dense, same_width, wide_shape_error};
use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;

/// `(p - t)²`, its mean over the last axis, for labels and predictions of the same shape `[n, …]`.
#[derive(Clone, Copy, Debug, Default)]
pub struct MeanSquaredError;

impl Loss for MeanSquaredError {
    fn name(&self) -> &str {
        "mean_squared_error"
    }

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        if same_width(&y_true.shape, y_pred) { Ok(()) } else { Err(wide_shape_error(self.name(), y_true, y_pred)) }
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let labels = as_dense(y_true, y_pred)?;
        map1(&[&labels, y_pred], |e| (&e[1] - &e[0]).square())?.mean(&[-1], false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;

    #[test]
    fn golden_values() -> Result<()> {
        let y_true = tensor([2, 2], &[0.2, 0.8, 1.5, -0.5])?;
        let y_pred = tensor([2, 2], &[0.0, 1.0, 1.0, 0.5])?;
        close(&MeanSquaredError.call(&y_true, &y_pred)?.to_vec()?, &[0.04, 0.625], 1e-6);
        close(&[MeanSquaredError.mean(&y_true, &y_pred)?.item()? as f32], &[0.3325], 1e-6);
        assert!(MeanSquaredError.call(&tensor([2], &[0.0; 2])?, &y_pred).is_err(), "no silent broadcasting");
        Ok(())
    }
}
