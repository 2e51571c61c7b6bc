//! Polynomial decay.

use super::{LearningRateSchedule, at_least_0, periods, some_steps};
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::optimizers::options::setters;
use crate::shape::DType;

/// `(initial - end) · (1 - min(count, decay_steps) / decay_steps)^power + end`. With `cycle`, `decay_steps` is the next multiple of it, so that the rate
/// jumps up when it has come down. Defaults: end 0.0001, power 1, no cycle.
pub struct PolynomialDecay {
    initial: f64,
    decay_steps: u32,
    end: f64,
    power: f64,
    cycle: bool,
}

impl PolynomialDecay {
    /// From this rate, in so many steps.
    pub fn new(initial_learning_rate: f64, decay_steps: u32) -> PolynomialDecay {
        PolynomialDecay { initial: initial_learning_rate, decay_steps, end: 1e-4, power: 1.0, cycle: false }
    }

    setters! {
        /// The last rate. Default: 0.0001.
        end = end_learning_rate: f64;
        /// 1 is a straight line, 2 is steep at first. Default: 1.
        power = power: f64;
        /// Whether the rate jumps up again after it has come down. Default: no.
        cycle = cycle: bool;
    }
}

impl LearningRateSchedule for PolynomialDecay {
    fn rate(&self, count: &Expr) -> Expr {
        let steps = f64::from(self.decay_steps.max(1));
        let left = if self.cycle {
            // The next multiple, which the count itself may be; the first for a count of 0.
            let before = count.max(&count.number(1.0)) - 1.0;
            let end = (periods(&before, self.decay_steps) + 1.0) * steps;
            (&end - count).cast(DType::F32) / end.cast(DType::F32)
        } else {
            (steps - count.min(&count.number(steps))).cast(DType::F32) / steps
        };
        let raised = if self.power == 1.0 {
            left
        } else {
            // No logarithm of 0.
            let some = left.gt(&left.number(0.0));
            let power = (some.select(&left, &left.number(1.0)).log() * self.power).exp();
            some.select(&power, &left.number(if self.power == 0.0 { 1.0 } else { 0.0 }))
        };
        raised * (self.initial - self.end) + self.end
    }

    fn check(&self) -> Result<()> {
        at_least_0("PolynomialDecay", "initial_learning_rate", self.initial)?;
        at_least_0("PolynomialDecay", "end_learning_rate", self.end)?;
        at_least_0("PolynomialDecay", "power", self.power)?;
        some_steps("PolynomialDecay", "decay_steps", self.decay_steps)
    }
}
