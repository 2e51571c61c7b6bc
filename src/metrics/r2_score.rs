//! The share of the labels' variance that predictions explain.

use super::{Direction, Metric};
use crate::error::{Error, Result};
use crate::losses::settings::settings;
use crate::losses::{as_dense, as_float, check_width};
use crate::ops::pointwise::{Expr, map};
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;

/// How the scores of several columns become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aggregation {
    /// Their mean.
    UniformAverage,
    /// Their mean, weighted by the variance of each column's labels.
    VarianceWeightedAverage,
}

settings! {
    /// `R² = 1 - Σ (t - p)² / Σ (t - mean t)²` of each column of labels and predictions `[n, columns]`, over all samples. An infinite score counts
    /// as 0.
    R2Score("r2_score") {
        /// How the columns' scores become one; [`Metric::results`] gives each if there is none. Default: their mean.
        class_aggregation(into): Option<Aggregation> = Some(Aggregation::UniformAverage),
        /// The number of independent variables `p` of the adjusted score, `1 - (1 - R²)(n - 1)/(n - p - 1)`, where `n` is the number of
        /// the labels' numbers, as Keras has it, without samples of weight 0, which Keras counts. Not adjusted where that is not above 0. Default: 0, not adjusted.
        num_regressors: usize = 0,
    }
}

impl Metric for R2Score {
    fn name(&self) -> &str {
        &self.name
    }

    /// Of each column: `Σ t`, `Σ t²`, `Σ (t - p)²`, all weighted, and `Σ w` and the number of numbers.
    fn size(&self, y_pred: &Shape) -> usize {
        5 * y_pred.last().copied().unwrap_or(1)
    }

    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        check_width(&self.name, y_true.spec(), y_pred.shape())?;
        if y_pred.rank() != 2 {
            return Err(Error::shape(&*self.name, "predictions [n, columns]", y_pred.shape()));
        }
        let y_pred = as_float(y_pred, DType::F32)?;
        let weights = weights.reshape([y_pred.shape()[0], 1])?;
        let sums = map(&[&as_dense(y_true, &y_pred)?, &y_pred, &weights], |e| {
            let zero = e[2].number(0.0);
            let counts = e[2].ne(&zero);
            let weighted = |x: Expr| counts.select(&(x * &e[2]), &zero);
            let every = counts.cast(DType::F32);
            let weight = weighted(every.clone());
            vec![weighted(e[0].clone()), weighted(e[0].square()), weighted((&e[0] - &e[1]).square()), weight, every]
        })?;
        let sums = sums.iter().map(|values| values.sum(&[0], false)).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&sums.iter().collect::<Vec<_>>(), 0)
    }

    fn result(&self, sums: &[f64]) -> f64 {
        let (scores, totals) = self.scores(sums);
        let score = match self.class_aggregation {
            Some(Aggregation::VarianceWeightedAverage) => {
                scores.iter().zip(&totals).map(|(score, total)| score * total).sum::<f64>() / totals.iter().sum::<f64>()
            }
            _ => scores.iter().sum::<f64>() / scores.len() as f64,
        };
        self.adjusted(score, sums)
    }

    fn results(&self, sums: &[f64]) -> Vec<f64> {
        match self.class_aggregation {
            None => self.scores(sums).0.into_iter().map(|score| self.adjusted(score, sums)).collect(),
            Some(_) => vec![self.result(sums)],
        }
    }

    fn direction(&self) -> Option<Direction> {
        Some(Direction::Max)
    }
}

impl R2Score {
    /// Each column's score, and the sum of its squares around the mean.
    fn scores(&self, sums: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let columns = sums.len() / 5;
        let of = |which: usize, column: usize| sums[which * columns + column];
        (0..columns)
            .map(|column| {
                let [sum, squares, errors, weight] = [0, 1, 2, 3].map(|which| of(which, column));
                let total = squares - sum * (sum / weight);
                let score = 1.0 - errors / total;
                (if score.is_infinite() { 0.0 } else { score }, total)
            })
            .unzip()
    }

    fn adjusted(&self, score: f64, sums: &[f64]) -> f64 {
        let n: f64 = sums[sums.len() / 5 * 4..].iter().sum();
        let free = n - 1.0 - self.num_regressors as f64;
        if self.num_regressors == 0 || free <= 0.0 { score } else { 1.0 - (1.0 - score) * (n - 1.0) / free }
    }
}
