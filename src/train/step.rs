//! One step, as the device sees it.

use super::feed::{Batch, Feed};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::layers::Call;
use crate::losses::per_sample;
use crate::models::{Compiled, Sequential};
use crate::ops::pointwise::map1;
use crate::record::GradientTape;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// The sums of an epoch, on the device.
pub(super) struct Totals {
    names: Vec<String>,
    /// `[3 + metrics]`: good steps; the sum of losses; the sum of weights, that is, the number of samples; the sum of each metric.
    sums: Variable,
    /// 1 until a loss is not finite, 0 from then on.
    ok: Variable,
}

/// Sums that were read.
pub(super) struct Sums {
    /// Steps before the first whose loss was not finite.
    pub good_steps: usize,
    /// `loss` and the metrics, each as a mean over the samples.
    pub logs: Vec<(String, f64)>,
}

impl Totals {
    pub fn new(device: &Device, compiled: &Compiled) -> Result<Totals> {
        let names: Vec<String> = std::iter::once("loss").chain(compiled.metrics.iter().map(|m| m.name())).map(str::to_string).collect();
        let sums = Tensor::new(device, [names.len() + 2], &vec![0.0f32; names.len() + 2])?;
        Ok(Totals {
            names,
            sums: Variable::new("fit/totals", &sums)?.untrainable(),
            ok: Variable::new("fit/ok", &Tensor::scalar(device, 1.0f32)?)?.untrainable(),
        })
    }

    /// Begins an epoch.
    pub fn reset(&self) -> Result<()> {
        let device = self.sums.device();
        self.ok.assign(&Tensor::scalar(device, 1.0f32)?)?;
        self.sums.assign(&Tensor::new(device, self.sums.shape(), &vec![0.0f32; self.sums.shape().elements()])?)
    }

    /// Waits for the device.
    pub async fn read(&self) -> Result<Sums> {
        let sums: Vec<f32> = self.sums.value()?.read().await?;
        let [good, loss, count, metrics @ ..] = &sums[..] else { unreachable!("made with three elements or more") };
        // No good step: 0 of 0 is no number, and says so.
        let mean = |sum: &f32| f64::from(*sum) / f64::from(*count);
        let logs = self.names.iter().cloned().zip(std::iter::once(loss).chain(metrics).map(mean)).collect();
        Ok(Sums { good_steps: *good as usize, logs })
    }

    /// Whether all losses of the epoch, this one included, are finite: a tensor without axes, 1 or 0.
    fn guard(&self, loss: &Tensor) -> Result<Tensor> {
        let ok = map1(&[&self.ok.value()?, loss], |e| e[1].is_finite().select(&e[0], &e[0].number(0.0)))?;
        self.ok.assign(&ok)?;
        Ok(ok)
    }

    /// Adds the sums of a step, if it is a good one.
    fn add(&self, ok: &Tensor, sums: &[Tensor]) -> Result<()> {
        let row = |t: &Tensor| t.reshape([1]);
        let parts = std::iter::once(ok).chain(sums).map(row).collect::<Result<Vec<_>>>()?;
        let parts = Tensor::concat(&parts.iter().collect::<Vec<_>>(), 0)?;
        let old = self.sums.value()?;
        self.sums.assign(&map1(&[&old, &parts, ok], |e| e[2].gt(&e[2].number(0.0)).select(&(&e[0] + &e[1]), &e[0]))?)
    }
}

/// Forward, backward, optimizer, metrics. Returns the loss of the batch, before the weights change.
pub(super) fn train(model: &Sequential, compiled: &Compiled, feed: &Feed, totals: &Totals, args: &[Tensor]) -> Result<Vec<Tensor>> {
    let batch = feed.batch(args)?;
    let variables = model.trainable_variables();
    let tape = GradientTape::new();
    let y_pred = model.call(&batch.x, &Call::training())?;
    let (loss_sum, count) = weighted_loss(compiled, &batch, &y_pred)?;
    let loss = loss_sum.div(&count)?;
    let gradients = tape.gradient(&loss, &variables)?;
    let mut pairs = Vec::with_capacity(variables.len());
    for (i, variable) in variables.into_iter().enumerate() {
        let gradient = gradients.get(i).map_err(|_| no_gradient(&variable, gradients.reason(i)))?;
        pairs.push((gradient.clone(), variable));
    }
    let ok = totals.guard(&loss)?;
    compiled.optimizer.apply(&pairs, Some(&ok))?;
    totals.add(&ok, &sums(compiled, &batch, &y_pred, loss_sum, count)?)?;
    Ok(vec![loss])
}

/// Forward and metrics.
pub(super) fn test(model: &Sequential, compiled: &Compiled, feed: &Feed, totals: &Totals, args: &[Tensor]) -> Result<Vec<Tensor>> {
    let batch = feed.batch(args)?;
    let y_pred = model.call(&batch.x, &Call::inference())?;
    let (loss_sum, count) = weighted_loss(compiled, &batch, &y_pred)?;
    let ok = totals.guard(&loss_sum)?;
    totals.add(&ok, &sums(compiled, &batch, &y_pred, loss_sum, count)?)?;
    Ok(Vec::new())
}

/// The sum of the losses of the batch's samples, and their number.
fn weighted_loss(compiled: &Compiled, batch: &Batch, y_pred: &Tensor) -> Result<(Tensor, Tensor)> {
    let losses = per_sample(&compiled.loss.call(&batch.y, y_pred)?)?;
    Ok((losses.mul(&batch.weights)?.sum_all()?, batch.weights.sum_all()?))
}

/// What is added up over an epoch, in the order of [`Totals`].
fn sums(compiled: &Compiled, batch: &Batch, y_pred: &Tensor, loss_sum: Tensor, count: Tensor) -> Result<Vec<Tensor>> {
    let mut sums = vec![loss_sum, count];
    for metric in &compiled.metrics {
        sums.push(metric.call(&batch.y, y_pred)?.mul(&batch.weights)?.sum_all()?);
    }
    Ok(sums)
}

fn no_gradient(variable: &Variable, reason: &str) -> Error {
    Error::Gradient(format!("{}: {reason}; freeze it with `set_trainable(false)` if that is meant", variable.name()))
}
