//! Losses that are the mean, over the last axis, of one formula of a label `t` and a prediction `p`.

use super::Loss;
use super::labels::{EPSILON, as_dense, check_width};
use super::settings::{settings, settings_of_loss};
use crate::error::Result;
use crate::ops::pointwise::{Expr, map1};
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use std::f64::consts::LN_2;

/// A formula for every label and prediction. Labels are cast to the predictions' type; a last axis of 1 may be missing.
pub(super) fn each(y_true: &Tensor, y_pred: &Tensor, formula: impl FnOnce(&Expr, &Expr) -> Expr) -> Result<Tensor> {
    map1(&[&as_dense(y_true, y_pred)?, y_pred], |e| formula(&e[0], &e[1]))
}

/// Defines a loss by its formula, a function of the loss, the label and the prediction.
macro_rules! elementwise {
    ($(#[$doc:meta])* $type:ident($name:literal) $options:tt $formula:expr) => {
        settings! { $(#[$doc])* loss $type($name) $options }

        impl Loss for $type {
            settings_of_loss!();

            fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
                check_width(&self.name, y_true, y_pred)
            }

            fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
                self.check(y_true.spec(), y_pred.shape())?;
                let formula: fn(&$type, &Expr, &Expr) -> Expr = $formula;
                each(y_true, y_pred, |t, p| formula(self, t, p))?.mean(&[-1], false)
            }
        }
    };
}

elementwise! {
    /// `(p - t)²`, its mean over the last axis, for labels and predictions of one shape `[n, …]`.
    MeanSquaredError("mean_squared_error") {}
    |_, t, p| (p - t).square()
}

elementwise! {
    /// `|p - t|`, its mean over the last axis, for labels and predictions of one shape `[n, …]`.
    MeanAbsoluteError("mean_absolute_error") {}
    |_, t, p| (p - t).abs()
}

elementwise! {
    /// `100 |t - p| / max(|t|, 1e-7)`, its mean over the last axis, for labels and predictions of one shape `[n, …]`.
    MeanAbsolutePercentageError("mean_absolute_percentage_error") {}
    |_, t, p| ((t - p) / t.abs().max(&t.number(EPSILON))).abs() * 100.0
}

elementwise! {
    /// `(log(p + 1) - log(t + 1))²`, `p` and `t` at least 1e-7, its mean over the last axis, for labels and predictions of one shape `[n, …]`.
    MeanSquaredLogarithmicError("mean_squared_logarithmic_error") {}
    |_, t, p| {
        let log = |x: &Expr| (x.max(&x.number(EPSILON)) + 1.0).log();
        (log(p) - log(t)).square()
    }
}

elementwise! {
    /// Of the error `e = p - t`: `½e²` where `|e| ≤ δ`, else `δ|e| - ½δ²`; its mean over the last axis, for labels and predictions of one
    /// shape `[n, …]` (Huber 1964).
    Huber("huber_loss") {
        /// `δ`, the error from which on the loss grows in a straight line. Default: 1.
        delta: f64 = 1.0,
    }
    |loss, t, p| {
        let (error, delta) = (p - t, loss.delta);
        let size = error.abs();
        size.le(&size.number(delta)).select(&(error.square() * 0.5), &(size * delta - 0.5 * delta * delta))
    }
}

elementwise! {
    /// `log(cosh(e))` of the error `e = p - t`, its mean over the last axis, for labels and predictions of one shape `[n, …]`: near `½e²` for
    /// small errors and `|e| - log 2` for large ones.
    LogCosh("log_cosh") {}
    |_, t, p| {
        let error = p - t;
        (&error * -2.0).softplus() + &error - LN_2
    }
}

elementwise! {
    /// `p - t · log(p + 1e-7)`, its mean over the last axis, for counts and predicted rates of one shape `[n, …]`: the logarithm of Poisson's
    /// likelihood, but for what does not depend on `p`.
    Poisson("poisson") {}
    |_, t, p| p - t * (p + EPSILON).log()
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;

    #[test]
    fn golden_values() -> Result<()> {
        let y_true = tensor([2, 2], &[0.2, 0.8, 1.5, -0.5])?;
        let y_pred = tensor([2, 2], &[0.0, 1.0, 1.0, 0.5])?;
        let cases: [(Box<dyn Loss>, [f64; 2]); 7] = [
            (Box::new(MeanSquaredError::new()), [0.04, 0.625]),
            (Box::new(MeanAbsoluteError::new()), [0.2, 0.75]),
            (Box::new(MeanAbsolutePercentageError::new()), [62.5, 116.666_666_667]),
            (Box::new(MeanSquaredLogarithmicError::new()), [0.022_170_976, 0.107_097_459]),
            (Box::new(Huber::new()), [0.02, 0.3125]),
            (Box::new(Huber::new().delta(0.4)), [0.02, 0.22]),
            (Box::new(LogCosh::new()), [0.019_868_072, 0.276_947_669]),
        ];
        for (loss, want) in cases {
            close(&loss.call(&y_true, &y_pred)?.to_vec()?, &want, 5e-6);
            close(&[loss.value(&y_true, &y_pred)?.item()? as f32], &[(want[0] + want[1]) / 2.0], 5e-6);
        }
        let (y_true, y_pred) = (tensor([2, 2], &[0.0, 1.0, 0.0, 0.0])?, tensor([2, 2], &[1.0, 1.0, 1.0, 0.0])?);
        close(&Poisson::new().call(&y_true, &y_pred)?.to_vec()?, &[0.999_999_95, 0.5], 1e-6);
        Ok(())
    }

    #[test]
    fn no_silent_broadcasting() -> Result<()> {
        let y_pred = tensor([2, 2], &[0.0; 4])?;
        assert!(MeanSquaredError::new().call(&tensor([2], &[0.0; 2])?, &y_pred).is_err());
        let column = tensor([2, 1], &[1.0, 2.0])?;
        assert_eq!(MeanAbsoluteError::new().call(&tensor([2], &[0.0; 2])?, &column)?.to_vec::<f32>()?, [1.0, 2.0]);
        Ok(())
    }
}
