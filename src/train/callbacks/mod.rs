//! What is called while a model trains: to stop early, to change the learning rate, to write a log.

mod csv_logger;
mod early_stopping;
mod lambda;
mod monitor;
mod terminate_on_nan;

pub use csv_logger::CSVLogger;
pub use early_stopping::EarlyStopping;
pub use lambda::LambdaCallback;
pub use terminate_on_nan::TerminateOnNaN;

// What waits for the device or writes weights to files is not for the browser.
#[cfg(not(target_arch = "wasm32"))]
mod learning_rate_scheduler;
#[cfg(not(target_arch = "wasm32"))]
mod model_checkpoint;
#[cfg(not(target_arch = "wasm32"))]
mod reduce_lr_on_plateau;
#[cfg(not(target_arch = "wasm32"))]
mod template;

#[cfg(not(target_arch = "wasm32"))]
pub use learning_rate_scheduler::LearningRateScheduler;
#[cfg(not(target_arch = "wasm32"))]
pub use model_checkpoint::{ModelCheckpoint, SaveFreq};
#[cfg(not(target_arch = "wasm32"))]
pub use reduce_lr_on_plateau::ReduceLROnPlateau;

use super::progress::Verbose;
use crate::error::Result;
use crate::metrics::Direction;
use crate::models::Model;
use std::cell::Cell;

/// The names and values that an epoch, or a part of it, reports: `loss`, the metrics, then the same with `val_`.
pub type Logs = Vec<(String, f64)>;

/// The value of a name among logs.
pub fn log(logs: &Logs, name: &str) -> Option<f64> {
    logs.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
}

/// Sets the value of a name among logs, at the end if it is new.
#[cfg(not(target_arch = "wasm32"))]
fn set_log(logs: &mut Logs, name: &str, value: f64) {
    match logs.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => *old = value,
        None => logs.push((name.to_string(), value)),
    }
}

/// Prints what a callback did, if it is to be shown.
fn say(verbose: Verbose, text: impl FnOnce() -> String) {
    if verbose != Verbose::Silent {
        println!("{}", text());
    }
}

