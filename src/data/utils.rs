//! Keras's small helpers for data on the host: one-hot labels, rows of length 1, sequences of equal length, splits.

use super::dataset::Dataset;
use crate::error::{Error, Result};
use crate::suggest;
use ndarray::{Array, Array2, ArrayBase, Axis, Data, Dimension};
use num_traits::{Float, ToPrimitive};
use std::str::FromStr;

/// Labels as rows of zeros with a one, `[n, classes]`: what [`CategoricalCrossentropy`](crate::losses::CategoricalCrossentropy) takes.
///
/// Without `num_classes` there are as many classes as the largest label needs.
///
/// # Errors
/// [`Error::Label`] for a label that is not a class; [`Error::Argument`] if there is nothing to find the number of classes from.
pub fn to_categorical<T: Copy + ToPrimitive>(labels: &[T], num_classes: Option<usize>) -> Result<Array2<f32>> {
    let op = "to_categorical";
    // A label that is no i64 is far beyond any class.
    let labels: Vec<i64> = labels.iter().map(|label| label.to_i64().unwrap_or(i64::MAX)).collect();
    let classes = match (num_classes, labels.iter().max()) {
        (Some(classes), _) => classes,
        (None, Some(&largest)) => usize::try_from(largest.saturating_add(1)).unwrap_or(0),
        (None, None) => return Err(Error::argument(format!("{op}: num_classes"), "a number where there are no labels", "none")),
    };
    let cells = labels.len().checked_mul(classes).filter(|&cells| cells <= MAX_CELLS);
    let valid = |label: i64| usize::try_from(label).is_ok_and(|label| label < classes);
    if let Some(position) = labels.iter().position(|&label| !valid(label)) {
        return Err(Error::Label { op: op.to_string(), label: labels[position], position, classes });
    }
    if cells.is_none() {
        let got = format!("{} labels of {classes} classes; sparse losses take the labels as they are", labels.len());
        return Err(Error::argument(op, format!("at most {MAX_CELLS} cells"), got));
    }
    let mut rows = Array2::zeros((labels.len(), classes));
    for (mut row, &label) in rows.rows_mut().into_iter().zip(&labels) {
        row[label as usize] = 1.0;
    }
    Ok(rows)
}

/// More cells than this are a mistake: a label of four billion would ask for 16 GB a row. Fewer where pointers have 32 bits.
const MAX_CELLS: usize = if usize::BITS < 64 { 1 << 24 } else { 1 << 31 };

/// Divides by the norm along an axis, so that it becomes 1; where it is 0, nothing changes.
///
/// `axis` counts from the end if it is negative; Keras's default is -1. `order` is the exponent of the norm, at least 1: Keras's default
/// 2 is the Euclidean norm, 1 the sum of magnitudes, infinity the largest magnitude.
///
/// # Errors
/// [`Error::Argument`] for an axis that the array does not have or an order below 1.
pub fn normalize<T, S, D>(x: &ArrayBase<S, D>, axis: isize, order: f64) -> Result<Array<T, D>>
where
    T: Float,
    S: Data<Elem = T>,
    D: Dimension,
{
    let rank = x.ndim() as isize;
    if !(-rank..rank).contains(&axis) {
        return Err(Error::argument("normalize: axis", format!("one of {} to {}", -rank, rank - 1), axis));
    }
    if order.is_nan() || order < 1.0 {
        return Err(Error::argument("normalize: order", "a number from 1 to infinity", order));
    }
    let mut y = x.to_owned();
    for mut lane in y.lanes_mut(Axis(axis.rem_euclid(rank) as usize)) {
        let norm = norm(lane.iter().copied(), order);
        if norm != T::zero() {
            lane.mapv_inplace(|value| value / norm);
        }
    }
    Ok(y)
}

/// Scaled by the largest magnitude first: the square of 1e20 is no f32 any more.
fn norm<T: Float>(values: impl Iterator<Item = T> + Clone, order: f64) -> T {
    // A NaN is not below anything, and nothing is below a NaN: it stays.
    let largest = values.clone().fold(T::zero(), |largest, v| if v.abs() <= largest || largest.is_nan() { largest } else { v.abs() });
    if order.is_infinite() || largest == T::zero() || !largest.is_finite() {
        return largest;
    }
    let power = T::from(order).unwrap_or_else(T::infinity);
    let sum = values.fold(T::zero(), |sum, value| sum + (value.abs() / largest).powf(power));
    largest * sum.powf(power.recip())
}

