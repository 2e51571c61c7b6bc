//! Adadelta.

use super::learning_rate::LearningRate;
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::variable::Variable;

/// Steps in the units of the weights (Zeiler 2012), from running mean squares of gradients, `a`, and of steps, `d`:
/// `a = rho · a + (1 - rho) g²; Δ = -√(d + ε) / √(a + ε) · g; d = rho · d + (1 - rho) Δ²; w += rate · Δ`.
/// Defaults: learning rate 0.001 (the paper's is 1), rho 0.95, ε 1e-7.
pub struct Adadelta {
    rho: f64,
    epsilon: f64,
    state: OptimizerState,
}

impl Adadelta {
    /// The defaults, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Adadelta {
        Adadelta { rho: 0.95, epsilon: 1e-7, state: OptimizerState::new(learning_rate) }
    }

    setters! {
        /// How slowly the running means forget, from 0 to below 1. Default: 0.95.
        rho = rho: f64;
        /// The first steps are as large as its root. Default: 1e-7.
        epsilon = epsilon: f64;
    }
}

optimizer_options!(Adadelta, 0.001);

impl UpdateRule for Adadelta {
    optimizer_state!("adadelta");

    fn arguments(&self) -> Vec<Argument> {
        vec![Argument::beta("rho", self.rho), Argument::at_least_0("epsilon", self.epsilon)]
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        vec![Slot::zeros("accumulated_grad"), Slot::zeros("accumulated_delta_var")]
    }

    fn update(&self, update: &Update) -> Result<()> {
        let running = |old: &Expr, new: &Expr| old * self.rho + new.square() * (1.0 - self.rho);
        let root = |x: &Expr| (x + self.epsilon).sqrt();
        update.fused(|e| {
            let squares = running(&e.slots[0], &e.gradient);
            let delta = -(root(&e.slots[1]) * &e.gradient / root(&squares));
            let steps = running(&e.slots[1], &delta);
            (&e.weight + &e.scalars[0] * delta, vec![squares, steps])
        })
    }
}
