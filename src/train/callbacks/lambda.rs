//! Callbacks made of closures.

use super::{Callback, Logs, Training};
use crate::error::Result;

type OnTrain<'a> = Option<Box<dyn FnMut(&Training) -> Result<()> + 'a>>;
type OnBegin<'a> = Option<Box<dyn FnMut(usize, &Training) -> Result<()> + 'a>>;
type OnEpochEnd<'a> = Option<Box<dyn FnMut(usize, &mut Logs, &Training) -> Result<()> + 'a>>;
type OnBatchEnd<'a> = Option<Box<dyn FnMut(usize, &Logs, &Training) -> Result<()> + 'a>>;
type OnTestEnd<'a> = Option<Box<dyn FnMut(&Logs, &Training) -> Result<()> + 'a>>;

/// A [`Callback`] made of closures; what is not given does nothing.
///
/// ```
/// use gradus::prelude::*;
/// let mut seen = Vec::new();
/// let callback = LambdaCallback::new().on_epoch_end(|epoch, logs, _| {
///     seen.push((epoch, log(logs, "loss")));
///     Ok(())
/// });
/// let fit = Fit { epochs: 3, ..Fit::default() }.callback(callback);
/// ```
#[derive(Default)]
pub struct LambdaCallback<'a> {
    train_begin: OnTrain<'a>,
    train_end: OnTrain<'a>,
    epoch_begin: OnBegin<'a>,
    epoch_end: OnEpochEnd<'a>,
    train_batch_begin: OnBegin<'a>,
    train_batch_end: OnBatchEnd<'a>,
    test_begin: OnTrain<'a>,
    test_end: OnTestEnd<'a>,
    test_batch_begin: OnBegin<'a>,
    test_batch_end: OnBatchEnd<'a>,
}

impl<'a> LambdaCallback<'a> {
    /// A callback that does nothing.
    pub fn new() -> LambdaCallback<'a> {
        LambdaCallback::default()
    }

    /// Called before the first epoch.
    #[must_use]
    pub fn on_train_begin(mut self, f: impl FnMut(&Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.train_begin = Some(Box::new(f));
        self
    }

    /// Called after the last epoch.
    #[must_use]
    pub fn on_train_end(mut self, f: impl FnMut(&Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.train_end = Some(Box::new(f));
        self
    }

    /// Called before every epoch.
    #[must_use]
    pub fn on_epoch_begin(mut self, f: impl FnMut(usize, &Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.epoch_begin = Some(Box::new(f));
        self
    }

    /// Called after every epoch and its validation; may change and add logs.
    #[must_use]
    pub fn on_epoch_end(mut self, f: impl FnMut(usize, &mut Logs, &Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.epoch_end = Some(Box::new(f));
        self
    }

    /// Called before every step.
    #[must_use]
    pub fn on_train_batch_begin(mut self, f: impl FnMut(usize, &Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.train_batch_begin = Some(Box::new(f));
        self
    }

    /// Called after every step, with the means of the epoch so far.
    #[must_use]
    pub fn on_train_batch_end(mut self, f: impl FnMut(usize, &Logs, &Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.train_batch_end = Some(Box::new(f));
        self
    }

    /// Called before every validation.
    #[must_use]
    pub fn on_test_begin(mut self, f: impl FnMut(&Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.test_begin = Some(Box::new(f));
        self
    }

    /// Called after every validation.
    #[must_use]
    pub fn on_test_end(mut self, f: impl FnMut(&Logs, &Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.test_end = Some(Box::new(f));
        self
    }

    /// Called before every step of a validation.
    #[must_use]
    pub fn on_test_batch_begin(mut self, f: impl FnMut(usize, &Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.test_batch_begin = Some(Box::new(f));
        self
    }

    /// Called after every step of a validation, with the means so far.
    #[must_use]
    pub fn on_test_batch_end(mut self, f: impl FnMut(usize, &Logs, &Training) -> Result<()> + 'a) -> LambdaCallback<'a> {
        self.test_batch_end = Some(Box::new(f));
        self
    }
}

impl Callback for LambdaCallback<'_> {
    fn on_train_begin(&mut self, training: &Training) -> Result<()> {
        self.train_begin.as_mut().map_or(Ok(()), |f| f(training))
    }
    fn on_train_end(&mut self, training: &Training) -> Result<()> {
        self.train_end.as_mut().map_or(Ok(()), |f| f(training))
    }
    fn on_epoch_begin(&mut self, epoch: usize, training: &Training) -> Result<()> {
        self.epoch_begin.as_mut().map_or(Ok(()), |f| f(epoch, training))
    }
    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, training: &Training) -> Result<()> {
        self.epoch_end.as_mut().map_or(Ok(()), |f| f(epoch, logs, training))
    }
    fn watches_batches(&self) -> bool {
        self.train_batch_begin.is_some() || self.train_batch_end.is_some()
    }
    fn on_train_batch_begin(&mut self, batch: usize, training: &Training) -> Result<()> {
        self.train_batch_begin.as_mut().map_or(Ok(()), |f| f(batch, training))
    }
    fn on_train_batch_end(&mut self, batch: usize, logs: &Logs, training: &Training) -> Result<()> {
        self.train_batch_end.as_mut().map_or(Ok(()), |f| f(batch, logs, training))
    }
    fn on_test_begin(&mut self, training: &Training) -> Result<()> {
        self.test_begin.as_mut().map_or(Ok(()), |f| f(training))
    }
    fn on_test_end(&mut self, logs: &Logs, training: &Training) -> Result<()> {
        self.test_end.as_mut().map_or(Ok(()), |f| f(logs, training))
    }
    fn watches_test_batches(&self) -> bool {
        self.test_batch_begin.is_some() || self.test_batch_end.is_some()
    }
    fn on_test_batch_begin(&mut self, batch: usize, training: &Training) -> Result<()> {
        self.test_batch_begin.as_mut().map_or(Ok(()), |f| f(batch, training))
    }
    fn on_test_batch_end(&mut self, batch: usize, logs: &Logs, training: &Training) -> Result<()> {
        self.test_batch_end.as_mut().map_or(Ok(()), |f| f(batch, logs, training))
    }
}
