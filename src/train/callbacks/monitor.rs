//! What callbacks share that watch one number of the logs: whether it is there, and whether it became better.

use super::{Logs, Training, log};
use crate::error::{Error, Result};
use crate::metrics::Direction;
use crate::suggest;

/// A name among the logs, and what counts as better.
pub(super) struct Monitor {
    /// The callback, for messages.
    who: &'static str,
    pub name: String,
    /// `None` asks the metric of that name.
    mode: Result<Option<Direction>>,
    /// Changes up to this count as none.
    pub min_delta: f64,
    warned: bool,
}

impl Monitor {
    /// `val_loss` with mode `auto`.
    pub fn new(who: &'static str, min_delta: f64) -> Monitor {
        Monitor { who, name: "val_loss".to_string(), mode: Ok(None), min_delta, warned: false }
    }

    pub fn set_mode(&mut self, mode: &str) {
        let known = [("auto", None), ("min", Some(Direction::Min)), ("max", Some(Direction::Max))];
        self.mode = suggest::find(&format!("{}: mode", self.who), mode, &known);
    }

    /// Reports what was wrong with the options, when the training begins.
    pub fn check(&self) -> Result<()> {
        if self.min_delta.is_nan() {
            return Err(Error::argument(format!("{}: min_delta", self.who), "a number", self.min_delta));
        }
        self.mode.clone().map(|_| ())
    }

    /// The watched number. If it is missing, a line on standard error says so once, what there is instead, and what the callback does then.
    pub fn value(&mut self, logs: &Logs, then: &str) -> Option<f64> {
        let value = log(logs, &self.name);
        if value.is_none()
            && let Some(warning) = self.warning(logs, then)
        {
            eprintln!("{warning}");
        }
        value
    }

    /// What to say the first time that the number is missing.
    fn warning(&mut self, logs: &Logs, then: &str) -> Option<String> {
        if std::mem::replace(&mut self.warned, true) {
            return None;
        }
        let names: Vec<&str> = logs.iter().map(|(name, _)| name.as_str()).collect();
        let advice = match suggest::nearest(&self.name, &names) {
            Some(near) => format!("; did you mean {near:?}?"),
            None if self.name.starts_with("val_") => "; `Fit::validation` gives values for val_".to_string(),
            None => String::new(),
        };
        Some(format!("{}: {:?} is not among the logs {}, so {then}{advice}", self.who, self.name, names.join(", ")))
    }

    /// Whether a value is better than an earlier one by more than `min_delta`. Any is better than none, and any number than NaN.
    ///
    /// # Errors
    /// [`Error::Argument`] in mode `auto` for a metric that does not say which of its values are better.
    pub fn improves(&self, current: f64, best: Option<f64>, training: &Training) -> Result<bool> {
        let direction = self.mode.clone()?.or_else(|| training.direction(&self.name)).ok_or_else(|| {
            let want = format!("\"min\" or \"max\", for {:?} does not say which of its values are better", self.name);
            Error::argument(format!("{}: mode", self.who), want, "\"auto\"")
        })?;
        let Some(best) = best else { return Ok(true) };
        if best.is_nan() {
            return Ok(!current.is_nan());
        }
        let least = self.min_delta.abs();
        Ok(match direction {
            Direction::Min => current + least < best,
            Direction::Max => current - least > best,
        })
    }
}

/// The options of every callback that has a `monitor`.
macro_rules! monitor_options {
    () => {
        /// The name of the log to watch. Default: `val_loss`.
        #[must_use]
        pub fn monitor(mut self, name: impl Into<String>) -> Self {
            self.monitor.name = name.into();
            self
        }

        /// Which values are better: `"min"`, `"max"`, or `"auto"`, which asks the metric. Default: `"auto"`.
        #[must_use]
        pub fn mode(mut self, mode: &str) -> Self {
            self.monitor.set_mode(mode);
            self
        }

        /// Whether what it does is printed: 1 for yes, as in Keras. Default: no.
        #[must_use]
        pub fn verbose(mut self, verbose: impl Into<crate::train::Verbose>) -> Self {
            self.verbose = verbose.into();
            self
        }
    };
}
pub(super) use monitor_options;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_once_what_is_missing() {
        let logs: Logs = vec![("loss".into(), 1.0), ("accuracy".into(), 0.5)];
        let mut monitor = Monitor::new("EarlyStopping", 0.0);
        assert_eq!(
            monitor.warning(&logs, "it does nothing").as_deref(),
            Some(
                "EarlyStopping: \"val_loss\" is not among the logs loss, accuracy, so it does nothing; `Fit::validation` gives values for val_"
            )
        );
        assert_eq!(monitor.warning(&logs, "it does nothing"), None);
        let mut monitor = Monitor { name: "acuracy".into(), ..Monitor::new("EarlyStopping", 0.0) };
        assert!(monitor.warning(&logs, "it does nothing").is_some_and(|text| text.ends_with("; did you mean \"accuracy\"?")));
        assert_eq!(monitor.value(&vec![("acuracy".into(), 2.0)], ""), Some(2.0));
    }
}
