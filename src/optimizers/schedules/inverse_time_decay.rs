//! Inverse time decay.

use super::{LearningRateSchedule, at_least_0, progress, some_steps};
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::optimizers::options::setters;

/// `initial / (1 + decay_rate · count / decay_steps)`. Default: no staircase.
pub struct InverseTimeDecay {
    initial: f64,
    decay_steps: u32,
    decay_rate: f64,
    staircase: bool,
}

impl InverseTimeDecay {
    /// From this rate, divided by `1 + decay_rate` after `decay_steps` steps, by `1 + 2 · decay_rate` after twice as many.
    pub fn new(initial_learning_rate: f64, decay_steps: u32, decay_rate: f64) -> InverseTimeDecay {
        InverseTimeDecay { initial: initial_learning_rate, decay_steps, decay_rate, staircase: false }
    }

    setters! {
        /// Whether the rate changes only every `decay_steps` steps. Default: no.
        staircase = staircase: bool;
    }
}

impl LearningRateSchedule for InverseTimeDecay {
    fn rate(&self, count: &Expr) -> Expr {
        self.initial / (progress(count, self.decay_steps, self.staircase) * self.decay_rate + 1.0)
    }

    fn check(&self) -> Result<()> {
        at_least_0("InverseTimeDecay", "initial_learning_rate", self.initial)?;
        at_least_0("InverseTimeDecay", "decay_rate", self.decay_rate)?;
        some_steps("InverseTimeDecay", "decay_steps", self.decay_steps)
    }
}
