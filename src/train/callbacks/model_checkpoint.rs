//! Saves a model while it trains.

use super::monitor::{Monitor, monitor_options};
use super::template::{Template, Value};
use super::{Callback, Logs, Training, say};
use crate::error::{Error, Result};
use crate::io::check_suffix;
use crate::train::Verbose;
use std::path::{Path, PathBuf};

/// When a [`ModelCheckpoint`] saves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SaveFreq {
    /// After every epoch and its validation.
    Epoch,
    /// After every so many steps. The logs of each step are then read from the device.
    Batches(usize),
}

impl From<usize> for SaveFreq {
    fn from(batches: usize) -> SaveFreq {
        SaveFreq::Batches(batches)
    }
}

/// Writes the model to a file while it trains, for [`Model::load_weights`](crate::models::Model::load_weights): its weights and what the
/// optimizer keeps. The layers themselves are in the program.
///
/// The file name may have places for numbers: `{epoch:02d}` (counted from 1), `{batch}` (from 1, where batches are counted) and every log, as in
/// `{val_loss:.2f}`; `{{` and `}}` stand for braces. It ends in `.safetensors`.
///
/// ```
/// use gradus::prelude::*;
/// let best = ModelCheckpoint::new("best/{epoch:02d}-{val_loss:.2f}.safetensors").save_best_only(true);
/// let fit = Fit { epochs: 10, validation_split: 0.1, ..Fit::default() }.callback(best);
/// ```
pub struct ModelCheckpoint {
    filepath: String,
    monitor: Monitor,
    verbose: Verbose,
    save_best_only: bool,
    save_weights_only: bool,
    save_freq: SaveFreq,
    best: Option<f64>,
    epoch: usize,
    batches: usize,
    last: Option<PathBuf>,
}

impl ModelCheckpoint {
    /// Saves after every epoch.
    pub fn new(filepath: impl Into<String>) -> ModelCheckpoint {
        ModelCheckpoint {
            filepath: filepath.into(),
            monitor: Monitor::new("ModelCheckpoint", 0.0),
            verbose: Verbose::Silent,
            save_best_only: false,
            save_weights_only: false,
            save_freq: SaveFreq::Epoch,
            best: None,
            epoch: 0,
            batches: 0,
            last: None,
        }
    }

    monitor_options!();

    /// Whether it only saves when the watched log is better than at every time before; where that log is missing, it saves every time and says
    /// so once. Default: no.
    #[must_use]
    pub fn save_best_only(mut self, save_best_only: bool) -> ModelCheckpoint {
        self.save_best_only = save_best_only;
        self
    }

    /// Whether what the optimizer keeps is left out. Default: no.
    #[must_use]
    pub fn save_weights_only(mut self, save_weights_only: bool) -> ModelCheckpoint {
        self.save_weights_only = save_weights_only;
        self
    }

    /// When it saves: a number of steps, which are counted over all epochs, or [`SaveFreq::Epoch`]. Default: after every epoch.
    #[must_use]
    pub fn save_freq(mut self, save_freq: impl Into<SaveFreq>) -> ModelCheckpoint {
        self.save_freq = save_freq.into();
        self
    }

    /// The value that the first one must be better than, if only the best are saved. Default: none.
    #[must_use]
    pub fn initial_value_threshold(mut self, value: f64) -> ModelCheckpoint {
        self.best = Some(value);
        self
    }

    /// The best value so far; it is kept from one training to the next.
    pub fn best(&self) -> Option<f64> {
        self.best
    }

    /// The file that was written last.
    pub fn last_saved(&self) -> Option<&Path> {
        self.last.as_deref()
    }

    /// Saves, if it is time for it by the logs. `batch` is `None` at the end of an epoch.
    fn save(&mut self, batch: Option<usize>, logs: &Logs, training: &Training) -> Result<()> {
        let epoch = self.epoch + 1;
        let mut values = vec![("epoch", Value::Count(epoch))];
        values.extend(batch.map(|batch| ("batch", Value::Count(batch + 1))));
        values.extend(logs.iter().map(|(name, value)| (name.as_str(), Value::Number(*value))));
        let path = PathBuf::from(Template::parse(&self.filepath)?.fill(&values)?);
        if !self.is_due(logs, training)? {
            return Ok(());
        }
        say(self.verbose, || format!("Epoch {epoch}: saving model to {}", path.display()));
        training.model().save(&path, !self.save_weights_only).map_err(|e| e.at("ModelCheckpoint"))?;
        self.last = Some(path);
        Ok(())
    }

    fn is_due(&mut self, logs: &Logs, training: &Training) -> Result<bool> {
        if !self.save_best_only {
            return Ok(true);
        }
        let Some(current) = self.monitor.value(logs, "every model is saved") else { return Ok(true) };
        if !self.monitor.improves(current, self.best, training)? {
            return Ok(false);
        }
        self.best = Some(current);
        Ok(true)
    }
}

impl Callback for ModelCheckpoint {
    fn on_train_begin(&mut self, _training: &Training) -> Result<()> {
        Template::parse(&self.filepath)?;
        check_suffix("ModelCheckpoint", Path::new(&self.filepath))?;
        if self.save_freq == SaveFreq::Batches(0) {
            return Err(Error::argument("ModelCheckpoint: save_freq", "at least 1 batch", 0));
        }
        self.monitor.check()
    }

    fn on_epoch_begin(&mut self, epoch: usize, _training: &Training) -> Result<()> {
        self.epoch = epoch;
        Ok(())
    }

    fn watches_batches(&self) -> bool {
        self.save_freq != SaveFreq::Epoch
    }

    fn on_train_batch_end(&mut self, batch: usize, logs: &Logs, training: &Training) -> Result<()> {
        let SaveFreq::Batches(every) = self.save_freq else { return Ok(()) };
        self.batches += 1;
        if self.batches < every {
            return Ok(());
        }
        self.batches = 0;
        self.save(Some(batch), logs, training)
    }

    fn on_epoch_end(&mut self, _epoch: usize, logs: &mut Logs, training: &Training) -> Result<()> {
        if self.save_freq == SaveFreq::Epoch { self.save(None, logs, training) } else { Ok(()) }
    }
}
