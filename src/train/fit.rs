//! The training loop.

use super::advice;
use super::callbacks::{Callback, Logs, Training, each};
use super::data::{Data, IntoData};
use super::history::History;
use super::prepare::weigh_classes;
use super::progress::{self, Progress, Verbose};
use super::run::{Order, Pass, Watch};
use crate::error::{Error, Result};
use crate::models::Model;
use crate::shape::Spec;
use crate::tensor::Tensor;
use std::collections::BTreeMap;

/// How to train. The defaults are Keras's.
pub struct Fit<'a> {
    /// The number of the last epoch. Default: 1.
    pub epochs: usize,
    /// The number of the first epoch, from 0. Default: 0.
    pub initial_epoch: usize,
    /// Samples per step. The last batch of an epoch may be smaller. Default: 32.
    pub batch_size: usize,
    /// Whether each epoch takes the samples in a new order, which follows from the model's seed and the epoch. Default: yes.
    pub shuffle: bool,
    /// Evaluated after an epoch. Default: nothing.
    pub validation: Option<Data>,
    /// The last part of the data, from 0 to 1, is not trained on but evaluated after an epoch. It is taken before the samples are shuffled.
    /// Default: 0.
    pub validation_split: f64,
    /// Evaluates after every so many epochs. Default: 1.
    pub validation_freq: usize,
    /// Samples per step of the evaluation. Default: `batch_size`.
    pub validation_batch_size: Option<usize>,
    /// Evaluates only so many batches from the start of the validation data. Default: all.
    pub validation_steps: Option<usize>,
    /// Ends an epoch after so many steps; the next goes on where it ended. Default: when every sample was seen.
    pub steps_per_epoch: Option<usize>,
    /// What a sample of each class weighs in the loss; classes that are not named weigh 1. Default: 1 for all.
    pub class_weight: BTreeMap<u32, f64>,
    /// Whether advice is printed on standard error, each piece once: see [`Model::advice`]. Default: yes.
    pub advice: bool,
    /// How much is shown. Default: a live line on a terminal, else a line per epoch.
    pub verbose: Verbose,
    /// Are called while the model trains, in this order: see [`Fit::callback`]. Default: none.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
    /// The losses of so many first steps are kept in [`History::step_losses`]. Default: 0.
    pub record_steps: usize,
}

impl Default for Fit<'_> {
    fn default() -> Self {
        Fit {
            epochs: 1,
            initial_epoch: 0,
            batch_size: 32,
            shuffle: true,
            validation: None,
            validation_split: 0.0,
            validation_freq: 1,
            validation_batch_size: None,
            validation_steps: None,
            steps_per_epoch: None,
            class_weight: BTreeMap::new(),
            advice: true,
            verbose: Verbose::Auto,
            callbacks: Vec::new(),
            record_steps: 0,
        }
    }
}

impl<'a> Fit<'a> {
    /// Adds a callback; give `&mut` of one to ask it after the training.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'a) -> Fit<'a> {
        self.callbacks.push(Box::new(callback));
        self
    }
}

impl Model {
    /// Trains the model. Builds it first if its input shape was not known.
    ///
    /// The loss in the history is the mean over the epoch's samples, taken while the weights change.
    ///
    /// # Errors
    /// [`Error::NotReady`] if it is not compiled; [`Error::Shape`] for data that do not fit the model or labels that do not fit the loss;
    /// [`Error::Label`] for a label outside the classes; [`Error::NotFinite`] if a loss is no number: the weights then are those before that
    /// step; whatever the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn fit(&mut self, data: impl IntoData, options: Fit<'_>) -> Result<History> {
        pollster::block_on(self.fit_async(data, options))
    }

    /// [`Model::fit`] where no thread may block.
    ///
    /// # Errors
    /// As [`Model::fit`].
    pub async fn fit_async(&mut self, data: impl IntoData, options: Fit<'_>) -> Result<History> {
        let data = data.into_data()?;
        self.to_train("fit")?;
        let (data, options) = check(data, options)?;
        self.build_for(|| sample_specs(&data))?;
        self.check_batch(options.batch_size.min(data.count()))?;
        if options.advice {
            advice::say(self.advice().into_iter().chain(advice::on_data(&data, &options)));
        }
        train(self, &data, options).await
    }
}

/// The samples of each input, in the types that the device has.
pub(super) fn sample_specs(data: &Data) -> Vec<Spec> {
    data.x.iter().map(|x| Spec::new(x.sample_shape(), x.spec().dtype)).collect()
}

