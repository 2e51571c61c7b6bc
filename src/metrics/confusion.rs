//! Right and wrong yes/no answers at one threshold or a few.

use super::thresholds::{Confusion, LOWEST, Thresholds};
use super::{Direction, Metric};
use crate::error::Result;
use crate::losses::check_share;
use crate::losses::settings::settings;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Makes a metric of a type whose `counted` says what is counted: a value for each threshold, of which [`Metric::result`] is the mean.
macro_rules! value_by_threshold {
    ($type:ident, $direction:expr, $value:expr) => {
        impl Metric for $type {
            fn name(&self) -> &str {
                &self.name
            }
            fn size(&self, y_pred: &Shape) -> usize {
                self.counted().size(y_pred)
            }
            fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
                let counted = self.counted();
                counted.cuts.iter().filter(|cut| **cut != LOWEST).try_for_each(|cut| check_share(&self.name, "thresholds", *cut))?;
                counted.update(y_true, y_pred, weights)
            }
            fn result(&self, sums: &[f64]) -> f64 {
                let values = self.results(sums);
                values.iter().sum::<f64>() / values.len() as f64
            }
            fn results(&self, sums: &[f64]) -> Vec<f64> {
                let value: fn(&Confusion) -> f64 = $value;
                self.counted().counts(sums).iter().flat_map(|counts| counts.confusions()).map(|confusion| value(&confusion)).collect()
            }
            fn direction(&self) -> Option<Direction> {
                $direction
            }
        }
    };
}

/// The metrics that only count.
macro_rules! count {
    ($(#[$doc:meta])* $type:ident($name:literal, $field:ident)) => {
        settings! {
            $(#[$doc])*
            ///
            /// Labels and predictions are of one shape `[n, …]`; a label that is not 0 is a yes. With several thresholds [`Metric::results`]
            /// gives the count at each, and [`Metric::result`] their mean.
            $type($name) {
                /// The largest predictions that mean no, from 0 to 1. Default: 0.5.
                thresholds(into): Vec<f64> = vec![0.5],
            }
        }

        impl $type {
            fn counted(&self) -> Thresholds<'_> {
                Thresholds::new(&self.name, self.thresholds.clone())
            }
        }

        value_by_threshold!($type, None, |confusion| confusion.$field);
    };
}

count! {
    /// How often yes was said rightly.
    TruePositives("true_positives", true_positives)
}
count! {
    /// How often yes was said wrongly.
    FalsePositives("false_positives", false_positives)
}
count! {
    /// How often no was said rightly.
    TrueNegatives("true_negatives", true_negatives)
}
count! {
    /// How often no was said wrongly.
    FalseNegatives("false_negatives", false_negatives)
}

/// Precision and recall, which have the same options.
macro_rules! share {
    ($(#[$doc:meta])* $type:ident($name:literal, $method:ident)) => {
        settings! {
            $(#[$doc])*
            ///
            /// Labels and predictions are of one shape `[n, …]`; a label that is not 0 is a yes. With several thresholds [`Metric::results`]
            /// gives the value at each, and [`Metric::result`] their mean.
            $type($name) {
                /// The largest predictions that mean no, from 0 to 1. Default: none, which means 0.5, or no threshold if there is `top_k`.
                thresholds(into): Option<Vec<f64>> = None,
                /// If given, only so many of a sample's largest predictions can be a yes. Default: none.
                top_k(into): Option<usize> = None,
                /// If given, the one class of the last axis that counts. Default: none.
                class_id(into): Option<usize> = None,
            }
        }

        impl $type {
            fn counted(&self) -> Thresholds<'_> {
                let usual = if self.top_k.is_some() { LOWEST } else { 0.5 };
                let cuts = self.thresholds.clone().unwrap_or_else(|| vec![usual]);
                Thresholds { top_k: self.top_k, class_id: self.class_id, ..Thresholds::new(&self.name, cuts) }
            }
        }

        value_by_threshold!($type, Some(Direction::Max), Confusion::$method);
    };
}

share! {
    /// The share of yes answers that are right; 0 if there are none.
    Precision("precision", precision)
}
share! {
    /// The share of yes labels that were found; 0 if there are none.
    Recall("recall", recall)
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::value;
    use super::*;
    use crate::device::Device;

    #[test]
    fn counts_and_shares() -> Result<()> {
        let cpu = Device::cpu();
        let y_true = Tensor::new(&cpu, [2, 3], &[1.0f32, 0.0, 1.0, 1.0, 1.0, 0.0])?;
        let y_pred = Tensor::new(&cpu, [2, 3], &[0.9f32, 0.6, 0.4, 0.5, 0.8, 0.1])?;
        let of = |metric: &dyn Metric| value(metric, &[(&y_true, &y_pred, &[1.0, 0.5])]);
        for (metric, want) in [
            (&TruePositives::new() as &dyn Metric, 1.5),
            (&FalsePositives::new(), 1.0),
            (&TrueNegatives::new(), 0.5),
            (&FalseNegatives::new(), 1.5),
            (&FalseNegatives::new().thresholds([0.5, 0.85]), 1.75),
            (&Precision::new(), 0.6),
            (&Recall::new(), 0.5),
            (&Recall::new().class_id(1), 1.0),
            (&Precision::new().top_k(1), 1.0),
            (&Recall::new().top_k(2), 2.0 / 3.0),
        ] {
            let got = of(metric)?;
            assert!((got - want).abs() <= 1e-6, "{}: {got} instead of {want}", metric.name());
        }
        assert!(of(&Recall::new().class_id(3)).is_err());
        assert!(of(&Recall::new().thresholds(vec![1.5])).is_err());
        Ok(())
    }
}
