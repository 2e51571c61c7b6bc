//! The training loop.

use super::data::{Data, IntoData};
use super::evaluate::Evaluator;
use super::feed::{self, Feed};
use super::history::History;
use super::progress::{self, Progress, Verbose};
use super::step::{self, Sums, Totals};
use super::{compiled, diagnose};
use crate::error::{Error, Result};
use crate::models::Sequential;
use crate::ops::random::host;
use crate::record::Function;
use crate::tensor::Tensor;

/// How to train. The defaults are Keras's.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The number of the last epoch. Default: 1.
    pub epochs: usize,
    /// The number of the first epoch, from 0. Default: 0.
    pub initial_epoch: usize,
    /// Samples per step. The last batch of an epoch may be smaller. Default: 32.
    pub batch_size: usize,
    /// Whether each epoch takes the samples in a new order, which follows from the model's seed and the epoch. Default: yes.
    pub shuffle: bool,
    /// Evaluated after every epoch, with the same batch size. Default: nothing.
    pub validation: Option<Data>,
    /// How much is shown. Default: a live line on a terminal, else a line per epoch.
    pub verbose: Verbose,
    /// The losses of so many first steps are kept in [`History::step_losses`]. Default: 0.
    pub record_steps: usize,
}

impl Default for Fit {
    fn default() -> Fit {
        Fit { epochs: 1, initial_epoch: 0, batch_size: 32, shuffle: true, validation: None, verbose: Verbose::Auto, record_steps: 0 }
    }
}

impl Sequential {
    /// Trains the model. Builds it first if its input shape was not known.
    ///
    /// The loss in the history is the mean over the epoch's samples, taken while the weights change.
    ///
    /// # Errors
    /// [`Error::NotReady`] if it is not compiled; [`Error::Shape`] for data that do not fit the model or labels that do not fit the loss;
    /// [`Error::Label`] for a label outside the classes; [`Error::NotFinite`] if a loss is no number: the weights then are those before that
    /// step; whatever the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fit(&mut self, data: impl IntoData, options: Fit) -> Result<History> {
        pollster::block_on(self.fit_async(data, options))
    }

    /// [`Sequential::fit`] where no thread may block.
    ///
    /// # Errors
    /// As [`Sequential::fit`].
    pub async fn fit_async(&mut self, data: impl IntoData, options: Fit) -> Result<History> {
        let data = &data.into_data()?;
        compiled(self, "fit")?;
        check(data, &options)?;
        if self.input_shape().is_none() || self.device().is_err() {
            let input = self.input_shape().cloned().unwrap_or_else(|| data.x.sample_shape());
            self.build(input)?;
        }
        let variables = self.trainable_variables();
        if let Some(compiled) = self.compiled_mut() {
            compiled.optimizer.build(&variables)?;
        }
        Fitting::new(self, data, &options)?.run(&options).await
    }
}

fn check(data: &Data, options: &Fit) -> Result<()> {
    let places = [("", Some(data)), ("validation ", options.validation.as_ref())];
    for (which, data) in places.iter().filter_map(|(which, data)| Some((which, (*data)?))) {
        if data.count() == 0 {
            return Err(Error::shape(format!("fit: {which}data"), "at least one sample", data.x.spec()));
        }
        if data.y.count() != data.x.count() {
            return Err(Error::shape(format!("fit: {which}data"), format!("{} labels, one per sample", data.x.count()), data.y.count()));
        }
    }
    if options.batch_size == 0 {
        return Err(Error::argument("fit: batch_size", "at least 1", 0));
    }
    Ok(())
}

/// The order of samples in an epoch. Its numbers are from far behind those that weights start from.
fn shuffled(count: usize, seed: u64, epoch: usize) -> Vec<u32> {
    host::permutation(count, seed, 1 << 63 | epoch as u64)
}

/// A call of `fit` that goes on.
struct Fitting<'a> {
    model: &'a Sequential,
    feed: Feed,
    totals: Totals,
    validation: Option<Evaluator<'a>>,
    losses: Vec<Tensor>,
}

impl<'a> Fitting<'a> {
    fn new(model: &'a Sequential, data: &Data, options: &Fit) -> Result<Fitting<'a>> {
        let compiled = compiled(model, "fit")?;
        let (device, output) = (model.device()?, model.output_shape()?);
        let data = feed::prepare(data, compiled.loss.as_ref(), output)?;
        let validation = options.validation.as_ref().map(|data| Evaluator::new(model, compiled, data, options.batch_size));
        Ok(Fitting {
            model,
            feed: Feed::new(device, data, options.batch_size)?,
            totals: Totals::new(device, compiled)?,
            validation: validation.transpose()?,
            losses: Vec::new(),
        })
    }

    async fn run(mut self, options: &Fit) -> Result<History> {
        let mut history = History::default();
        for epoch in options.initial_epoch..options.epochs {
            progress::epoch_head(options.verbose, epoch, options.epochs);
            let order = options.shuffle.then(|| shuffled(self.feed.data().count(), self.model.seed_value(), epoch));
            self.feed.start(order)?;
            self.totals.reset()?;
            let progress = Progress::new(options.verbose, self.feed.steps());
            let mut logs = self.epoch(epoch, options, progress).await?;
            if let Some(validation) = &mut self.validation {
                let results = validation.run(Verbose::Silent).await?;
                logs.1.extend(results.into_iter().map(|(name, value)| (format!("val_{name}"), value)));
            }
            logs.0.finish(&logs.1);
            history.push(epoch, &logs.1);
        }
        for loss in &self.losses {
            history.step_losses.push(f64::from(loss.read::<f32>().await?[0]));
        }
        Ok(history)
    }

    async fn epoch(&mut self, epoch: usize, options: &Fit, mut progress: Progress) -> Result<(Progress, Vec<(String, f64)>)> {
        let (model, compiled) = (self.model, compiled(self.model, "fit")?);
        let (feed, totals) = (&self.feed, &self.totals);
        let step = Function::new("train_step", |args: &[Tensor]| step::train(model, compiled, feed, totals, args));
        let steps = feed.steps();
        for done in 1..=steps {
            let args = feed.args(done - 1)?;
            let outputs = step.call_on(model.device()?, &args.iter().collect::<Vec<_>>())?;
            if self.losses.len() < options.record_steps {
                self.losses.extend(outputs);
            }
            if done == steps || progress.due(done) {
                let Sums { good_steps, logs } = totals.read().await?;
                if good_steps < done {
                    progress.abandon();
                    return Err(diagnose::find_cause(model, feed, epoch, good_steps).await);
                }
                if done == steps {
                    return Ok((progress, logs));
                }
                progress.update(done, &logs);
            }
        }
        unreachable!("an epoch has at least one step, and returns after the last")
    }
}
