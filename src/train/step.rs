//! One step, as the device sees it.

use super::feed::{Batch, Feed};
use super::totals::Totals;
use crate::error::{Error, Result};
use crate::layers::Call;
use crate::models::{Compiled, Model, OutputLoss};
use crate::ops::pointwise::map1;
use crate::optimizers::pair_gradients;
use crate::record::GradientTape;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// A batch in the hands of a training step: the parts that a step is made of, for steps of one's own.
///
/// The step that [`Model::fit`] takes unless it is given another:
///
/// ```
/// use gradus::prelude::*;
/// fn usual(step: &Step) -> Result<()> {
///     let tape = GradientTape::new();
///     let y_pred = step.predict()?;
///     let loss = step.loss(&y_pred)?;
///     step.minimize(&tape, &loss)?;
///     step.report(&y_pred, &loss)
/// }
/// ```
pub struct Step<'a> {
    model: &'a Model,
    compiled: &'a Compiled,
    totals: &'a Totals,
    batch: Batch,
    call: Call,
    /// What `call` may change and the optimizer does not: moving averages, with their values before the step.
    states: Vec<(Variable, Tensor)>,
}

impl<'a> Step<'a> {
    pub(super) fn new(
        model: &'a Model,
        compiled: &'a Compiled,
        feed: &Feed,
        totals: &'a Totals,
        args: &[Tensor],
        training: bool,
    ) -> Result<Step<'a>> {
        let batch = feed.batch(args)?;
        let call = Call::new(training).with_valid(batch.valid.clone());
        let states = model.variables().into_iter().filter(|v| training && !v.trainable());
        let states = states.map(|v| Ok((v.clone(), v.value()?))).collect::<Result<Vec<_>>>()?;
        Ok(Step { model, compiled, totals, batch, call, states })
    }

    /// The model that is trained.
    pub fn model(&self) -> &Model {
        self.model
    }

    /// The batch of each input, `[batch, …]`.
    pub fn x(&self) -> &[Tensor] {
        &self.batch.columns.x
    }

    /// The labels for each loss, `[batch, …]`.
    pub fn y(&self) -> &[Tensor] {
        &self.batch.columns.y
    }

    /// Which rows are samples (1) and which only fill up the last batch (0), f32 `[batch]`; `None` if all are samples.
    pub fn valid(&self) -> Option<&Tensor> {
        self.batch.valid.as_ref()
    }

    /// How layers are called in this step.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The model's outputs for the batch.
    ///
    /// # Errors
    /// As [`Model::call_all`].
    pub fn predict(&self) -> Result<Vec<Tensor>> {
        self.model.call_all(self.x(), &self.call)
    }

    /// What is minimised: the weighted sum of the losses, the penalties of regularizers, and what layers added; a tensor without axes.
    ///
    /// # Errors
    /// As [`Loss::check`](crate::losses::Loss::check).
    pub fn loss(&self, y_pred: &[Tensor]) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        for (i, loss) in self.compiled.losses.iter().enumerate() {
            let value = self.output_loss(i, loss, y_pred)?;
            let value = if loss.weight == 1.0 { value } else { value.mul_scalar(loss.weight)? };
            sum = Some(add(sum, value)?);
        }
        for extra in self.model.losses(&self.call)? {
            sum = Some(add(sum, extra)?);
        }
        sum.ok_or_else(|| Error::NotReady("compile: there is no loss to minimise".into()))
    }

    /// The loss of one output, without its factor.
    fn output_loss(&self, i: usize, loss: &OutputLoss, y_pred: &[Tensor]) -> Result<Tensor> {
        let output = &y_pred[loss.output];
        loss.loss.weighted_value(&self.y()[i], output, self.sample_weight(i), self.valid())
    }

    fn sample_weight(&self, i: usize) -> Option<&Tensor> {
        let weights = &self.batch.columns.sample_weight;
        if weights.len() == 1 { weights.first() } else { weights.get(i) }
    }

    /// Changes the trainable weights by the gradients of the loss; those that it does not depend on are named in a warning, once. A loss that is not finite changes nothing, nor does any step after it; `fit`
    /// then says why.
    ///
    /// # Errors
    /// [`Error::Gradient`] if the loss depends on no weight; as [`Optimizer::apply`](crate::optimizers::Optimizer::apply).
    pub fn minimize(&self, tape: &GradientTape, loss: &Tensor) -> Result<()> {
        let variables = self.model.trainable_variables();
        let optimizer = self.compiled.optimizer();
        let scaled = optimizer.scale_loss(loss)?;
        let pairs = pair_gradients(tape.gradient(&scaled, &variables)?.into_vec(), &variables)?;
        let ok = self.totals.guard(loss)?;
        optimizer.apply(&pairs, Some(&ok))?;
        for (variable, before) in &self.states {
            let now = variable.value()?;
            if now.id() != before.id() {
                variable.assign(&kept_unless(&ok, &now, before)?)?;
            }
        }
        Ok(())
    }

    /// Adds the loss and the metrics of the batch to what the epoch reports.
    ///
    /// # Errors
    /// As [`Metric::update`](crate::metrics::Metric::update).
    pub fn report(&self, y_pred: &[Tensor], loss: &Tensor) -> Result<()> {
        self.log("loss", loss)?;
        if self.compiled.losses.len() > 1 {
            for (i, output) in self.compiled.losses.iter().enumerate() {
                let name = format!("{}_loss", self.model.output_names()[output.output]);
                self.log(&name, &self.output_loss(i, output, y_pred)?)?;
            }
        }
        for (i, metric) in self.compiled.metrics.iter().enumerate() {
            let y = self.compiled.losses.iter().position(|l| l.output == metric.output).and_then(|at| Some((at, self.y().get(at)?)));
            let Some((at, y_true)) = y else {
                let want = "an output with a loss, and so with labels";
                return Err(Error::argument(format!("compile: metrics: {}", metric.name), want, "one without"));
            };
            let weights = self.metric_weights(if metric.weighted { self.sample_weight(at) } else { None })?;
            self.totals.collect_metric(i, metric.metric.update(y_true, &y_pred[metric.output], &weights)?);
        }
        Ok(())
    }

    /// Reports a number of one's own, a tensor without axes: the epoch shows its mean over the samples.
    ///
    /// # Errors
    /// [`Error::Shape`] for a tensor with several elements.
    pub fn log(&self, name: &str, value: &Tensor) -> Result<()> {
        let value = value.reshape([1])?;
        let count = self.count()?;
        self.totals.collect(name, value.mul(&count)?);
        Ok(())
    }

    /// The number of samples in the batch, f32 `[1]`.
    fn count(&self) -> Result<Tensor> {
        match self.valid() {
            Some(valid) => valid.sum_all()?.reshape([1]),
            None => Tensor::full(self.model.device()?, [1], crate::DType::F32, self.x()[0].shape()[0] as f64),
        }
    }

    /// Weights for metrics, f32 `[batch]`.
    fn metric_weights(&self, sample_weight: Option<&Tensor>) -> Result<Tensor> {
        let n = self.x()[0].shape()[0];
        match (sample_weight, self.valid()) {
            (Some(weight), None) => weight.reshape([n]),
            (None, Some(valid)) => Ok(valid.clone()),
            (Some(weight), Some(valid)) => weight.reshape([n])?.mul(valid),
            (None, None) => Tensor::full(self.model.device()?, [n], crate::DType::F32, 1.0),
        }
    }
}

