//! The best of one share that can be had, over all thresholds, while another is at least so much.

use super::thresholds::{Confusion, Thresholds, evenly};
use super::{Direction, Metric};
use crate::error::{Error, Result};
use crate::losses::check_share;
use crate::losses::settings::settings;
use crate::shape::Shape;
use crate::tensor::Tensor;

macro_rules! best_share {
    ($(#[$doc:meta])* $type:ident($name:literal, $least:ident), $best:ident where $share:ident) => {
        settings! {
            $(#[$doc])*
            /// 0 if no threshold gives that.
            ///
            /// Labels and predictions, from 0 to 1, are of one shape `[n, …]`; a label that is not 0 is a yes.
            $type($name, $least: f64) {
                /// How many thresholds from 0 to 1 are tried, at least 1. Default: 200.
                num_thresholds: usize = 200,
                /// If given, the one class of the last axis that counts. Default: none.
                class_id(into): Option<usize> = None,
            }
        }

        impl $type {
            fn counted(&self) -> Thresholds<'_> {
                let cuts = if self.num_thresholds == 1 { vec![0.5] } else { evenly(self.num_thresholds) };
                Thresholds { class_id: self.class_id, ..Thresholds::new(&self.name, cuts) }
            }
        }

        impl Metric for $type {
            fn name(&self) -> &str {
                &self.name
            }
            fn size(&self, y_pred: &Shape) -> usize {
                self.counted().size(y_pred)
            }
            fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
                check_share(&self.name, stringify!($least), self.$least)?;
                if self.num_thresholds == 0 {
                    return Err(Error::argument(format!("{}: num_thresholds", self.name), "at least 1", 0));
                }
                self.counted().update(y_true, y_pred, weights)
            }
            fn result(&self, sums: &[f64]) -> f64 {
                let all = self.counted().counts(sums).into_iter().flat_map(|counts| counts.confusions());
                // In f32, as Keras compares: 0.8 of five must be 0.8.
                let enough = all.filter(|confusion| Confusion::$share(confusion) as f32 >= self.$least as f32);
                enough.map(|confusion| Confusion::$best(&confusion)).fold(0.0, f64::max)
            }
            fn direction(&self) -> Option<Direction> {
                Some(Direction::Max)
            }
        }
    };
}

best_share! {
    /// The best precision at a recall of at least `recall`.
    PrecisionAtRecall("precision_at_recall", recall), precision where recall
}
best_share! {
    /// The best recall at a precision of at least `precision`.
    RecallAtPrecision("recall_at_precision", precision), recall where precision
}
best_share! {
    /// The best sensitivity, which is recall, at a specificity of at least `specificity`.
    SensitivityAtSpecificity("sensitivity_at_specificity", specificity), recall where specificity
}
best_share! {
    /// The best specificity at a sensitivity of at least `sensitivity`.
    SpecificityAtSensitivity("specificity_at_sensitivity", sensitivity), specificity where recall
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::value;
    use super::*;
    use crate::device::Device;

    #[test]
    fn four_answers() -> Result<()> {
        let cpu = Device::cpu();
        let y_true = Tensor::new(&cpu, [4, 1], &[0.0f32, 1.0, 0.0, 1.0])?;
        let y_pred = Tensor::new(&cpu, [4, 1], &[0.1f32, 0.4, 0.6, 0.9])?;
        let of = |metric: &dyn Metric| value(metric, &[(&y_true, &y_pred, &[1.0; 4])]);
        for (metric, want) in [
            (&PrecisionAtRecall::new(0.5) as &dyn Metric, 1.0),
            (&PrecisionAtRecall::new(0.8), 2.0 / 3.0),
            (&RecallAtPrecision::new(0.8), 0.5),
            (&RecallAtPrecision::new(0.6), 1.0),
            (&SensitivityAtSpecificity::new(1.0), 0.5),
            (&SpecificityAtSensitivity::new(1.0), 0.5),
            (&SpecificityAtSensitivity::new(1.0).num_thresholds(1), 0.0),
        ] {
            let got = of(metric)?;
            assert!((got - want).abs() <= 1e-6, "{}: {got} instead of {want}", metric.name());
        }
        assert!(of(&PrecisionAtRecall::new(1.5)).is_err());
        assert!(of(&PrecisionAtRecall::new(0.5).num_thresholds(0)).is_err());
        Ok(())
    }
}
