//! True and false positives at many thresholds at once: what precision, recall and the areas under curves are made of.

use crate::error::{Error, Result};
use crate::losses::{as_dense, as_float, check_width};
use crate::ops::pointwise::map1;
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;

/// Which numbers are counted, and above which thresholds a prediction is a yes.
pub(super) struct Thresholds<'a> {
    /// Of the metric, for errors.
    pub name: &'a str,
    /// In order.
    pub cuts: Vec<f64>,
    /// If given, all but so many of a sample's predictions are a no.
    pub top_k: Option<usize>,
    /// If given, the one class that counts.
    pub class_id: Option<usize>,
    /// Whether each column is counted by itself.
    pub by_column: bool,
    /// If given, how much each column counts.
    pub columns: Option<&'a [f64]>,
}

/// What was counted in one column, or in all.
pub(super) struct Counts<'a> {
    true_positives: &'a [f64],
    false_positives: &'a [f64],
    positives: f64,
    negatives: f64,
}

/// The four counts at one threshold.
#[derive(Clone, Copy)]
pub(super) struct Confusion {
    pub true_positives: f64,
    pub false_positives: f64,
    pub true_negatives: f64,
    pub false_negatives: f64,
}

/// Keras's stand-in for minus infinity, which is below every threshold.
pub(super) const LOWEST: f64 = -1e10;

/// `count` thresholds from 0 to 1, equally far from each other.
pub(super) fn evenly(count: usize) -> Vec<f64> {
    (0..count).map(|i| i as f64 / (count.max(2) - 1) as f64).collect()
}

impl<'a> Thresholds<'a> {
    /// Of a metric of this name, over all numbers.
    pub fn new(name: &'a str, cuts: Vec<f64>) -> Thresholds<'a> {
        Thresholds { name, cuts, top_k: None, class_id: None, by_column: false, columns: None }
    }

    /// How many sums [`Thresholds::update`] gives: for each column the true positives at every threshold, the false positives likewise, the
    /// labels that are not 0 and those that are.
    pub fn size(&self, y_pred: &Shape) -> usize {
        let columns = if self.by_column { y_pred.last().copied().unwrap_or(1) } else { 1 };
        columns * 2 * (self.cuts.len() + 1)
    }

    /// What a batch adds to the counts.
    pub fn update(&self, y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        check_width(self.name, y_true.spec(), y_pred.shape())?;
        if self.by_column && y_pred.rank() != 2 {
            return Err(Error::shape(self.name, "predictions [n, labels]", y_pred.shape()));
        }
        let mut p = as_float(y_pred, DType::F32)?;
        let mut t = as_dense(y_true, &p)?;
        if let Some(k) = self.top_k {
            p = best(&p, k)?;
        }
        if let Some(class) = self.class_id {
            (t, p) = (column(self.name, &t, class)?, column(self.name, &p, class)?);
        }
        let (n, width) = (p.shape()[0], p.shape().elements() / p.shape()[0].max(1));
        let weights = self.weights(weights, n, width)?;
        let (t, p) = (t.reshape([n, width])?, p.reshape([n, width])?);
        // [n, width] becomes [columns, numbers].
        let rows = |x: &Tensor| if self.by_column { x.transpose(&[1, 0]) } else { x.reshape([1, n * width]) };
        let (t, p, weights) = (rows(&t)?, rows(&p)?, rows(&weights)?);
        let positive = map1(&[&t, &weights], |e| e[0].ne(&e[0].number(0.0)).select(&e[1], &e[1].number(0.0)))?.expand_dims(1)?;
        let negative = map1(&[&t, &weights], |e| e[0].eq(&e[0].number(0.0)).select(&e[1], &e[1].number(0.0)))?.expand_dims(1)?;
        let kinds = Tensor::concat(&[&positive, &negative], 1)?;
        let counts = kinds.matmul(&self.above(&p)?)?;
        let columns = counts.shape()[0];
        let parts = [counts.reshape([columns, 2 * self.cuts.len()])?, kinds.sum(&[-1], false)?];
        Tensor::concat(&[&parts[0], &parts[1]], 1)?.reshape([columns * 2 * (self.cuts.len() + 1)])
    }

    /// The counts of each column.
    pub fn counts<'s>(&self, sums: &'s [f64]) -> Vec<Counts<'s>> {
        let cuts = self.cuts.len();
        sums.chunks_exact(2 * (cuts + 1))
            .map(|column| {
                let (true_positives, rest) = column.split_at(cuts);
                Counts { true_positives, false_positives: &rest[..cuts], positives: rest[cuts], negatives: rest[cuts + 1] }
            })
            .collect()
    }

    /// A weight for every number.
    fn weights(&self, weights: &Tensor, n: usize, width: usize) -> Result<Tensor> {
        let rows = weights.reshape([n, 1])?.broadcast_to([n, width])?;
        let Some(columns) = self.columns else { return Ok(rows) };
        if columns.len() != width {
            return Err(Error::argument(format!("{}: label_weights", self.name), format!("{width} numbers"), columns.len()));
        }
        let columns: Vec<f32> = columns.iter().map(|&w| w as f32).collect();
        rows.mul(&Tensor::new(weights.device(), [1, width], &columns)?)
    }

    /// 1 where a prediction is above a threshold: `[columns, numbers]` becomes `[columns, numbers, thresholds]`.
    fn above(&self, p: &Tensor) -> Result<Tensor> {
        let (scores, cuts) = match self.steps() {
            None => (p.clone(), self.cuts.clone()),
            Some((steps, lowest)) => {
                // Keras counts steps where thresholds are even, which rounds otherwise than comparing with each.
                let scores = map1(&[p], |e| {
                    let inside = e[0].max(&e[0].number(0.0)).min(&e[0].number(1.0));
                    (inside * steps).ceil().max(&e[0].number(lowest))
                })?;
                (scores, (0..self.cuts.len()).map(|i| i as f64).collect())
            }
        };
        let cuts: Vec<f32> = cuts.iter().map(|&cut| cut as f32).collect();
        let cuts = Tensor::new(p.device(), [1, 1, cuts.len()], &cuts)?;
        map1(&[&scores.expand_dims(-1)?, &cuts], |e| e[0].gt(&e[1]).cast(DType::F32))
    }

    /// For three thresholds or more from 0 to 1, equally far from each other: the steps from the first to the last, and the least step of a
    /// prediction. It is 1, above the first threshold, if that is a little below 0.
    fn steps(&self) -> Option<(f64, f64)> {
        let near = |(cut, even): (&f64, f64)| (cut - even).abs() <= 1e-7 * (1.0 + 1e-6) + 1e-5 * even;
        let even = self.cuts.len() >= 3 && self.cuts.iter().zip(evenly(self.cuts.len())).all(near);
        even.then(|| ((self.cuts.len() - 1) as f64, if self.cuts[0] < 0.0 { 1.0 } else { f64::NEG_INFINITY }))
    }
}

