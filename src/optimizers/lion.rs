//! Lion.

use super::learning_rate::LearningRate;
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::variable::Variable;

/// Steps of one length (Chen et al. 2023): `w -= rate · sign(β₁ m + (1 - β₁) g); m = β₂ m + (1 - β₂) g`.
/// Defaults: learning rate 0.001, β₁ 0.9, β₂ 0.99.
pub struct Lion {
    beta_1: f64,
    beta_2: f64,
    state: OptimizerState,
}

impl Lion {
    /// The defaults, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Lion {
        Lion { beta_1: 0.9, beta_2: 0.99, state: OptimizerState::new(learning_rate) }
    }

    setters! {
        /// How much the momentum counts against the gradient, above 0 and at most 1. Default: 0.9.
        beta_1 = beta_1: f64;
        /// How slowly the momentum forgets, from 0 to 1. Default: 0.99.
        beta_2 = beta_2: f64;
    }
}

optimizer_options!(Lion, 0.001);

impl UpdateRule for Lion {
    optimizer_state!("lion");

    fn arguments(&self) -> Vec<Argument> {
        let part = |name, value| Argument::part(name, value);
        vec![part("beta_1", self.beta_1), Argument::above_0("beta_1", self.beta_1), part("beta_2", self.beta_2)]
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        vec![Slot::zeros("momentum")]
    }

    fn update(&self, update: &Update) -> Result<()> {
        update.fused(|e| {
            let mixed = |beta: f64| &e.slots[0] * beta + &e.gradient * (1.0 - beta);
            (&e.weight - &e.scalars[0] * mixed(self.beta_1).sign(), vec![mixed(self.beta_2)])
        })
    }
}
