//! Losses of margins: a right answer costs nothing once it is right by 1.

use super::Loss;
use super::elementwise::each;
use super::labels::{as_dense, check_width};
use super::settings::{settings, settings_of_loss};
use crate::error::Result;
use crate::ops::pointwise::{Expr, map1};
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;

/// Labels 0 and 1 as -1 and 1, if a batch holds no others; else the labels as they are.
fn signs(y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    let labels = as_dense(y_true, y_pred)?;
    let axes: Vec<isize> = (0..labels.rank() as isize).collect();
    let binary = map1(&[&labels], |e| e[0].eq(&e[0].number(0.0)) + e[0].eq(&e[0].number(1.0)))?.min(&axes, false)?;
    map1(&[&labels, &binary], |e| e[1].select(&(&e[0] * 2.0 - 1.0), &e[0]))
}

fn margin(t: &Expr, p: &Expr) -> Expr {
    let distance = 1.0 - t * p;
    distance.max(&distance.number(0.0))
}

settings! {
    /// `max(1 - t·p, 0)`, its mean over the last axis, for labels -1 and 1 and predictions of one shape `[n, …]`. Labels of a batch that are all
    /// 0 or 1 stand for -1 and 1.
    loss Hinge("hinge") {}
}

settings! {
    /// The squares of [`Hinge`]'s values, their mean over the last axis.
    loss SquaredHinge("squared_hinge") {}
}

settings! {
    /// `max(max((1 - t)·p) - Σ t·p + 1, 0)` over the last axis, for one-hot labels and predictions `[n, classes]`: how far the right class is
    /// from being ahead of all others by 1.
    loss CategoricalHinge("categorical_hinge") {}
}

impl Loss for Hinge {
    settings_of_loss!();

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        check_width(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        each(&signs(y_true, y_pred)?, y_pred, margin)?.mean(&[-1], false)
    }
}

impl Loss for SquaredHinge {
    settings_of_loss!();

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        check_width(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        each(&signs(y_true, y_pred)?, y_pred, |t, p| margin(t, p).square())?.mean(&[-1], false)
    }
}

impl Loss for CategoricalHinge {
    settings_of_loss!();

    fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
        check_width(&self.name, y_true, y_pred)
    }

    fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
        self.check(y_true.spec(), y_pred.shape())?;
        let right = each(y_true, y_pred, |t, p| t * p)?.sum(&[-1], false)?;
        let wrong = each(y_true, y_pred, |t, p| (1.0 - t) * p)?.max(&[-1], false)?;
        map1(&[&wrong, &right], |e| (&e[0] - &e[1] + 1.0).max(&e[0].number(0.0)))
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
        close(&Hinge::new().call(&y_true, &y_pred)?.to_vec()?, &[1.1, 1.5], 1e-6);
        close(&SquaredHinge::new().call(&y_true, &y_pred)?.to_vec()?, &[1.46, 2.26], 1e-6);
        close(&CategoricalHinge::new().call(&y_true, &y_pred)?.to_vec()?, &[1.2, 1.6], 1e-6);
        Ok(())
    }

    #[test]
    fn other_labels_stay() -> Result<()> {
        let y_pred = tensor([1, 2], &[0.5, -0.5])?;
        close(&Hinge::new().call(&tensor([1, 2], &[-1.0, 1.0])?, &y_pred)?.to_vec()?, &[1.5], 1e-6);
        close(&Hinge::new().call(&tensor([1, 2], &[0.0, 0.5])?, &y_pred)?.to_vec()?, &[1.125], 1e-6);
        Ok(())
    }
}
