//! Lowers the learning rate when a training has stopped getting better.

use super::monitor::{Monitor, monitor_options};
use super::{Callback, Logs, Training, say, set_log};
use crate::error::{Error, Result};
use crate::train::Verbose;

/// Multiplies the learning rate by a factor when a log has not become better for some epochs. Adds `learning_rate` to the logs: that of the
/// epoch which ends.
///
/// ```
/// use gradus::prelude::*;
/// let fit = Fit { epochs: 50, validation_split: 0.2, ..Fit::default() }.callback(ReduceLROnPlateau::new().factor(0.5).patience(3).min_lr(1e-5));
/// ```
pub struct ReduceLROnPlateau {
    monitor: Monitor,
    factor: f64,
    patience: usize,
    verbose: Verbose,
    cooldown: usize,
    min_lr: f64,
    best: Option<f64>,
    wait: usize,
    cooldown_counter: usize,
}

impl Default for ReduceLROnPlateau {
    fn default() -> ReduceLROnPlateau {
        ReduceLROnPlateau::new()
    }
}

impl ReduceLROnPlateau {
    /// Watches `val_loss`, and divides by 10 after 10 epochs that are not better by more than 0.0001.
    pub fn new() -> ReduceLROnPlateau {
        ReduceLROnPlateau {
            monitor: Monitor::new("ReduceLROnPlateau", 1e-4),
            factor: 0.1,
            patience: 10,
            verbose: Verbose::Silent,
            cooldown: 0,
            min_lr: 0.0,
            best: None,
            wait: 0,
            cooldown_counter: 0,
        }
    }

    monitor_options!();

    /// What the learning rate is multiplied by, below 1. Default: 0.1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> ReduceLROnPlateau {
        self.factor = factor;
        self
    }

    /// After so many epochs in a row that are not better the learning rate is lowered. Default: 10.
    #[must_use]
    pub fn patience(mut self, patience: usize) -> ReduceLROnPlateau {
        self.patience = patience;
        self
    }

    /// Changes up to this count as none. Default: 0.0001.
    #[must_use]
    pub fn min_delta(mut self, min_delta: f64) -> ReduceLROnPlateau {
        self.monitor.min_delta = min_delta;
        self
    }

    /// So many epochs after it was lowered, waiting begins again. Default: 0.
    #[must_use]
    pub fn cooldown(mut self, cooldown: usize) -> ReduceLROnPlateau {
        self.cooldown = cooldown;
        self
    }

    /// The learning rate is never made lower than this. Default: 0.
    #[must_use]
    pub fn min_lr(mut self, min_lr: f64) -> ReduceLROnPlateau {
        self.min_lr = min_lr;
        self
    }

    fn reduce(&mut self, epoch: usize, rate: f64, training: &Training) -> Result<()> {
        // The rate is an f32 on the device, and so is the bound that it is compared with.
        if rate <= f64::from(self.min_lr as f32) {
            return Ok(());
        }
        let lower = (rate * self.factor).max(self.min_lr);
        training.model().set_learning_rate(lower).map_err(|e| e.at("ReduceLROnPlateau"))?;
        say(self.verbose, || format!("Epoch {}: ReduceLROnPlateau reducing learning rate to {lower}.", epoch + 1));
        self.cooldown_counter = self.cooldown;
        self.wait = 0;
        Ok(())
    }
}

impl Callback for ReduceLROnPlateau {
    fn on_train_begin(&mut self, _training: &Training) -> Result<()> {
        (self.best, self.wait, self.cooldown_counter) = (None, 0, 0);
        if !(0.0..1.0).contains(&self.factor) {
            return Err(Error::argument("ReduceLROnPlateau: factor", "a number from 0 to below 1", self.factor));
        }
        self.monitor.check()
    }

    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, training: &Training) -> Result<()> {
        let rate = training.model().learning_rate()?;
        set_log(logs, "learning_rate", rate);
        let Some(current) = self.monitor.value(logs, "it does nothing") else { return Ok(()) };
        if self.cooldown_counter > 0 {
            self.cooldown_counter -= 1;
            self.wait = 0;
        }
        if self.monitor.improves(current, self.best, training)? {
            self.best = Some(current);
            self.wait = 0;
        } else if self.cooldown_counter == 0 {
            self.wait += 1;
            if self.wait >= self.patience {
                self.reduce(epoch, rate, training)?;
            }
        }
        Ok(())
    }
}
