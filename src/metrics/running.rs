//! Metrics for a training loop of one's own.

use super::Metric;
use super::mean::{self, keep};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::losses::settings::settings;
use crate::losses::{as_float, per_sample};
use crate::ops::pointwise::map1;
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::sync::OnceLock;

settings! {
    /// The mean of numbers: of a loss, say. It takes them for the predictions, `[n, …]`, and looks at no labels; see [`Running::add`].
    Mean("mean") {}
}

settings! {
    /// The sum of numbers. It takes them for the predictions, `[n, …]`, and looks at no labels; see [`Running::add`].
    Sum("sum") {}
}

impl Metric for Mean {
    fn name(&self) -> &str {
        &self.name
    }
    fn size(&self, _y_pred: &Shape) -> usize {
        mean::SIZE
    }
    fn update(&self, _y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        mean::update(&self.name, y_pred, None, weights)
    }
    fn result(&self, sums: &[f64]) -> f64 {
        mean::result(sums)
    }
}

impl Metric for Sum {
    fn name(&self) -> &str {
        &self.name
    }
    fn size(&self, _y_pred: &Shape) -> usize {
        1
    }
    fn update(&self, _y_true: &Tensor, y_pred: &Tensor, weights: &Tensor) -> Result<Tensor> {
        let axes: Vec<isize> = (1..y_pred.rank() as isize).collect();
        let values = as_float(y_pred, DType::F32)?.sum(&axes, false)?;
        map1(&[&values, weights], |e| keep(&e[1], &(&e[0] * &e[1])))?.sum(&[0], true)
    }
    fn result(&self, sums: &[f64]) -> f64 {
        sums[0]
    }
}

/// A metric and its sums so far, which live on a device.
///
/// ```
/// use gradus::metrics::{Running, SparseCategoricalAccuracy};
/// use gradus::{Device, Tensor};
/// let accuracy = Running::new(SparseCategoricalAccuracy::new());
/// let labels = Tensor::new(&Device::cpu(), [2], &[0u32, 1])?;
/// let logits = Tensor::new(&Device::cpu(), [2, 2], &[0.5f32, -0.5, 1.0, 0.0])?;
/// accuracy.update_state(&labels, &logits, None)?;
/// assert_eq!(accuracy.result()?, 0.5);
/// accuracy.reset_state()?;
/// # Ok::<(), gradus::Error>(())
/// ```
#[derive(Debug)]
pub struct Running<M> {
    metric: M,
    sums: OnceLock<Variable>,
}

impl<M: Metric> Running<M> {
    /// Nothing is counted yet.
    pub fn new(metric: M) -> Running<M> {
        Running { metric, sums: OnceLock::new() }
    }

    /// The metric.
    pub fn metric(&self) -> &M {
        &self.metric
    }

    /// Makes room for the sums of predictions of this shape, `[n, …]`, where `n` does not matter. The first update does so too, but not inside a
    /// traced function.
    ///
    /// # Errors
    /// [`Error::Trace`] inside a traced function; [`Error::OutOfMemory`].
    pub fn build(&self, device: &Device, y_pred: &Shape) -> Result<()> {
        self.sums(device, y_pred).map(|_| ())
    }

    /// Adds a batch: labels `[n, …]`, predictions `[n, …]` and the weights of the samples, `[n]`, which are 1 if there are none.
    ///
    /// # Errors
    /// [`Error::Shape`] if they do not fit each other or earlier batches; as [`Running::build`] at the first batch.
    pub fn update_state(&self, y_true: &Tensor, y_pred: &Tensor, sample_weight: Option<&Tensor>) -> Result<()> {
        let n = *y_pred.shape().first().ok_or_else(|| Error::shape(self.metric.name(), "predictions [n, …]", y_pred.shape()))?;
        let weights = match sample_weight {
            Some(weights) if weights.shape().elements() == n => as_float(&weights.reshape([n])?, DType::F32)?,
            Some(weights) => return Err(Error::shape(self.metric.name(), format!("weights [{n}]"), weights.shape())),
            None => Tensor::full(y_pred.device(), [n], DType::F32, 1.0)?,
        };
        let sums = self.sums(y_pred.device(), y_pred.shape())?;
        let size = self.metric.size(y_pred.shape());
        if sums.shape().elements() != size {
            return Err(Error::shape(self.metric.name(), format!("predictions with {} sums, as before", sums.shape()), y_pred.shape()));
        }
        sums.assign(&sums.value()?.add(&self.metric.update(y_true, y_pred, &weights)?)?)
    }

