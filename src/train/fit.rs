//! The training loop.

use super::compiled;
use super::data::{Data, IntoData};
use super::history::History;
use super::progress::{self, Progress, Verbose};
use super::run::Pass;
use crate::error::{Error, Result};
use crate::models::Sequential;
use crate::ops::random::host;
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
        train(self, data, &options).await
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

/// All epochs of a model that is ready.
async fn train(model: &Sequential, data: &Data, options: &Fit) -> Result<History> {
    let compiled = compiled(model, "fit")?;
    let pass = Pass::training(model, compiled, data, options.batch_size)?;
    let validation = options.validation.as_ref().map(|data| Pass::evaluation(model, compiled, data, options.batch_size)).transpose()?;
    let mut history = History::default();
    let mut losses: Vec<Tensor> = Vec::new();
    for epoch in options.initial_epoch..options.epochs {
        progress::epoch_head(options.verbose, epoch, options.epochs);
        let mut progress = Progress::new(options.verbose, pass.steps());
        let order = options.shuffle.then(|| shuffled(pass.count(), model.seed_value(), epoch));
        let keep = |outputs: Vec<Tensor>| {
            if losses.len() < options.record_steps {
                losses.extend(outputs);
            }
        };
        let mut logs = pass.run(&format!("epoch {}", epoch + 1), order, &mut progress, keep).await?;
        if let Some(validation) = &validation {
            let mut silent = Progress::new(Verbose::Silent, validation.steps());
            let place = format!("the validation after epoch {}", epoch + 1);
            let results = validation.run(&place, None, &mut silent, |_| ()).await?;
            logs.extend(results.into_iter().map(|(name, value)| (format!("val_{name}"), value)));
        }
        progress.finish(&logs);
        history.push(epoch, &logs);
    }
    for loss in &losses {
        history.step_losses.push(f64::from(loss.read::<f32>().await?[0]));
    }
    Ok(history)
}
