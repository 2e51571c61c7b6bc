//! A learning rate: a number or a schedule.

use super::options::Argument;
use super::schedules::LearningRateSchedule;
use crate::error::Result;

/// How large the steps of an optimizer are.
pub enum LearningRate {
    /// A number, which can be set between steps.
    Constant(f64),
    /// A function of the iteration count.
    Schedule(Box<dyn LearningRateSchedule>),
}

impl LearningRate {
    pub(super) fn check(&self, name: &str) -> Result<()> {
        match self {
            LearningRate::Constant(rate) => Argument::at_least_0("learning_rate", *rate).check(name),
            LearningRate::Schedule(schedule) => schedule.check().map_err(|e| e.at(name)),
        }
    }
}

impl From<f64> for LearningRate {
    fn from(rate: f64) -> LearningRate {
        LearningRate::Constant(rate)
    }
}

impl<S: LearningRateSchedule + 'static> From<S> for LearningRate {
    fn from(schedule: S) -> LearningRate {
        LearningRate::Schedule(Box::new(schedule))
    }
}
