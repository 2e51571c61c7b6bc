//! Nadam.

use super::learning_rate::LearningRate;
use super::moments::{Moments, moments_setters};
use super::options::{Argument, optimizer_options, optimizer_state};
use super::rule::{Now, Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::variable::Variable;

/// [`Adam`](super::Adam) with Nesterov's momentum (Dozat 2016). `m` and `v` are Adam's; with `uₜ = β₁(1 - ½ · 0.96ᵗ)` and `Uₜ = u₁ ⋯ uₜ`,
/// `w -= rate · (uₜ₊₁ m / (1 - Uₜ₊₁) + (1 - uₜ) g / (1 - Uₜ)) / (√(v / (1 - β₂ᵗ)) + ε)`.
/// Defaults: learning rate 0.001, β₁ 0.9, β₂ 0.999, ε 1e-7.
pub struct Nadam {
    moments: Moments,
    state: OptimizerState,
}

impl Nadam {
    /// The defaults, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Nadam {
        Nadam { moments: Moments::DEFAULT, state: OptimizerState::new(learning_rate) }
    }

    moments_setters!("1e-7");

    /// `uₜ`.
    fn share(&self, step: &Expr) -> Expr {
        (1.0 - (step * 0.96f64.ln()).exp() * 0.5) * self.moments.beta_1
    }
}

optimizer_options!(Nadam, 0.001);

impl UpdateRule for Nadam {
    optimizer_state!("nadam");

    fn arguments(&self) -> Vec<Argument> {
        self.moments.arguments()
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        vec![Slot::zeros("momentum"), Slot::zeros("velocity")]
    }

    fn kept(&self) -> Vec<(&'static str, f64)> {
        vec![("u_product", 1.0)]
    }

    fn keep(&self, now: &Now) -> Vec<Expr> {
        vec![&now.kept[0] * self.share(&now.step)]
    }

    /// Of the mean of gradients, of the gradient, and `1 - β₂ᵗ`.
    fn scalars(&self, now: &Now) -> Vec<Expr> {
        let (share, next) = (self.share(&now.step), self.share(&(&now.step + 1.0)));
        let product = &now.kept[0] * &share;
        let [_, correction] = self.moments.corrections(&now.step);
        vec![&now.rate * &next / (1.0 - &product * &next), &now.rate * (1.0 - &share) / (1.0 - &product), correction]
    }

    fn update(&self, update: &Update) -> Result<()> {
        update.fused(|e| {
            let momentum = self.moments.mean(&e.slots[0], &e.gradient);
            let velocity = self.moments.mean_square(&e.slots[1], &e.gradient);
            let step = &e.scalars[0] * &momentum + &e.scalars[1] * &e.gradient;
            let root = (&velocity / &e.scalars[2]).sqrt();
            (&e.weight - step / (root + self.moments.epsilon), vec![momentum, velocity])
        })
    }
}
