//! Exponential decay.

use super::{LearningRateSchedule, at_least_0, progress, some_steps};
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::optimizers::options::setters;

/// `initial · decay_rate^(count / decay_steps)`. Default: no staircase.
pub struct ExponentialDecay {
    initial: f64,
    decay_steps: u32,
    decay_rate: f64,
    staircase: bool,
}

impl ExponentialDecay {
    /// From this rate, times `decay_rate` in `decay_steps` steps.
    pub fn new(initial_learning_rate: f64, decay_steps: u32, decay_rate: f64) -> ExponentialDecay {
        ExponentialDecay { initial: initial_learning_rate, decay_steps, decay_rate, staircase: false }
    }

    setters! {
        /// Whether the rate changes only every `decay_steps` steps. Default: no.
        staircase = staircase: bool;
    }
}

impl LearningRateSchedule for ExponentialDecay {
    fn rate(&self, count: &Expr) -> Expr {
        // The logarithm of a rate of 0 is -∞; exp(-100 p) is 0 in an f32 for all but the smallest p.
        let x = progress(count, self.decay_steps, self.staircase) * self.decay_rate.ln().max(-100.0);
        x.exp() * self.initial
    }

    fn check(&self) -> Result<()> {
        at_least_0("ExponentialDecay", "initial_learning_rate", self.initial)?;
        at_least_0("ExponentialDecay", "decay_rate", self.decay_rate)?;
        some_steps("ExponentialDecay", "decay_steps", self.decay_steps)
    }
}
