//! Losses and metrics of data that the model is not trained on.

use super::callbacks::{Callback, Logs, Training};
use super::data::IntoData;
use super::progress::{Progress, Verbose};
use super::run::{Pass, Watch};
use crate::error::Result;
use crate::models::Model;
use std::fmt;

/// How to evaluate. The defaults are Keras's.
pub struct Evaluate<'a> {
    /// Samples per step: it changes the speed and the memory, not the result. Default: 32.
    pub batch_size: usize,
    /// Evaluates only so many batches from the start of the data. Default: all.
    pub steps: Option<usize>,
    /// Their `on_test_…` methods are called. Default: none.
    pub callbacks: Vec<Box<dyn Callback + 'a>>,
    /// How much is shown. Default: nothing, the result is returned.
    pub verbose: Verbose,
}

impl Default for Evaluate<'_> {
    fn default() -> Self {
        Evaluate { batch_size: 32, steps: None, callbacks: Vec::new(), verbose: Verbose::Silent }
    }
}

impl<'a> Evaluate<'a> {
    /// Adds a callback; give `&mut` of one to ask it after the evaluation.
    #[must_use]
    pub fn callback(mut self, callback: impl Callback + 'a) -> Evaluate<'a> {
        self.callbacks.push(Box::new(callback));
        self
    }
}

/// Means over all samples.
#[derive(Clone, PartialEq, Debug)]
pub struct Evaluation {
    /// The loss.
    pub loss: f64,
    /// The metrics in the order of `compile`.
    pub metrics: Vec<(String, f64)>,
}

impl Evaluation {
    /// What a pass reports; the loss comes first.
    pub(super) fn of(mut logs: Logs) -> Evaluation {
        let at = logs.iter().position(|(name, _)| name == "loss");
        let loss = at.map_or(f64::NAN, |at| logs.remove(at).1);
        Evaluation { loss, metrics: logs }
    }

    /// The metric of this name, or the loss.
    pub fn metric(&self, name: &str) -> Option<f64> {
        if name == "loss" { Some(self.loss) } else { self.metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value) }
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let metrics = super::progress::line(&self.metrics);
        write!(f, "loss: {:.4}{metrics}", self.loss)
    }
}

impl Model {
    /// Loss and metrics on data, in batches of 32.
    ///
    /// # Errors
    /// As [`Model::fit`], and [`Error::NotReady`](crate::Error::NotReady) if the model is not built.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate(&self, data: impl IntoData) -> Result<Evaluation> {
        self.evaluate_with(data, Evaluate::default())
    }

    /// [`Model::evaluate`] with options.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn evaluate_with(&self, data: impl IntoData, options: Evaluate<'_>) -> Result<Evaluation> {
        pollster::block_on(self.evaluate_async(data, options))
    }

    /// [`Model::evaluate`] where no thread may block.
    ///
    /// # Errors
    /// As [`Model::evaluate`].
    pub async fn evaluate_async(&self, data: impl IntoData, mut options: Evaluate<'_>) -> Result<Evaluation> {
        let data = &data.into_data()?;
        let compiled = self.to_train("evaluate")?;
        let data = match options.steps {
            Some(steps) => &data.take(steps.saturating_mul(options.batch_size)),
            None => data,
        };
        // A batch that the device cannot take is split.
        let batch_size = options.batch_size.min(self.largest_batch()?.0.max(1));
        let pass = Pass::new(self, compiled, data, batch_size, false)?;
        let mut progress = Progress::new(options.verbose, pass.steps());
        let (training, steps) = (Training::new(self, 0, pass.steps()), pass.steps());
        let mut watch = Watch { progress: &mut progress, training: &training, callbacks: &mut options.callbacks, steps };
        let logs = pass.evaluate("the evaluation", &mut watch).await?;
        progress.finish(&logs);
        Ok(Evaluation::of(logs))
    }
}
