//! Losses of overlap, for segmentation: how much of labels and predictions falls on one another.

use super::Loss;
use super::elementwise::each;
use super::labels::{EPSILON, as_dense, check_share, check_width};
use super::reduction::along;
use super::settings::{settings, settings_of_loss};
use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::shape::{Shape, Spec, axis_index};
use crate::tensor::Tensor;

settings! {
    /// `1 - 2 Σ t·p / (Σ t + Σ p + 1e-7)`, for labels and predictions of one shape `[n, …]` (Dice 1945).
    ///
    /// With no axes given, the sums are over the whole batch, samples and all, and [`Loss::call`] gives one value without axes.
    loss Dice("dice") {
        /// The axes that are summed over; negative ones count from the back. Default: none given, which means all.
        axis(into): Option<Vec<isize>> = None,
    }
}

settings! {
    /// `1 - Σ t·p / (Σ t·p + α Σ t·(1 - p) + β Σ (1 - t)·p + 1e-7)`, for labels and predictions of one shape `[n, …]` (Tversky 1977). With both
    /// weights a half it is [`Dice`]; axes as there.
    loss Tversky("tversky") {
        /// The weight of what is missed. Default: 0.5.
        alpha: f64 = 0.5,
        /// The weight of what is added. Default: 0.5.
        beta: f64 = 0.5,
        /// The axes that are summed over; negative ones count from the back. Default: none given, which means all.
        axis(into): Option<Vec<isize>> = None,
    }
}

/// Both sums run over whole rows, so a row that does not count is a row of zeros.
macro_rules! loss_of_overlap {
    ($type:ident, $check:expr, $call:expr) => {
        impl Loss for $type {
            settings_of_loss!();

            fn check(&self, y_true: &Spec, y_pred: &Shape) -> Result<()> {
                let check: fn(&$type) -> Result<()> = $check;
                check(self)?;
                axes(&self.name, self.axis.as_deref(), y_pred)?;
                check_width(&self.name, y_true, y_pred)
            }

            fn call(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
                self.check(y_true.spec(), y_pred.shape())?;
                let call: fn(&$type, &Tensor, &Tensor, &[isize]) -> Result<Tensor> = $call;
                call(self, &as_dense(y_true, y_pred)?, y_pred, &axes(&self.name, self.axis.as_deref(), y_pred.shape())?)
            }

            fn call_among(&self, y_true: &Tensor, y_pred: &Tensor, mask: &Tensor) -> Result<Tensor> {
                self.check(y_true.spec(), y_pred.shape())?;
                let mask = along("mask", mask, y_pred)?;
                self.call(&as_dense(y_true, y_pred)?.mul(&mask)?, &y_pred.mul(&mask)?)
            }
        }
    };
}

loss_of_overlap!(Dice, |_| Ok(()), |_, t, p, axes| {
    let both = t.mul(p)?.sum(axes, false)?;
    map1(&[&both, &t.sum(axes, false)?, &p.sum(axes, false)?], |e| 1.0 - &e[0] * 2.0 / (&e[1] + &e[2] + EPSILON))
});

loss_of_overlap!(
    Tversky,
    |loss| {
        check_share(&loss.name, "alpha", loss.alpha)?;
        check_share(&loss.name, "beta", loss.beta)
    },
    |loss, t, p, axes| {
        let both = t.mul(p)?.sum(axes, false)?;
        let missed = each(t, p, |t, p| t * (1.0 - p))?.sum(axes, false)?;
        let added = each(t, p, |t, p| (1.0 - t) * p)?.sum(axes, false)?;
        map1(&[&both, &missed, &added], |e| 1.0 - &e[0] / (&e[0] + &e[1] * loss.alpha + &e[2] * loss.beta + EPSILON))
    }
);

/// The axes that are summed over.
fn axes(name: &str, given: Option<&[isize]>, y_pred: &Shape) -> Result<Vec<isize>> {
    let Some(given) = given else { return Ok((0..y_pred.rank() as isize).collect()) };
    given.iter().map(|axis| axis_index(*axis, y_pred.rank(), name).map(|axis| axis as isize)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;

    #[test]
    fn over_the_batch_or_by_sample() -> Result<()> {
        let y_true = tensor([2, 2], &[1.0, 0.0, 1.0, 1.0])?;
        let y_pred = tensor([2, 2], &[0.5, 0.5, 1.0, 0.0])?;
        close(&[Dice::new().value(&y_true, &y_pred)?.item()? as f32], &[0.4], 1e-6);
        close(&Dice::new().axis(vec![1]).call(&y_true, &y_pred)?.to_vec()?, &[0.5, 1.0 / 3.0], 1e-6);
        close(&[Tversky::new().value(&y_true, &y_pred)?.item()? as f32], &[0.4], 1e-6);
        // What is missed is 1.5, what is added 0.5.
        close(&[Tversky::new().alpha(1.0).beta(0.0).value(&y_true, &y_pred)?.item()? as f32], &[0.5], 1e-6);
        assert!(Tversky::new().alpha(2.0).value(&y_true, &y_pred).is_err());
        assert!(Dice::new().axis(vec![2]).value(&y_true, &y_pred).is_err());
        Ok(())
    }

    #[test]
    fn rows_that_do_not_count() -> Result<()> {
        let y_true = tensor([2, 2], &[1.0, 0.0, 1.0, 1.0])?;
        let y_pred = tensor([2, 2], &[0.5, 0.5, 1.0, 0.0])?;
        let mask = tensor([2], &[1.0, 0.0])?;
        for loss in [&Dice::new() as &dyn Loss, &Dice::new().axis(vec![1]), &Tversky::new()] {
            close(&[loss.weighted_value(&y_true, &y_pred, None, Some(&mask))?.item()? as f32], &[0.5], 1e-6);
        }
        Ok(())
    }
}
