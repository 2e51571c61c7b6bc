//! The area under a curve of two shares over all thresholds.

use super::mean::ratio;
use super::thresholds::{Confusion, Thresholds, evenly};
use super::{Direction, Metric};
use crate::error::{Error, Result};
use crate::losses::settings::settings;
use crate::losses::{EPSILON, check_share};
use crate::shape::Shape;
use crate::tensor::{Squash, Tensor};

/// Which share is drawn over which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Curve {
    /// Recall over the share of wrong yes answers among the noes: receiver operating characteristic.
    Roc,
    /// Precision over recall.
    Pr,
    /// Precision gain over recall gain (Flach and Kull 2015).
    PrGain,
}

/// How the area between two thresholds is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Summation {
    /// Along the line between two points; of [`Curve::Pr`] along the curve (Davis and Goadrich 2006).
    Interpolation,
    /// Below the lower of two points.
    Minoring,
    /// Below the higher of two points.
    Majoring,
}

settings! {
    /// The area under a curve, made of trapezoids between thresholds. A label that is not 0 is a yes.
    ///
    /// Labels and predictions, from 0 to 1, are of one shape `[n, …]`, and all numbers count alike; or of `[n, labels]`, see `multi_label`.
    AUC("auc") {
        /// How many thresholds from 0 to 1, at least 2. Default: 200.
        num_thresholds: usize = 200,
        /// Default: [`Curve::Roc`].
        curve: Curve = Curve::Roc,
        /// Default: [`Summation::Interpolation`].
        summation_method: Summation = Summation::Interpolation,
        /// Thresholds between 0 and 1 in place of `num_thresholds`. Default: none.
        thresholds(into): Option<Vec<f64>> = None,
        /// Whether each column of `[n, labels]` has its own area, of which the mean is taken. Default: no.
        multi_label: bool = false,
        /// How much each column counts: in the mean of areas if `multi_label`, else as a weight of its numbers. Default: alike.
        label_weights(into): Option<Vec<f64>> = None,
        /// Whether predictions are logits of a sigmoid. Default: no, probabilities.
        from_logits: bool = false,
    }
}

impl Metric for AUC {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self, y_pred: &Shape) -> usize {
        self.counted().size(y_pred)
    }

    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        if self.thresholds.is_none() && self.num_thresholds < 2 {
            return Err(Error::argument(format!("{}: num_thresholds", self.name), "at least 2", self.num_thresholds));
        }
        self.thresholds.iter().flatten().try_for_each(|cut| check_share(&self.name, "thresholds", *cut))?;
        let columns = y_pred.shape().last().copied().unwrap_or(1);
        if let Some(given) = self.label_weights.as_ref().filter(|given| given.len() != columns) {
            return Err(Error::argument(format!("{}: label_weights", self.name), format!("{columns} numbers"), given.len()));
        }
        let squashed = if self.from_logits && y_pred.logits(Squash::Sigmoid).is_none() { y_pred.sigmoid()? } else { y_pred.clone() };
        self.counted().update(y_true, &squashed, weights)
    }

    fn result(&self, sums: &[f64]) -> f64 {
        let areas = self.areas(sums);
        match self.label_weights.as_ref().filter(|_| self.multi_label) {
            None => areas.iter().sum::<f64>() / areas.len() as f64,
            Some(weights) => ratio(areas.iter().zip(weights).map(|(area, weight)| area * weight).sum(), weights.iter().sum()),
        }
    }

    fn direction(&self) -> Option<Direction> {
        Some(Direction::Max)
    }
}

