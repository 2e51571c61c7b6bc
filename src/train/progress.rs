//! What `fit` and `evaluate` show while they run: a live line on a terminal, plain lines elsewhere.

use super::text;
use crate::clock::Stopwatch;

/// How much is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Verbose {
    /// A live line if standard error is a terminal, else a line per epoch.
    #[default]
    Auto,
    /// Nothing: Keras's 0.
    Silent,
    /// A live line with rate and remaining time: Keras's 1. Where there is no terminal, a line per epoch.
    Bar,
    /// A line per epoch: Keras's 2.
    Lines,
}

impl From<u8> for Verbose {
    /// Keras's numbers; any above 2 is 2.
    fn from(verbose: u8) -> Verbose {
        match verbose {
            0 => Verbose::Silent,
            1 => Verbose::Bar,
            _ => Verbose::Lines,
        }
    }
}

/// Seconds between two looks at the device's totals while they are shown.
#[cfg(not(target_arch = "wasm32"))]
const SHOWN_EVERY: f64 = 0.1;
/// The same while they are not shown.
#[cfg(not(target_arch = "wasm32"))]
const CHECKED_EVERY: f64 = 1.0;
/// Steps between two looks where there is no clock.
#[cfg(target_arch = "wasm32")]
const STEPS_WITHOUT_CLOCK: usize = 50;

/// The progress of one epoch or evaluation.
pub(super) struct Progress {
    steps: usize,
    lines: bool,
    start: Stopwatch,
    /// Seconds between two looks.
    #[cfg(not(target_arch = "wasm32"))]
    wait: f64,
    #[cfg(not(target_arch = "wasm32"))]
    last_look: f64,
    #[cfg(not(target_arch = "wasm32"))]
    bar: Option<indicatif::ProgressBar>,
}

impl Progress {
    pub fn new(verbose: Verbose, steps: usize) -> Progress {
        #[cfg(not(target_arch = "wasm32"))]
        let bar = live(verbose).then(|| {
            let bar = indicatif::ProgressBar::new(steps as u64);
            let style = indicatif::ProgressStyle::with_template("{pos}/{len} {bar:20} {msg}").expect("the template is valid");
            bar.set_style(style.progress_chars("━━─"));
            bar
        });
        #[cfg(not(target_arch = "wasm32"))]
        let lines = verbose != Verbose::Silent && bar.is_none();
        #[cfg(target_arch = "wasm32")]
        let lines = verbose != Verbose::Silent;
        Progress {
            steps,
            lines,
            start: Stopwatch::start(),
            #[cfg(not(target_arch = "wasm32"))]
            wait: if bar.is_some() { SHOWN_EVERY } else { CHECKED_EVERY },
            #[cfg(not(target_arch = "wasm32"))]
            last_look: 0.0,
            #[cfg(not(target_arch = "wasm32"))]
            bar,
        }
    }

    /// Shows nothing and finds it time after every step.
    #[cfg(test)]
    pub fn always_due(steps: usize) -> Progress {
        Progress { wait: 0.0, ..Progress::new(Verbose::Silent, steps) }
    }

    /// Whether it is time to read the totals, after so many steps.
    pub fn due(&mut self, done: usize) -> bool {
        #[cfg(target_arch = "wasm32")]
        return done % STEPS_WITHOUT_CLOCK == 0;
        #[cfg(not(target_arch = "wasm32"))]
        {
            let now = self.start.elapsed().as_secs_f64();
            let due = done < self.steps && now - self.last_look >= self.wait;
            if due {
                self.last_look = now;
            }
            due
        }
    }

    /// Shows how far it is, on a live line.
    pub fn update(&self, done: usize, logs: &[(String, f64)]) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(bar) = &self.bar {
            let left = self.start.elapsed().as_secs_f64() / done.max(1) as f64 * (self.steps - done) as f64;
            bar.set_position(done as u64);
            bar.set_message(format!("{} left {}{}", duration(left), self.rate(done), line(logs)));
        }
        #[cfg(target_arch = "wasm32")]
        let _ = (done, logs);
    }

    /// Shows the end: the elapsed time, the rate, and the values.
    pub fn finish(&self, logs: &[(String, f64)]) {
        let elapsed = duration(self.start.elapsed().as_secs_f64());
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(bar) = &self.bar {
            bar.set_position(self.steps as u64);
            bar.finish_with_message(format!("{elapsed} {}{}", self.rate(self.steps), line(logs)));
        }
        if self.lines {
            println!("{0}/{0} - {elapsed} - {1}{2}", self.steps, self.rate(self.steps), line(logs));
        }
    }

    /// Ends a live line that is not to stay.
    pub fn abandon(&self) {
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    fn rate(&self, done: usize) -> String {
        let seconds = self.start.elapsed().as_secs_f64() / done.max(1) as f64;
        if seconds >= 1.0 {
            format!("{seconds:.0}s/step")
        } else if seconds >= 1e-3 {
            format!("{:.0}ms/step", 1e3 * seconds)
        } else {
            format!("{:.0}us/step", 1e6 * seconds)
        }
    }
}

/// Prints the head of an epoch, which Keras leaves out when there is only one.
pub(super) fn epoch_head(verbose: Verbose, epoch: usize, epochs: usize) {
    if verbose == Verbose::Silent || epochs <= 1 {
        return;
    }
    let text = format!("Epoch {}/{epochs}", epoch + 1);
    #[cfg(not(target_arch = "wasm32"))]
    if live(verbose) {
        eprintln!("{text}");
        return;
    }
    println!("{text}");
}

#[cfg(not(target_arch = "wasm32"))]
fn live(verbose: Verbose) -> bool {
    use std::io::IsTerminal;
    matches!(verbose, Verbose::Auto | Verbose::Bar) && std::io::stderr().is_terminal()
}

/// ` - loss: 0.1459 - accuracy: 0.9567`.
pub(super) fn line(logs: &[(String, f64)]) -> String {
    logs.iter().map(|(name, value)| format!(" - {name}: {}", number(*value))).collect()
}

/// Four decimals, or for small values four digits and an exponent, as Keras prints them.
fn number(value: f64) -> String {
    if value.abs() > 1e-3 || value == 0.0 || !value.is_finite() {
        return format!("{value:.4}");
    }
    text::scientific(value, 4)
}

/// `9s`, `1:05`, `2:00:00`.
fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}:{s:02}"),
        (h, m, s) => format!("{h}:{m:02}:{s:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_keras_prints_them() {
        for (value, text) in
            [(0.1459, "0.1459"), (12.0, "12.0000"), (1e-3, "1.0000e-03"), (-2.5e-7, "-2.5000e-07"), (0.0, "0.0000"), (f64::NAN, "NaN")]
        {
            assert_eq!(number(value), text);
        }
        assert_eq!(line(&[("loss".into(), 0.5), ("accuracy".into(), 1.0)]), " - loss: 0.5000 - accuracy: 1.0000");
    }

    #[test]
    fn durations() {
        for (seconds, text) in [(0.2, "0s"), (59.0, "59s"), (65.0, "1:05"), (7200.0, "2:00:00")] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn keras_numbers() {
        assert_eq!([0, 1, 2].map(Verbose::from), [Verbose::Silent, Verbose::Bar, Verbose::Lines]);
    }
}