/// The beginning or the end of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Side {
    /// The beginning: Keras's `"pre"`.
    #[default]
    Pre,
    /// The end: Keras's `"post"`.
    Post,
}

impl FromStr for Side {
    type Err = Error;

    fn from_str(text: &str) -> Result<Side> {
        suggest::find("side", text, &[("pre", Side::Pre), ("post", Side::Post)])
    }
}

/// How [`pad_sequences`] makes sequences equally long. The defaults are Keras's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PadSequences<T> {
    /// The length. Default: that of the longest sequence.
    pub maxlen: Option<usize>,
    /// Where short ones are filled. Default: before the beginning.
    pub padding: Side,
    /// Where long ones are cut. Default: at the beginning.
    pub truncating: Side,
    /// What fills them. Default: 0.
    pub value: T,
}

/// Makes sequences equally long, `[n, length]`: short ones are filled, long ones cut.
///
/// # Errors
/// [`Error::OutOfMemory`] if `maxlen` asks for more cells than can be counted.
pub fn pad_sequences<T: Copy>(sequences: &[impl AsRef<[T]>], options: PadSequences<T>) -> Result<Array2<T>> {
    let longest = sequences.iter().map(|sequence| sequence.as_ref().len()).max().unwrap_or(0);
    let length = options.maxlen.unwrap_or(longest);
    if sequences.len().checked_mul(length).is_none_or(|cells| cells > MAX_CELLS) {
        let size = size_of::<T>() as u64;
        return Err(Error::OutOfMemory {
            what: format!("pad_sequences: {} rows of {length}", sequences.len()),
            bytes: (sequences.len() as u64).saturating_mul(length as u64).saturating_mul(size),
            limit: Some((MAX_CELLS as u64).saturating_mul(size)),
            hint: "choose a smaller maxlen".to_string(),
        });
    }
    let mut rows = Array2::from_elem((sequences.len(), length), options.value);
    for (mut row, sequence) in rows.rows_mut().into_iter().zip(sequences) {
        let sequence = sequence.as_ref();
        let kept = sequence.len().min(length);
        let from = match options.truncating {
            Side::Pre => sequence.len() - kept,
            Side::Post => 0,
        };
        let to = match options.padding {
            Side::Pre => length - kept,
            Side::Post => 0,
        };
        for (i, &value) in sequence[from..from + kept].iter().enumerate() {
            row[to + i] = value;
        }
    }
    Ok(rows)
}

/// How many samples the left part of [`split_dataset`] has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LeftSize {
    /// So many.
    Count(usize),
    /// This part of all, rounded; a half to the even number, as in Python.
    Fraction(f64),
}

impl From<usize> for LeftSize {
    fn from(count: usize) -> LeftSize {
        LeftSize::Count(count)
    }
}

impl From<f64> for LeftSize {
    fn from(fraction: f64) -> LeftSize {
        LeftSize::Fraction(fraction)
    }
}

/// Splits into a left part of `left_size` samples (a count, or a fraction as `0.8`) and a right part with the others.
///
/// With `shuffle`, a seed, the samples are put into a random order first: files are often sorted in some way, and a validation part
/// should look like the whole. Keras's `split_dataset(dataset, left_size, shuffle, seed)`.
///
/// # Errors
/// [`Error::Argument`] if one of the parts would be empty.
pub fn split_dataset(data: &Dataset, left_size: impl Into<LeftSize>, shuffle: Option<u64>) -> Result<(Dataset, Dataset)> {
    let left = match left_size.into() {
        LeftSize::Count(count) => count,
        LeftSize::Fraction(fraction) if fraction > 0.0 && fraction < 1.0 => (fraction * data.len() as f64).round_ties_even() as usize,
        LeftSize::Fraction(fraction) => {
            return Err(Error::argument("split_dataset: left_size", "a fraction between 0 and 1, or a count", fraction));
        }
    };
    if left == 0 || left >= data.len() {
        return Err(Error::argument("split_dataset: left_size", format!("1 to {} samples", data.len().saturating_sub(1)), left));
    }
    Ok(match shuffle {
        Some(seed) => data.shuffled(seed).split(left),
        None => data.split(left),
    })
}
