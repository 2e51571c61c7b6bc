//! Sets the learning rate before every epoch.

use super::{Callback, Logs, Training, say, set_log};
use crate::error::Result;
use crate::train::Verbose;

/// Sets the learning rate before every epoch to what a function says, and adds it to the logs as `learning_rate`.
///
/// ```
/// use gradus::prelude::*;
/// let halved = LearningRateScheduler::new(|epoch, rate| if epoch < 10 { rate } else { 0.5 * rate });
/// let fit = Fit { epochs: 20, ..Fit::default() }.callback(halved);
/// ```
pub struct LearningRateScheduler<'a> {
    schedule: Box<dyn FnMut(usize, f64) -> f64 + 'a>,
    verbose: Verbose,
}

impl<'a> LearningRateScheduler<'a> {
    /// The function gets the epoch, counted from 0, and the learning rate, and returns the new one: at least 0.
    pub fn new(schedule: impl FnMut(usize, f64) -> f64 + 'a) -> LearningRateScheduler<'a> {
        LearningRateScheduler { schedule: Box::new(schedule), verbose: Verbose::Silent }
    }

    /// Whether every rate is printed: 1 for yes, as in Keras. Default: no.
    #[must_use]
    pub fn verbose(mut self, verbose: impl Into<Verbose>) -> LearningRateScheduler<'a> {
        self.verbose = verbose.into();
        self
    }
}

impl Callback for LearningRateScheduler<'_> {
    fn on_epoch_begin(&mut self, epoch: usize, training: &Training) -> Result<()> {
        let model = training.model();
        let rate = (self.schedule)(epoch, model.learning_rate()?);
        model.set_learning_rate(rate).map_err(|e| e.at(format!("LearningRateScheduler before epoch {}", epoch + 1)))?;
        say(self.verbose, || format!("Epoch {}: LearningRateScheduler setting learning rate to {rate}.", epoch + 1));
        Ok(())
    }

    fn on_epoch_end(&mut self, _epoch: usize, logs: &mut Logs, training: &Training) -> Result<()> {
        set_log(logs, "learning_rate", training.model().learning_rate()?);
        Ok(())
    }
}