impl AUC {
    fn counted(&self) -> Thresholds<'_> {
        let mut cuts = match &self.thresholds {
            Some(given) => [&[0.0], &given[..], &[1.0]].concat(),
            None => evenly(self.num_thresholds.max(2)),
        };
        cuts.sort_by(f64::total_cmp);
        // Nothing is at most the first threshold, and nothing above the last.
        let last = cuts.len() - 1;
        (cuts[0], cuts[last]) = (-EPSILON, 1.0 + EPSILON);
        let columns = self.label_weights.as_deref().filter(|_| !self.multi_label);
        Thresholds { by_column: self.multi_label, columns, ..Thresholds::new(&self.name, cuts) }
    }

    /// The area of each column, or of all.
    fn areas(&self, sums: &[f64]) -> Vec<f64> {
        let area = |at: &[Confusion]| match (self.curve, self.summation_method) {
            (Curve::Pr, Summation::Interpolation) => at.windows(2).map(|pair| between(&pair[0], &pair[1])).sum(),
            _ => {
                let points: Vec<(f64, f64)> = at.iter().map(|confusion| self.point(confusion)).collect();
                points.windows(2).map(|pair| (pair[0].0 - pair[1].0) * self.height(pair[0].1, pair[1].1)).sum()
            }
        };
        self.counted().counts(sums).iter().map(|counts| area(&counts.confusions())).collect()
    }

    /// Where the curve is at a threshold.
    fn point(&self, at: &Confusion) -> (f64, f64) {
        match self.curve {
            Curve::Roc => (ratio(at.false_positives, at.false_positives + at.true_negatives), at.recall()),
            Curve::Pr => (at.recall(), at.precision()),
            Curve::PrGain if at.true_positives == 0.0 => (0.0, 1.0),
            Curve::PrGain => {
                let scale = ratio(at.true_positives + at.false_negatives, at.true_negatives + at.false_positives);
                let gain = |wrong: f64| 1.0 - scale * wrong / at.true_positives;
                (gain(at.false_negatives).max(0.0), gain(at.false_positives))
            }
        }
    }

    fn height(&self, a: f64, b: f64) -> f64 {
        match self.summation_method {
            Summation::Interpolation => (a + b) / 2.0,
            Summation::Minoring => a.min(b),
            Summation::Majoring => a.max(b),
        }
    }
}

/// The area under precision over recall between two thresholds, if true and false positives grow in proportion between them.
fn between(low: &Confusion, high: &Confusion) -> f64 {
    let [all_low, all_high] = [low, high].map(|at| at.true_positives + at.false_positives);
    let found = low.true_positives - high.true_positives;
    let slope = ratio(found, (all_low - all_high).max(0.0));
    let intercept = high.true_positives - slope * all_high;
    let growth = if all_low > 0.0 && all_high > 0.0 { all_low / all_high } else { 1.0 };
    ratio(slope * (found + intercept * growth.ln()), (high.true_positives + high.false_negatives).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::value;
    use super::*;
    use crate::device::Device;

    #[test]
    fn the_share_of_pairs_in_the_right_order() -> Result<()> {
        let cpu = Device::cpu();
        let (labels, scores) = ([0.0f32, 1.0, 0.0, 1.0, 1.0, 0.0], [0.12f32, 0.43, 0.61, 0.88, 0.71, 0.33]);
        let (y_true, y_pred) = (Tensor::new(&cpu, [6, 1], &labels)?, Tensor::new(&cpu, [6, 1], &scores)?);
        // Of nine pairs of a yes and a no, only (0.43, 0.61) is in the wrong order.
        let got = value(&AUC::new(), &[(&y_true, &y_pred, &[1.0; 6])])?;
        assert!((got - 8.0 / 9.0).abs() <= 1e-6, "{got}");
        let got = value(&AUC::new(), &[(&y_true, &y_pred, &[1.0, 1.0, 0.0, 1.0, 1.0, 1.0])])?;
        assert!((got - 1.0).abs() <= 1e-6, "{got}");
        let logits = Tensor::new(&cpu, [6, 1], &scores.map(|p| (p / (1.0 - p)).ln()))?;
        let got = value(&AUC::new().from_logits(true), &[(&y_true, &logits, &[1.0; 6])])?;
        assert!((got - 8.0 / 9.0).abs() <= 1e-6, "{got}");
        assert!(value(&AUC::new().num_thresholds(1), &[(&y_true, &y_pred, &[1.0; 6])]).is_err());
        Ok(())
    }
}
