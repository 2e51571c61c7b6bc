//! Precision and recall in one number.

use super::mean::ratio;
use super::{Direction, Metric};
use crate::error::{Error, Result};
use crate::losses::settings::settings;
use crate::losses::{EPSILON, as_dense, as_float, check_width};
use crate::ops::pointwise::{Expr, map};
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;

/// How the scores of several classes become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Average {
    /// One score of the counts of all classes together.
    Micro,
    /// The mean of the classes' scores.
    Macro,
    /// Their mean, weighted by how often each class is right.
    Weighted,
}

settings! {
    /// `(1 + β²) · precision · recall / (β² · precision + recall)` of each class, for labels and predictions `[n, classes]`.
    FBetaScore("fbeta_score") {
        /// How the classes' scores become one. Default: none. Then [`Metric::results`] gives each, and [`Metric::result`] their mean.
        average(into): Option<Average> = None,
        /// `β`, how much recall counts against precision. Above 0. Default: 1.
        beta: f64 = 1.0,
        /// Classes above it are predicted. Above 0, at most 1. Default: none, which means the largest, unless that is 0.
        threshold(into): Option<f64> = None,
    }
}

settings! {
    /// [`FBetaScore`] for `β = 1`: the harmonic mean of precision and recall.
    F1Score("f1_score") {
        /// How the classes' scores become one. Default: none. Then [`Metric::results`] gives each, and [`Metric::result`] their mean.
        average(into): Option<Average> = None,
        /// Classes above it are predicted. Above 0, at most 1. Default: none, which means the largest, unless that is 0.
        threshold(into): Option<f64> = None,
    }
}

impl F1Score {
    fn general(&self) -> FBetaScore {
        FBetaScore { name: self.name.clone(), average: self.average, beta: 1.0, threshold: self.threshold }
    }
}

impl Metric for F1Score {
    fn name(&self) -> &str {
        &self.name
    }
    fn size(&self, y_pred: &Shape) -> usize {
        self.general().size(y_pred)
    }
    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        self.general().update(y_true, y_pred, weights)
    }
    fn result(&self, sums: &[f64]) -> f64 {
        self.general().result(sums)
    }
    fn results(&self, sums: &[f64]) -> Vec<f64> {
        self.general().results(sums)
    }
    fn direction(&self) -> Option<Direction> {
        Some(Direction::Max)
    }
}

impl Metric for FBetaScore {
    fn name(&self) -> &str {
        &self.name
    }

    /// Of each class: how often it is right and predicted, wrong and predicted, right and not predicted.
    fn size(&self, y_pred: &Shape) -> usize {
        3 * y_pred.last().copied().unwrap_or(1)
    }

    fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        self.check(y_true, y_pred)?;
        let y_pred = as_float(y_pred, DType::F32)?;
        let best = y_pred.max(&[-1], true)?;
        let weights = weights.reshape([y_pred.shape()[0], 1])?;
        let counts = map(&[&as_dense(y_true, &y_pred)?, &y_pred, &best, &weights], |e| {
            let (t, p, zero) = (&e[0], &e[1], e[1].number(0.0));
            let said = match self.threshold {
                Some(threshold) => p.gt(&p.number(threshold)),
                None => p.ge(&e[2]) * p.abs().gt(&p.number(1e-9)),
            };
            let said = said.cast(DType::F32);
            let weighted = |x: Expr| e[3].ne(&zero).select(&(x * &e[3]), &zero);
            vec![weighted(&said * t), weighted(&said * (1.0 - t)), weighted((1.0 - &said) * t)]
        })?;
        let counts = counts.iter().map(|count| count.sum(&[0], false)).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&counts.iter().collect::<Vec<_>>(), 0)
    }

    fn result(&self, sums: &[f64]) -> f64 {
        let classes = sums.len() / 3;
        let [right, false_alarms, missed] = [0, 1, 2].map(|which| &sums[which * classes..][..classes]);
        if self.average == Some(Average::Micro) {
            return self.score(right.iter().sum(), false_alarms.iter().sum(), missed.iter().sum());
        }
        let scores = self.scores(sums);
        if self.average == Some(Average::Weighted) {
            let labels = right.iter().zip(missed).map(|(right, missed)| right + missed);
            let all: f64 = labels.clone().sum();
            return scores.iter().zip(labels).map(|(score, weight)| score * weight / (all + EPSILON)).sum();
        }
        ratio(scores.iter().sum(), classes as f64)
    }

    fn results(&self, sums: &[f64]) -> Vec<f64> {
        if self.average.is_none() { self.scores(sums) } else { vec![self.result(sums)] }
    }

    fn direction(&self) -> Option<Direction> {
        Some(Direction::Max)
    }
}

impl FBetaScore {
    fn check(&self, y_true: &Tensor, y_pred: &Tensor) -> Result<()> {
        check_width(&self.name, y_true.spec(), y_pred.shape())?;
        if y_pred.rank() != 2 {
            return Err(Error::shape(&*self.name, "predictions [n, classes]", y_pred.shape()));
        }
        let positive = |x: f64| x > 0.0;
        if !positive(self.beta) {
            return Err(Error::argument(format!("{}: beta", self.name), "a number above 0", self.beta));
        }
        match self.threshold {
            Some(threshold) if !(positive(threshold) && threshold <= 1.0) => {
                Err(Error::argument(format!("{}: threshold", self.name), "a number above 0 and at most 1", threshold))
            }
            _ => Ok(()),
        }
    }

    fn scores(&self, sums: &[f64]) -> Vec<f64> {
        let classes = sums.len() / 3;
        (0..classes).map(|class| self.score(sums[class], sums[classes + class], sums[2 * classes + class])).collect()
    }

    fn score(&self, right: f64, false_alarms: f64, missed: f64) -> f64 {
        let precision = right / (right + false_alarms + EPSILON);
        let recall = right / (right + missed + EPSILON);
        let square = self.beta * self.beta;
        precision * recall / (square * precision + recall + EPSILON) * (1.0 + square)
    }
}
