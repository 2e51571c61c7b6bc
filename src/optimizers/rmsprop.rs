//! RMSprop.

use super::learning_rate::LearningRate;
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::variable::Variable;

/// Divides by a running root mean square: `v = rho · v + (1 - rho) · g²; w -= rate · g / √(v + ε)` (Tieleman and Hinton 2012, with Keras's place
/// of ε). Centred, the running mean squared is taken from `v`; with momentum, steps are summed as `m = momentum · m + step; w -= m`.
/// Defaults: learning rate 0.001, rho 0.9, no momentum, ε 1e-7, not centred.
pub struct RMSprop {
    rho: f64,
    momentum: f64,
    epsilon: f64,
    centered: bool,
    state: OptimizerState,
}

impl RMSprop {
    /// Plain, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> RMSprop {
        RMSprop { rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false, state: OptimizerState::new(learning_rate) }
    }

    setters! {
        /// How slowly the running means forget, from 0 to below 1. Default: 0.9.
        rho = rho: f64;
        /// How much of the last step goes into the next, from 0 to 1. Default: 0.
        momentum = momentum: f64;
        /// Keeps the divisor above 0. Default: 1e-7.
        epsilon = epsilon: f64;
        /// Whether gradients are divided by their standard deviation rather than their root mean square. Default: no.
        centered = centered: bool;
    }
}

optimizer_options!(RMSprop, 0.001);

impl UpdateRule for RMSprop {
    optimizer_state!("rmsprop");

    fn arguments(&self) -> Vec<Argument> {
        vec![Argument::beta("rho", self.rho), Argument::part("momentum", self.momentum), Argument::at_least_0("epsilon", self.epsilon)]
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        let mut slots = vec![Slot::zeros("velocity")];
        slots.extend((self.momentum > 0.0).then(|| Slot::zeros("momentum")));
        slots.extend(self.centered.then(|| Slot::zeros("average_gradient")));
        slots
    }

    fn update(&self, update: &Update) -> Result<()> {
        let running = |old: &Expr, new: Expr| old * self.rho + new * (1.0 - self.rho);
        update.fused(|e| {
            let velocity = running(&e.slots[0], e.gradient.square());
            let average = self.centered.then(|| running(&e.slots[e.slots.len() - 1], e.gradient.clone()));
            let variance = average.as_ref().map_or_else(|| velocity.clone(), |average| &velocity - average.square());
            let step = &e.scalars[0] * &e.gradient / (variance + self.epsilon).sqrt();
            let momentum = (self.momentum > 0.0).then(|| &e.slots[1] * self.momentum + &step);
            let moved = &e.weight - momentum.as_ref().unwrap_or(&step);
            (moved, [velocity].into_iter().chain(momentum).chain(average).collect())
        })
    }
}