/// Forward, backward, optimizer, metrics. Returns the loss of the batch, before the weights change.
pub(super) fn train(model: &Model, compiled: &Compiled, feed: &Feed, totals: &Totals, args: &[Tensor]) -> Result<Vec<Tensor>> {
    totals.begin();
    let step = Step::new(model, compiled, feed, totals, args, true)?;
    match &compiled.train_step {
        Some(own) => own(&step)?,
        None => {
            let tape = GradientTape::new();
            let y_pred = step.predict()?;
            let loss = step.loss(&y_pred)?;
            step.minimize(&tape, &loss)?;
            step.report(&y_pred, &loss)?;
        }
    }
    totals.add(&step.count()?)
}

/// Forward and metrics.
pub(super) fn test(model: &Model, compiled: &Compiled, feed: &Feed, totals: &Totals, args: &[Tensor]) -> Result<Vec<Tensor>> {
    totals.begin();
    let step = Step::new(model, compiled, feed, totals, args, false)?;
    let y_pred = step.predict()?;
    let loss = step.loss(&y_pred)?;
    totals.guard(&loss)?;
    step.report(&y_pred, &loss)?;
    totals.add(&step.count()?)
}

fn add(sum: Option<Tensor>, value: Tensor) -> Result<Tensor> {
    match sum {
        Some(sum) => sum.add(&value),
        None => Ok(value),
    }
}

/// The new value after a good step, the old one after a bad one.
fn kept_unless(ok: &Tensor, new: &Tensor, old: &Tensor) -> Result<Tensor> {
    map1(&[ok, new, old], |e| e[0].gt(&e[0].number(0.0)).select(&e[1], &e[2]))
}
