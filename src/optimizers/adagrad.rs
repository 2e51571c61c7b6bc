//! Adagrad.

use super::learning_rate::LearningRate;
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::variable::Variable;

/// Divides by the root of the sum of all squares so far (Duchi et al. 2011): `a += g²; w -= rate · g / √(a + ε)`.
/// Defaults: learning rate 0.001, `a` 0.1 at first, ε 1e-7.
pub struct Adagrad {
    initial_accumulator_value: f64,
    epsilon: f64,
    state: OptimizerState,
}

impl Adagrad {
    /// The defaults, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Adagrad {
        Adagrad { initial_accumulator_value: 0.1, epsilon: 1e-7, state: OptimizerState::new(learning_rate) }
    }

    setters! {
        /// The first value of the sum of squares. Default: 0.1.
        initial_accumulator_value = initial_accumulator_value: f64;
        /// Keeps the divisor above 0. Default: 1e-7.
        epsilon = epsilon: f64;
    }
}

optimizer_options!(Adagrad, 0.001);

impl UpdateRule for Adagrad {
    optimizer_state!("adagrad");

    fn arguments(&self) -> Vec<Argument> {
        let accumulator = Argument::at_least_0("initial_accumulator_value", self.initial_accumulator_value);
        vec![accumulator, Argument::at_least_0("epsilon", self.epsilon)]
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        vec![Slot::filled("accumulator", self.initial_accumulator_value)]
    }

    fn update(&self, update: &Update) -> Result<()> {
        update.fused(|e| {
            let sum = &e.slots[0] + e.gradient.square();
            (&e.weight - &e.scalars[0] * &e.gradient / (&sum + self.epsilon).sqrt(), vec![sum])
        })
    }
}
