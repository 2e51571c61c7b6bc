//! How far predicted numbers are from true ones, and how well they go together.

use super::mean::{self, mean_of};
use super::{Direction, Metric};
use crate::error::{Error, Result};
use crate::losses::settings::settings;
use crate::losses::{self, EPSILON, Loss, as_dense, check_width};
use crate::ops::pointwise::map1;
use crate::shape::{Shape, axis_index};
use crate::tensor::Tensor;

settings! {
    /// The root of the mean of `(p - t)²`, for labels and predictions of one shape `[n, …]`.
    RootMeanSquaredError("root_mean_squared_error") {}
}

settings! {
    /// The mean of `log(cosh(p - t))`: [`LogCosh`](losses::LogCosh) under Keras's name for the metric.
    LogCoshError("logcosh") {}
}

settings! {
    /// The mean cosine of the angle between labels and predictions of one shape `[n, …]`; **positive**, unlike the loss of that name.
    CosineSimilarity("cosine_similarity") {
        /// The axis of the vectors; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

settings! {
    /// Pearson's correlation of the labels and the predictions of each sample, its mean over the samples. NaN where either are all the same.
    PearsonCorrelation("pearson_correlation") {
        /// The axis of what is correlated, not that of the samples; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

settings! {
    /// The concordance correlation of the labels and the predictions of each sample, its mean over the samples: `2 cov / (var + var + (mean -
    /// mean)² + 1e-7)` (Lin 1989).
    ConcordanceCorrelation("concordance_correlation") {
        /// The axis of what is correlated, not that of the samples; negative counts from the back. Default: the last.
        axis: isize = -1,
    }
}

mean_of!(RootMeanSquaredError, Min, |metric, y_true, y_pred| square_errors(&metric.name, y_true, y_pred), f64::sqrt);

mean_of!(LogCoshError, Min, |metric, y_true, y_pred| losses::LogCosh::new().named(&*metric.name).call(y_true, y_pred));

mean_of!(CosineSimilarity, Max, |metric, y_true, y_pred| {
    losses::CosineSimilarity::new().named(&*metric.name).axis(metric.axis).call(y_true, y_pred)?.neg()
});

mean_of!(PearsonCorrelation, Max, |metric, y_true, y_pred| {
    let Moments { products, squares: [t, p], .. } = moments(&metric.name, metric.axis, y_true, y_pred)?;
    map1(&[&products, &t, &p], |e| &e[0] / (&e[1] * &e[2]).sqrt())
});

mean_of!(ConcordanceCorrelation, Max, |metric, y_true, y_pred| {
    let Moments { products, squares: [t, p], between } = moments(&metric.name, metric.axis, y_true, y_pred)?;
    map1(&[&products, &t, &p, &between], |e| &e[0] * 2.0 / (&e[1] + &e[2] + e[3].square() + EPSILON))
});

fn square_errors(name: &str, y_true: &Tensor, y_pred: &Tensor) -> Result<Tensor> {
    check_width(name, y_true.spec(), y_pred.shape())?;
    map1(&[&as_dense(y_true, y_pred)?, y_pred], |e| (&e[1] - &e[0]).square())
}

/// Means, over one axis, of the deviations of labels and predictions from their own means.
struct Moments {
    /// The covariance.
    products: Tensor,
    /// The variances.
    squares: [Tensor; 2],
    /// How far the means are apart.
    between: Tensor,
}

fn moments(name: &str, axis: isize, y_true: &Tensor, y_pred: &Tensor) -> Result<Moments> {
    check_width(name, y_true.spec(), y_pred.shape())?;
    if axis_index(axis, y_pred.rank(), name)? == 0 {
        return Err(Error::argument(format!("{name}: axis"), "an axis within the samples", axis));
    }
    let labels = as_dense(y_true, y_pred)?;
    let (t, p) = (labels.mean(&[axis], true)?, y_pred.mean(&[axis], true)?);
    let mean = |values: Result<Tensor>| values?.mean(&[axis], false);
    Ok(Moments {
        products: mean(map1(&[&labels, &t, y_pred, &p], |e| (&e[0] - &e[1]) * (&e[2] - &e[3])))?,
        squares: [mean(map1(&[&labels, &t], |e| (&e[0] - &e[1]).square()))?, mean(map1(&[y_pred, &p], |e| (&e[0] - &e[1]).square()))?],
        between: mean(t.sub(&p))?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::value;
    use super::*;
    use crate::device::Device;

    #[test]
    fn against_the_formulas() -> Result<()> {
        let cpu = Device::cpu();
        let (t, p) = ([1.0f32, 2.0, 4.0], [1.5f32, 2.0, 6.0]);
        let (y_true, y_pred) = (Tensor::new(&cpu, [1, 3], &t)?, Tensor::new(&cpu, [1, 3], &p)?);
        let of = |metric: &dyn Metric| value(metric, &[(&y_true, &y_pred, &[1.0])]);
        // Means 7/3 and 19/6, variances 14/9 and 73/18, covariance 22/9.
        let (vt, vp, cov, between) = (14.0 / 9.0, 73.0 / 18.0, 22.0 / 9.0, 5.0f64 / 6.0);
        for (metric, want) in [
            (&RootMeanSquaredError::new() as &dyn Metric, (4.25f64 / 3.0).sqrt()),
            (&CosineSimilarity::new(), 29.5 / (21.0f64 * 42.25).sqrt()),
            (&PearsonCorrelation::new(), cov / f64::sqrt(vt * vp)),
            (&ConcordanceCorrelation::new(), 2.0 * cov / (vt + vp + between * between)),
        ] {
            let got = of(metric)?;
            assert!((got - want).abs() <= 1e-6, "{}: {got} instead of {want}", metric.name());
        }
        assert!(of(&PearsonCorrelation::new().axis(0)).is_err());
        Ok(())
    }
}
