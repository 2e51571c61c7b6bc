//! Ends a training that has stopped getting better.

use super::monitor::{Monitor, monitor_options};
use super::{Callback, Logs, Training, say};
use crate::error::Result;
use crate::tensor::Tensor;
use crate::train::Verbose;
use crate::variable::Variable;

/// Ends the training when a log has not become better for some epochs.
///
/// ```
/// use gradus::prelude::*;
/// let mut stopping = EarlyStopping::new().monitor("val_accuracy").patience(3).restore_best_weights(true);
/// let fit = Fit { epochs: 100, validation_split: 0.2, ..Fit::default() }.callback(&mut stopping);
/// # drop(fit);
/// // After `fit`: the epoch it stopped at, if it did.
/// assert_eq!(stopping.stopped_epoch(), None);
/// ```
pub struct EarlyStopping {
    monitor: Monitor,
    patience: usize,
    verbose: Verbose,
    baseline: Option<f64>,
    restore_best_weights: bool,
    start_from_epoch: usize,
    found: Found,
}

/// What it has seen of a training.
#[derive(Default)]
struct Found {
    wait: usize,
    best: Option<f64>,
    best_epoch: Option<usize>,
    stopped_epoch: Option<usize>,
    /// The best weights: tensors never change, so holding them is enough.
    weights: Option<Vec<(Variable, Tensor)>>,
}

impl Default for EarlyStopping {
    fn default() -> EarlyStopping {
        EarlyStopping::new()
    }
}

impl EarlyStopping {
    /// Watches `val_loss` and ends the training at the first epoch that is not better.
    pub fn new() -> EarlyStopping {
        EarlyStopping {
            monitor: Monitor::new("EarlyStopping", 0.0),
            patience: 0,
            verbose: Verbose::Silent,
            baseline: None,
            restore_best_weights: false,
            start_from_epoch: 0,
            found: Found::default(),
        }
    }

    monitor_options!();

    /// Changes up to this count as none. Default: 0.
    #[must_use]
    pub fn min_delta(mut self, min_delta: f64) -> EarlyStopping {
        self.monitor.min_delta = min_delta;
        self
    }

    /// So many epochs in a row may bring nothing better; the one that makes the number full is the last. Default: 0, which is the same as 1.
    #[must_use]
    pub fn patience(mut self, patience: usize) -> EarlyStopping {
        self.patience = patience;
        self
    }

    /// Epochs that are not better than this count against the patience, even if each is the best so far. Default: none.
    #[must_use]
    pub fn baseline(mut self, baseline: f64) -> EarlyStopping {
        self.baseline = Some(baseline);
        self
    }

    /// Whether the model gets the weights of its best epoch when the training ends, early or not. What the optimizer keeps stays as it is.
    /// Default: no.
    #[must_use]
    pub fn restore_best_weights(mut self, restore_best_weights: bool) -> EarlyStopping {
        self.restore_best_weights = restore_best_weights;
        self
    }

    /// Epochs before this one, counted from 0, are not looked at. Default: 0.
    #[must_use]
    pub fn start_from_epoch(mut self, start_from_epoch: usize) -> EarlyStopping {
        self.start_from_epoch = start_from_epoch;
        self
    }

    /// The epoch, counted from 0, after which it ended the last training, if it did.
    pub fn stopped_epoch(&self) -> Option<usize> {
        self.found.stopped_epoch
    }

    /// The best value of the last training.
    pub fn best(&self) -> Option<f64> {
        self.found.best
    }

    /// The epoch of the best value, counted from 0.
    pub fn best_epoch(&self) -> Option<usize> {
        self.found.best_epoch
    }

    /// How many epochs in a row have brought nothing better.
    pub fn wait(&self) -> usize {
        self.found.wait
    }

    fn keep_weights(&mut self, training: &Training) -> Result<()> {
        if self.restore_best_weights {
            let kept = training.model().variables().into_iter().map(|v| Ok((v.clone(), v.value()?)));
            self.found.weights = Some(kept.collect::<Result<_>>()?);
        }
        Ok(())
    }
}

impl Callback for EarlyStopping {
    fn on_train_begin(&mut self, _training: &Training) -> Result<()> {
        self.found = Found::default();
        self.monitor.check()
    }

    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, training: &Training) -> Result<()> {
        let Some(current) = self.monitor.value(logs, "it does nothing") else { return Ok(()) };
        if epoch < self.start_from_epoch {
            return Ok(());
        }
        self.found.wait += 1;
        if self.monitor.improves(current, self.found.best, training)? {
            self.found.best = Some(current);
            self.found.best_epoch = Some(epoch);
            self.keep_weights(training)?;
            if self.baseline.is_none() || self.monitor.improves(current, self.baseline, training)? {
                self.found.wait = 0;
            }
        } else if self.found.wait >= self.patience && epoch > 0 {
            self.found.stopped_epoch = Some(epoch);
            training.stop();
        }
        Ok(())
    }

    fn on_train_end(&mut self, _training: &Training) -> Result<()> {
        if let Some(epoch) = self.found.stopped_epoch {
            say(self.verbose, || format!("Epoch {}: early stopping", epoch + 1));
        }
        let Some(weights) = self.found.weights.take() else { return Ok(()) };
        if let Some(epoch) = self.found.best_epoch {
            say(self.verbose, || format!("Restoring model weights from the end of the best epoch: {}.", epoch + 1));
        }
        weights.iter().try_for_each(|(variable, value)| variable.assign(value))
    }
}
