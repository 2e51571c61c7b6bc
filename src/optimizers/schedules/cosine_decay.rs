//! Cosine decay with a warm-up.

use super::{LearningRateSchedule, at_least_0, half_cosine, some_steps};
use crate::error::{Error, Result};
use crate::ops::pointwise::Expr;
use crate::optimizers::options::setters;
use crate::shape::DType;

/// Half a wave from the rate to `alpha` times it (Loshchilov and Hutter 2017): `initial · ((1 - alpha) · ½(1 + cos(π · count / decay_steps)) + alpha)`.
/// With a warm-up the rate goes in a straight line from `initial` to `warmup_target` in `warmup_steps` steps, and from there down the wave.
/// Defaults: alpha 0, no warm-up.
pub struct CosineDecay {
    initial: f64,
    decay_steps: u32,
    alpha: f64,
    warmup_target: Option<f64>,
    warmup_steps: u32,
}

impl CosineDecay {
    /// From this rate, in so many steps.
    pub fn new(initial_learning_rate: f64, decay_steps: u32) -> CosineDecay {
        CosineDecay { initial: initial_learning_rate, decay_steps, alpha: 0.0, warmup_target: None, warmup_steps: 0 }
    }

    setters! {
        /// The part of the rate that is left at the end. Default: 0.
        alpha = alpha: f64;
        /// The rate after the warm-up; without it there is no warm-up. Default: none.
        warmup_target = warmup_target: f64;
        /// How many steps the warm-up takes, before those of the decay. Default: 0.
        warmup_steps = warmup_steps: u32;
    }
}

impl LearningRateSchedule for CosineDecay {
    fn rate(&self, count: &Expr) -> Expr {
        let (top, warmup) = self.warmup_target.map_or((self.initial, 0), |target| (target, self.warmup_steps));
        let warm = count.max(&count.number(f64::from(warmup))) - f64::from(warmup);
        let done = warm.min(&warm.number(f64::from(self.decay_steps)));
        let left = done.number(f64::from(self.decay_steps)) - &done;
        let part = |steps: &Expr| steps.cast(DType::F32) / f64::from(self.decay_steps.max(1));
        let decayed = (half_cosine(&part(&done), &part(&left)) * (1.0 - self.alpha) + self.alpha) * top;
        if warmup == 0 {
            return decayed;
        }
        let warming = count.cast(DType::F32) / f64::from(warmup) * (top - self.initial) + self.initial;
        count.lt(&count.number(f64::from(warmup))).select(&warming, &decayed)
    }

    fn check(&self) -> Result<()> {
        at_least_0("CosineDecay", "initial_learning_rate", self.initial)?;
        at_least_0("CosineDecay", "alpha", self.alpha)?;
        at_least_0("CosineDecay", "warmup_target", self.warmup_target.unwrap_or(0.0))?;
        if self.warmup_steps > 0 && self.warmup_target.is_none() {
            return Err(Error::argument("CosineDecay: warmup_target", "the rate after `warmup_steps`", "none"));
        }
        some_steps("CosineDecay", "decay_steps", self.decay_steps)
    }
}
