//! Stochastic gradient descent.

use super::learning_rate::LearningRate;
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::variable::Variable;

/// `w -= rate · g`; with momentum `m = momentum · m - rate · g; w += m`, and with Nesterov's `w += momentum · m - rate · g` (the new `m`).
/// Defaults: learning rate 0.01, no momentum.
pub struct SGD {
    momentum: f64,
    nesterov: bool,
    state: OptimizerState,
}

impl SGD {
    /// Without momentum.
    pub fn new(learning_rate: impl Into<LearningRate>) -> SGD {
        SGD { momentum: 0.0, nesterov: false, state: OptimizerState::new(learning_rate) }
    }

    setters! {
        /// How much of the last step goes into the next, from 0 to 1. Default: 0.
        momentum = momentum: f64;
        /// Whether momentum is applied before the gradient (Nesterov 1983). Default: no.
        nesterov = nesterov: bool;
    }
}

optimizer_options!(SGD, 0.01);

impl UpdateRule for SGD {
    optimizer_state!("sgd");

    fn arguments(&self) -> Vec<Argument> {
        vec![Argument::part("momentum", self.momentum)]
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        if self.momentum == 0.0 { Vec::new() } else { vec![Slot::zeros("momentum")] }
    }

    fn update(&self, update: &Update) -> Result<()> {
        update.fused(|e| {
            let step = &e.scalars[0] * &e.gradient;
            let [momentum] = &e.slots[..] else { return (&e.weight - step, Vec::new()) };
            let momentum = momentum * self.momentum - &step;
            let moved = if self.nesterov { &e.weight + (&momentum * self.momentum - step) } else { &e.weight + &momentum };
            (moved, vec![momentum])
        })
    }
}