/// Something that is called while a model trains. All methods do nothing by default. Epochs and batches are counted from 0.
///
/// A callback that is given to [`Fit::callback`](super::Fit::callback) by `&mut` can be asked for what it found after the training.
pub trait Callback {
    /// Before the first epoch.
    ///
    /// # Errors
    /// An error ends the training and is what `fit` returns; this holds for all methods.
    fn on_train_begin(&mut self, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// After the last epoch, also if the training was stopped.
    ///
    /// # Errors
    /// As [`Callback::on_train_begin`].
    fn on_train_end(&mut self, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// Before an epoch.
    ///
    /// # Errors
    /// As [`Callback::on_train_begin`].
    fn on_epoch_begin(&mut self, _epoch: usize, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// After an epoch and its validation. What is added to the logs is shown and kept in the history.
    ///
    /// # Errors
    /// As [`Callback::on_train_begin`].
    fn on_epoch_end(&mut self, _epoch: usize, _logs: &mut Logs, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// Whether [`Callback::on_train_batch_begin`] and [`Callback::on_train_batch_end`] are to be called. It costs time: the logs of every batch
    /// are read from the device. Default: no.
    fn watches_batches(&self) -> bool {
        false
    }

    /// Before a step.
    ///
    /// # Errors
    /// As [`Callback::on_train_begin`].
    fn on_train_batch_begin(&mut self, _batch: usize, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// After a step, with the means of the epoch so far.
    ///
    /// # Errors
    /// As [`Callback::on_train_begin`].
    fn on_train_batch_end(&mut self, _batch: usize, _logs: &Logs, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// Before a validation.
    ///
    /// # Errors
    /// As [`Callback::on_train_begin`].
    fn on_test_begin(&mut self, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// After a validation, with what it found; the names have no `val_` here.
    ///
    /// # Errors
    /// As [`Callback::on_train_begin`].
    fn on_test_end(&mut self, _logs: &Logs, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// Whether [`Callback::on_test_batch_begin`] and [`Callback::on_test_batch_end`] are to be called, at the same price. Default: no.
    fn watches_test_batches(&self) -> bool {
        false
    }

    /// Before a step of a validation.
    ///
    /// # Errors
    /// As [`Callback::on_train_begin`].
    fn on_test_batch_begin(&mut self, _batch: usize, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// After a step of a validation, with the means so far.
    ///
    /// # Errors
    /// As [`Callback::on_train_begin`].
    fn on_test_batch_end(&mut self, _batch: usize, _logs: &Logs, _training: &Training) -> Result<()> {
        Ok(())
    }

    /// Whether a loss that is not finite ends the training instead of being an error.
    fn forgives_nan(&self) -> bool {
        false
    }
}

impl<C: Callback + ?Sized> Callback for &mut C {
    fn on_train_begin(&mut self, training: &Training) -> Result<()> {
        (**self).on_train_begin(training)
    }
    fn on_train_end(&mut self, training: &Training) -> Result<()> {
        (**self).on_train_end(training)
    }
    fn on_epoch_begin(&mut self, epoch: usize, training: &Training) -> Result<()> {
        (**self).on_epoch_begin(epoch, training)
    }
    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, training: &Training) -> Result<()> {
        (**self).on_epoch_end(epoch, logs, training)
    }
    fn watches_batches(&self) -> bool {
        (**self).watches_batches()
    }
    fn on_train_batch_begin(&mut self, batch: usize, training: &Training) -> Result<()> {
        (**self).on_train_batch_begin(batch, training)
    }
    fn on_train_batch_end(&mut self, batch: usize, logs: &Logs, training: &Training) -> Result<()> {
        (**self).on_train_batch_end(batch, logs, training)
    }
    fn on_test_begin(&mut self, training: &Training) -> Result<()> {
        (**self).on_test_begin(training)
    }
    fn on_test_end(&mut self, logs: &Logs, training: &Training) -> Result<()> {
        (**self).on_test_end(logs, training)
    }
    fn watches_test_batches(&self) -> bool {
        (**self).watches_test_batches()
    }
    fn on_test_batch_begin(&mut self, batch: usize, training: &Training) -> Result<()> {
        (**self).on_test_batch_begin(batch, training)
    }
    fn on_test_batch_end(&mut self, batch: usize, logs: &Logs, training: &Training) -> Result<()> {
        (**self).on_test_batch_end(batch, logs, training)
    }
    fn forgives_nan(&self) -> bool {
        (**self).forgives_nan()
    }
}

/// A training in progress, as callbacks see it.
pub struct Training<'a> {
    model: &'a Model,
    epochs: usize,
    steps: usize,
    stop: Cell<bool>,
}

impl Training<'_> {
    pub(super) fn new(model: &Model, epochs: usize, steps: usize) -> Training<'_> {
        Training { model, epochs, steps, stop: Cell::new(false) }
    }

    /// The model: its weights can be read and replaced, its layers frozen.
    pub fn model(&self) -> &Model {
        self.model
    }

    /// The number of the last epoch.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// Steps of an epoch.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Ends the training after this batch; the epoch's validation and callbacks still run.
    pub fn stop(&self) {
        self.stop.set(true);
    }

    /// Whether somebody called [`Training::stop`].
    pub fn is_stopping(&self) -> bool {
        self.stop.get()
    }

    /// Whether a log of this name is better when it is smaller: every loss is, and of a metric its own word counts. `None` for names that the
    /// model does not report.
    pub fn direction(&self, name: &str) -> Option<Direction> {
        let name = name.strip_prefix("val_").unwrap_or(name);
        let compiled = self.model.compiled()?;
        match compiled.metrics.iter().find(|m| m.name == name) {
            Some(metric) => metric.metric.direction(),
            None => (name == "loss" || name.ends_with("_loss")).then_some(Direction::Min),
        }
    }
}

/// Calls one method of every callback, in their order.
pub(super) fn each<'c>(callbacks: &mut [Box<dyn Callback + 'c>], mut f: impl FnMut(&mut dyn Callback) -> Result<()>) -> Result<()> {
    callbacks.iter_mut().try_for_each(|callback| f(callback.as_mut()))
}