/// The data to train on and the options, with the validation data among them.
fn check<'a>(data: Data, mut options: Fit<'a>) -> Result<(Data, Fit<'a>)> {
    let at_least_1 =
        |what: &str, value: usize| if value == 0 { Err(Error::argument(format!("fit: {what}"), "at least 1", 0)) } else { Ok(()) };
    at_least_1("batch_size", options.batch_size)?;
    at_least_1("validation_batch_size", options.validation_batch_size.unwrap_or(1))?;
    at_least_1("validation_freq", options.validation_freq)?;
    at_least_1("validation_steps", options.validation_steps.unwrap_or(1))?;
    at_least_1("steps_per_epoch", options.steps_per_epoch.unwrap_or(1))?;
    let mut data = data;
    if !(0.0..1.0).contains(&options.validation_split) {
        return Err(Error::argument("fit: validation_split", "a number from 0 to below 1", options.validation_split));
    }
    if options.validation_split > 0.0 && options.validation.is_none() {
        let count = data.count();
        let first = (count as f64 * (1.0 - options.validation_split)).floor() as usize;
        if first == 0 || first == count {
            let want = format!("a part that leaves samples on both sides of {count}");
            return Err(Error::argument("fit: validation_split", want, options.validation_split));
        }
        let (train, validation) = data.split(first);
        (data, options.validation) = (train, Some(validation));
    }
    if let Some(steps) = options.validation_steps {
        let samples = steps.saturating_mul(options.validation_batch_size.unwrap_or(options.batch_size));
        options.validation = options.validation.map(|data| data.take(samples));
    }
    let places = [("", Some(&data)), ("validation ", options.validation.as_ref())];
    for (which, data) in places.iter().filter_map(|(which, data)| Some((which, (*data)?))) {
        if data.count() == 0 {
            return Err(Error::shape(format!("fit: {which}data"), "at least one sample", "none"));
        }
    }
    if !options.class_weight.is_empty() {
        data = weigh_classes(data, &options.class_weight)?;
    }
    Ok((data, options))
}

/// All epochs of a model that is ready.
async fn train(model: &Model, data: &Data, mut options: Fit<'_>) -> Result<History> {
    let compiled = model.to_train("fit")?;
    let mut callbacks = std::mem::take(&mut options.callbacks);
    let validation_batch = options.validation_batch_size.unwrap_or(options.batch_size).min(model.largest_batch()?.0.max(1));
    let validation = options.validation.as_ref().map(|data| Pass::new(model, compiled, data, validation_batch, false)).transpose()?;
    let mut pass = Pass::new(model, compiled, data, options.batch_size, true)?;
    let mut order = Order::new(pass.count(), &options, model.seed_value());
    let steps = options.steps_per_epoch.unwrap_or(pass.steps());
    let training = Training::new(model, options.epochs, steps);
    let mut history = History::default();
    let mut losses: Vec<Tensor> = Vec::new();
    each(&mut callbacks, |c| c.on_train_begin(&training))?;
    for epoch in options.initial_epoch..options.epochs {
        each(&mut callbacks, |c| c.on_epoch_begin(epoch, &training))?;
        if !pass.trains_what_is_trainable() {
            pass = Pass::new(model, compiled, data, options.batch_size, true)?;
        }
        progress::epoch_head(options.verbose, epoch, options.epochs);
        let mut progress = Progress::new(options.verbose, steps);
        let keep = |outputs: Vec<Tensor>| {
            if losses.len() < options.record_steps {
                losses.extend(outputs);
            }
        };
        let place = format!("epoch {}", epoch + 1);
        let mut watch = Watch { progress: &mut progress, training: &training, callbacks: &mut callbacks, steps };
        let ended = pass.train(&place, epoch, &mut order, &mut watch, keep).await?;
        let mut logs: Logs = ended;
        if let Some(validation) = validation.as_ref().filter(|_| (epoch + 1).is_multiple_of(options.validation_freq)) {
            let mut silent = Progress::new(Verbose::Silent, validation.steps());
            let mut watch = Watch { progress: &mut silent, training: &training, callbacks: &mut callbacks, steps: validation.steps() };
            let results = validation.evaluate(&format!("the validation after epoch {}", epoch + 1), &mut watch).await?;
            logs.extend(results.into_iter().map(|(name, value)| (format!("val_{name}"), value)));
        }
        each(&mut callbacks, |c| c.on_epoch_end(epoch, &mut logs, &training))?;
        progress.finish(&logs);
        history.push(epoch, &logs);
        if training.is_stopping() {
            break;
        }
    }
    compiled.optimizer().finalize_variable_values(&model.trainable_variables())?;
    each(&mut callbacks, |c| c.on_train_end(&training))?;
    for loss in &losses {
        history.step_losses.push(f64::from(loss.read::<f32>().await?[0]));
    }
    Ok(history)
}