    /// The value over all batches since the start or the last reset; waits for the device. Before the first batch as over samples of weight 0.
    ///
    /// # Errors
    /// What the operations of the updates return.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn result(&self) -> Result<f64> {
        pollster::block_on(self.result_async())
    }

    /// [`Running::result`] where no thread may block.
    ///
    /// # Errors
    /// As [`Running::result`].
    pub async fn result_async(&self) -> Result<f64> {
        let Some(sums) = self.sums.get() else { return Ok(0.0) };
        let sums: Vec<f32> = sums.value()?.read().await?;
        Ok(self.metric.result(&sums.into_iter().map(f64::from).collect::<Vec<_>>()))
    }

    /// Forgets all batches.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn reset_state(&self) -> Result<()> {
        self.sums.get().map_or(Ok(()), |sums| sums.assign(&Tensor::zeros(sums.device(), sums.shape())?))
    }

    fn sums(&self, device: &Device, y_pred: &Shape) -> Result<&Variable> {
        if let Some(sums) = self.sums.get() {
            return Ok(sums);
        }
        let zeros = vec![0.0f32; self.metric.size(y_pred)];
        let sums = Tensor::new(device, [zeros.len()], &zeros)?;
        let sums = Variable::new(format!("{}/sums", self.metric.name()), &sums)?.untrainable();
        Ok(self.sums.get_or_init(|| sums))
    }
}

impl Running<Mean> {
    /// Adds numbers `[n, …]`, each sample's mean with the weight of the sample; or one number without axes, say the loss of a batch.
    ///
    /// # Errors
    /// As [`Running::update_state`].
    pub fn add(&self, values: &Tensor, sample_weight: Option<&Tensor>) -> Result<()> {
        let values = per_sample(&with_axis(values)?)?;
        self.update_state(&values, &values, sample_weight)
    }
}

impl Running<Sum> {
    /// Adds numbers `[n, …]`, each sample's sum times the weight of the sample; or one number without axes.
    ///
    /// # Errors
    /// As [`Running::update_state`].
    pub fn add(&self, values: &Tensor, sample_weight: Option<&Tensor>) -> Result<()> {
        let values = with_axis(values)?;
        self.update_state(&values, &values, sample_weight)
    }
}

fn with_axis(values: &Tensor) -> Result<Tensor> {
    if values.rank() == 0 { values.reshape([1]) } else { Ok(values.clone()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Function;

    #[test]
    fn means_and_sums() -> Result<()> {
        let cpu = Device::cpu();
        let (mean, sum) = (Running::new(Mean::new()), Running::new(Sum::new()));
        assert_eq!((mean.result()?, sum.result()?), (0.0, 0.0));
        let values = Tensor::new(&cpu, [4], &[1.0f32, 3.0, 5.0, 7.0])?;
        let weights = Tensor::new(&cpu, [4], &[1.0f32, 1.0, 0.0, 0.0])?;
        mean.add(&values, None)?;
        sum.add(&values, None)?;
        assert_eq!((mean.result()?, sum.result()?), (4.0, 16.0));
        mean.add(&values, Some(&weights))?;
        sum.add(&values, Some(&weights))?;
        assert_eq!((mean.result()?, sum.result()?), (20.0 / 6.0, 20.0));
        mean.reset_state()?;
        mean.add(&Tensor::scalar(&cpu, 2.5f32)?, None)?;
        mean.add(&Tensor::new(&cpu, [1, 2], &[1.0f32, 2.0])?, None)?;
        assert_eq!(mean.result()?, 2.0);
        assert!(mean.add(&values, Some(&Tensor::new(&cpu, [3], &[1.0f32; 3])?)).is_err());
        Ok(())
    }

    #[test]
    fn in_a_traced_function() -> Result<()> {
        let cpu = Device::cpu();
        let metric = Running::new(super::super::Precision::new());
        metric.build(&cpu, &Shape::from([2, 1]))?;
        let step = Function::new("step", |args: &[Tensor]| {
            metric.update_state(&args[0], &args[1], None)?;
            Ok(Vec::new())
        });
        let batch = |labels: [f32; 2], scores: [f32; 2]| -> Result<()> {
            step.call_on(&cpu, &[&Tensor::new(&cpu, [2, 1], &labels)?, &Tensor::new(&cpu, [2, 1], &scores)?]).map(|_| ())
        };
        batch([1.0, 0.0], [0.9, 0.1])?;
        batch([0.0, 0.0], [0.9, 0.1])?;
        batch([1.0, 1.0], [0.9, 0.8])?;
        assert!((metric.result()? - 0.75).abs() <= 1e-6);
        Ok(())
    }
}