impl Counts<'_> {
    /// At every threshold.
    pub fn confusions(&self) -> Vec<Confusion> {
        let pairs = self.true_positives.iter().zip(self.false_positives);
        pairs
            .map(|(&true_positives, &false_positives)| Confusion {
                true_positives,
                false_positives,
                true_negatives: self.negatives - false_positives,
                false_negatives: self.positives - true_positives,
            })
            .collect()
    }
}

impl Confusion {
    /// Of what was said to be, how much is.
    pub fn precision(&self) -> f64 {
        super::mean::ratio(self.true_positives, self.true_positives + self.false_positives)
    }

    /// Of what is, how much was said to be: also called sensitivity.
    pub fn recall(&self) -> f64 {
        super::mean::ratio(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// Of what is not, how much was said not to be.
    pub fn specificity(&self) -> f64 {
        super::mean::ratio(self.true_negatives, self.true_negatives + self.false_positives)
    }
}

/// One entry of the last axis, which stays with length 1.
fn column(name: &str, x: &Tensor, class: usize) -> Result<Tensor> {
    let width = x.shape().last().copied().unwrap_or(0);
    if x.rank() < 2 || class >= width {
        return Err(Error::argument(format!("{name}: class_id"), format!("a class below {width}"), class));
    }
    let mut ranges: Vec<_> = x.shape().iter().map(|&length| 0..length).collect();
    ranges[x.rank() - 1] = class..class + 1;
    x.slice(&ranges)
}

/// The `k` largest of the last axis, the first of equals before the others; the rest as [`LOWEST`].
fn best(p: &Tensor, k: usize) -> Result<Tensor> {
    let width = p.shape().last().copied().unwrap_or(1);
    let places: Vec<u32> = (0..width as u32).collect();
    let (own, other) = (Tensor::new(p.device(), [width, 1], &places)?, Tensor::new(p.device(), [1, width], &places)?);
    let ahead = map1(&[&p.expand_dims(-1)?, &p.expand_dims(-2)?, &own, &other], |e| {
        (e[1].gt(&e[0]) + e[1].eq(&e[0]) * e[3].lt(&e[2])).cast(DType::F32)
    })?;
    map1(&[p, &ahead.sum(&[-1], false)?], |e| e[1].lt(&e[1].number(k as f64)).select(&e[0], &e[0].number(LOWEST)))
}
