//! Adamax.

use super::learning_rate::LearningRate;
use super::moments::{Moments, moments_setters, one_minus_power};
use super::options::{Argument, optimizer_options, optimizer_state};
use super::rule::{Now, Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::variable::Variable;

/// [`Adam`](super::Adam) with the largest recent gradient in place of the root of the mean square (Kingma and Ba 2015, section 7.1):
/// `m += (g - m)(1 - β₁); u = max(β₂ · u, |g|); w -= rate / (1 - β₁ᵗ) · m / (u + ε)`.
/// Defaults: learning rate 0.001, β₁ 0.9, β₂ 0.999, ε 1e-7.
pub struct Adamax {
    moments: Moments,
    state: OptimizerState,
}

impl Adamax {
    /// The defaults, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Adamax {
        Adamax { moments: Moments::DEFAULT, state: OptimizerState::new(learning_rate) }
    }

    moments_setters!("1e-7");
}

optimizer_options!(Adamax, 0.001);

impl UpdateRule for Adamax {
    optimizer_state!("adamax");

    fn arguments(&self) -> Vec<Argument> {
        self.moments.arguments()
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        vec![Slot::zeros("momentum"), Slot::zeros("norm")]
    }

    fn scalars(&self, now: &Now) -> Vec<Expr> {
        vec![&now.rate / one_minus_power(self.moments.beta_1, &now.step)]
    }

    fn update(&self, update: &Update) -> Result<()> {
        update.fused(|e| {
            let momentum = self.moments.mean(&e.slots[0], &e.gradient);
            let norm = (&e.slots[1] * self.moments.beta_2).max(&e.gradient.abs());
            (&e.weight - &e.scalars[0] * &momentum / (&norm + self.moments.epsilon), vec![momentum, norm])
        })
    }
}
