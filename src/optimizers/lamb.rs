//! LAMB.

use super::clip::sum_of_squares;
use super::learning_rate::LearningRate;
use super::moments::{Moments, moments_setters};
use super::options::{Argument, optimizer_options, optimizer_state};
use super::rule::{Now, Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::{Expr, map, map1};
use crate::variable::Variable;

/// [`Adam`](super::Adam) whose step is as long as the variable (You et al. 2020): with Adam's `m` and `v`,
/// `u = m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)` and `w -= rate · ‖w‖ / ‖u‖ · u`; the ratio is 1 where a norm is 0.
/// Defaults: learning rate 0.001, β₁ 0.9, β₂ 0.999, ε 1e-7.
pub struct Lamb {
    moments: Moments,
    state: OptimizerState,
}

impl Lamb {
    /// The defaults, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Lamb {
        Lamb { moments: Moments::DEFAULT, state: OptimizerState::new(learning_rate) }
    }

    moments_setters!("1e-7");
}

optimizer_options!(Lamb, 0.001);

impl UpdateRule for Lamb {
    optimizer_state!("lamb");

    fn arguments(&self) -> Vec<Argument> {
        self.moments.arguments()
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        vec![Slot::zeros("momentum"), Slot::zeros("velocity")]
    }

    fn scalars(&self, now: &Now) -> Vec<Expr> {
        std::iter::once(now.rate.clone()).chain(self.moments.corrections(&now.step)).collect()
    }

    fn update(&self, update: &Update) -> Result<()> {
        let weight = update.weight()?;
        let inputs = [update.gradient(), &update.slot(0)?, &update.slot(1)?, update.scalar(1), update.scalar(2)];
        let made = map(&inputs, |e| {
            let momentum = self.moments.mean(&e[1], &e[0]);
            let velocity = self.moments.mean_square(&e[2], &e[0]);
            let root = (&velocity / &e[4]).sqrt();
            vec![&momentum / &e[3] / (root + self.moments.epsilon), momentum, velocity]
        })?;
        let size = map1(&[&sum_of_squares(&weight)?, &sum_of_squares(&made[0])?, update.scalar(0)], |e| {
            let zero = e[0].number(0.0);
            let ratio = e[0].sqrt() / e[1].sqrt();
            &e[2] * e[0].gt(&zero).select(&e[1].gt(&zero).select(&ratio, &e[2].number(1.0)), &e[2].number(1.0))
        })?;
        let moved = map1(&[&weight, &size, &made[0]], |e| &e[0] - &e[1] * &e[2])?;
        update.assign(&moved, &made[1..])
    }
}
