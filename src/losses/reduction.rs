//! How values per sample become the number that is minimised.

use super::labels::as_float;
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::suggest;
use crate::tensor::Tensor;

/// How the values `l` of a batch, weighted by `w`, become one number. Values that a mask leaves out count neither above nor below the line.
///
/// Keras's `none`, which keeps the values apart, is no reduction to a number that could be minimised: for it there is
/// [`Loss::call`](super::Loss::call).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reduction {
    /// `Σ w·l` divided by the number of values, **not** by the sum of the weights. Keras's default, also called `mean`.
    #[default]
    SumOverBatchSize,
    /// `Σ w·l`.
    Sum,
    /// `Σ w·l / Σ w`.
    MeanWithSampleWeight,
}

impl Reduction {
    /// The reduction of Keras's name: `sum_over_batch_size`, `mean`, `sum`, `mean_with_sample_weight`.
    ///
    /// # Errors
    /// [`Error::Argument`] with the nearest name.
    pub fn from_name(name: &str) -> Result<Reduction> {
        let known = [
            ("sum_over_batch_size", Reduction::SumOverBatchSize),
            ("mean", Reduction::SumOverBatchSize),
            ("sum", Reduction::Sum),
            ("mean_with_sample_weight", Reduction::MeanWithSampleWeight),
        ];
        suggest::find("reduction", name, &known)
    }

    /// The one number, a tensor without axes, of values `[n, …]`.
    ///
    /// `sample_weight` and `mask` (1 where a value counts, else 0) are of the values' shape or of its first axes, `[n]`; missing last axes
    /// stretch. One value without axes stays as it is, or counts once for every weight. No value that counts, or weights that sum to 0 under [`Reduction::MeanWithSampleWeight`], give 0, as in Keras.
    ///
    /// # Errors
    /// [`Error::Shape`] for weights or a mask of another shape.
    pub fn apply(self, values: &Tensor, sample_weight: Option<&Tensor>, mask: Option<&Tensor>) -> Result<Tensor> {
        if values.rank() == 0 {
            // The value of a whole batch stands for each of its samples, once these have weights.
            let Some(weight) = sample_weight else { return Ok(values.clone()) };
            return self.apply(&values.broadcast_to(weight.shape())?, sample_weight, mask);
        }
        let weight = sample_weight.map(|w| along("sample_weight", w, values)).transpose()?;
        let mask = mask.map(|m| along("mask", m, values)).transpose()?;
        let weighted = weighted(values, weight.as_ref(), mask.as_ref())?;
        let shares = match (self, &weight, &mask) {
            (Reduction::Sum, ..) => return weighted.sum_all(),
            (Reduction::SumOverBatchSize, _, None) | (_, None, None) => return weighted.mean_all(),
            (Reduction::SumOverBatchSize, _, Some(mask)) | (_, None, Some(mask)) => mask.clone(),
            (_, Some(weight), None) => weight.clone(),
            (_, Some(weight), Some(mask)) => weight.mul(mask)?,
        };
        // One share stands for all the values that it stretches to.
        let each = values.shape().elements() as f64 / shares.shape().elements().max(1) as f64;
        map1(&[&weighted.sum_all()?, &shares.sum_all()?], |e| {
            let zero = e[0].number(0.0);
            e[1].eq(&zero).select(&zero, &(&e[0] / &(&e[1] * each)))
        })
    }
}

/// Weights with as many axes as the values, the missing ones last, and of their type.
pub(crate) fn along(what: &str, weights: &Tensor, values: &Tensor) -> Result<Tensor> {
    let wrong = || Error::shape(what, format!("{} or its first axes", values.shape()), weights.shape());
    let mut shape = weights.shape().to_vec();
    if shape.len() == values.rank() + 1 && shape.last() == Some(&1) {
        shape.pop();
    }
    if shape.len() > values.rank() {
        return Err(wrong());
    }
    shape.resize(values.rank(), 1);
    if shape.iter().zip(values.shape().iter()).any(|(w, v)| w != v && *w != 1) {
        return Err(wrong());
    }
    let weights = if weights.shape()[..] == shape { weights.clone() } else { weights.reshape(shape)? };
    as_float(&weights, values.dtype())
}

/// Values times weights; 0, whatever the value, where the mask is 0.
fn weighted(values: &Tensor, weight: Option<&Tensor>, mask: Option<&Tensor>) -> Result<Tensor> {
    if weight.is_none() && mask.is_none() {
        return Ok(values.clone());
    }
    let inputs: Vec<&Tensor> = [Some(values), weight, mask].into_iter().flatten().collect();
    map1(&inputs, |e| {
        let value = if weight.is_some() { &e[0] * &e[1] } else { e[0].clone() };
        match e.last().filter(|_| mask.is_some()) {
            Some(counts) => counts.eq(&counts.number(0.0)).select(&value.number(0.0), &value),
            None => value,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{close, tensor};
    use super::*;

    fn all(values: &Tensor, weight: Option<&Tensor>, mask: Option<&Tensor>) -> Result<Vec<f32>> {
        [Reduction::SumOverBatchSize, Reduction::Sum, Reduction::MeanWithSampleWeight]
            .map(|reduction| Ok(reduction.apply(values, weight, mask)?.item()? as f32))
            .into_iter()
            .collect()
    }

    #[test]
    fn weights_and_masks() -> Result<()> {
        let values = tensor([4], &[1.0, 2.0, 3.0, 6.0])?;
        let weight = tensor([4], &[1.0, 0.5, 0.0, 2.0])?;
        let mask = tensor([4], &[1.0, 1.0, 1.0, 0.0])?;
        close(&all(&values, None, None)?, &[3.0, 12.0, 3.0], 1e-6);
        close(&all(&values, Some(&weight), None)?, &[3.5, 14.0, 4.0], 1e-6);
        close(&all(&values, None, Some(&mask))?, &[2.0, 6.0, 2.0], 1e-6);
        close(&all(&values, Some(&weight), Some(&mask))?, &[2.0 / 3.0, 2.0, 4.0 / 3.0], 1e-6);
        Ok(())
    }

    #[test]
    fn a_weight_per_sample_stretches() -> Result<()> {
        let values = tensor([2, 2], &[1.0, 3.0, 5.0, 7.0])?;
        let weight = tensor([2], &[1.0, 0.5])?;
        close(&all(&values, Some(&weight), None)?, &[2.5, 10.0, 10.0 / 3.0], 1e-6);
        close(&all(&values, None, Some(&tensor([2, 1], &[0.0, 1.0])?))?, &[6.0, 12.0, 6.0], 1e-6);
        assert!(all(&values, Some(&tensor([3], &[1.0; 3])?), None).is_err());
        Ok(())
    }

    #[test]
    fn nothing_counts() -> Result<()> {
        let values = tensor([2], &[f32::NAN, f32::INFINITY])?;
        assert_eq!(all(&values, None, Some(&tensor([2], &[0.0; 2])?))?, [0.0; 3]);
        Ok(())
    }
}
