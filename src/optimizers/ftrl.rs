//! FTRL.

use super::learning_rate::LearningRate;
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::variable::Variable;

/// "Follow the regularized leader" (McMahan et al. 2013), which makes weights exactly 0: with the sum of squares `n`, its power `p(n) = n^-power`
/// and the linear term `z`, `n' = n + g²; z += g + 2 · shrinkage · w - (p(n') - p(n)) / rate · w;
/// w = (clip(z, -l1, l1) - z) / (p(n') / rate + 2 · l2 + beta / rate)`.
/// Defaults: learning rate 0.001, power -0.5, `n` 0.1 at first, no regularization, beta 0.
pub struct Ftrl {
    power: f64,
    initial_accumulator_value: f64,
    l1: f64,
    l2: f64,
    shrinkage: f64,
    beta: f64,
    state: OptimizerState,
}

impl Ftrl {
    /// The defaults, with this learning rate, which is above 0.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Ftrl {
        let state = OptimizerState::new(learning_rate);
        Ftrl { power: -0.5, initial_accumulator_value: 0.1, l1: 0.0, l2: 0.0, shrinkage: 0.0, beta: 0.0, state }
    }

    setters! {
        /// How the rate falls with the sum of squares; 0 is a rate that does not. At most 0. Default: -0.5.
        power = learning_rate_power: f64;
        /// The first value of the sum of squares. Default: 0.1.
        initial_accumulator_value = initial_accumulator_value: f64;
        /// Pulls weights to exactly 0. At least 0, as the next two. Default: 0.
        l1 = l1_regularization_strength: f64;
        /// Pulls weights towards 0. Default: 0.
        l2 = l2_regularization_strength: f64;
        /// Adds `2 · shrinkage · w` to the gradient, but not to the sum of squares. Default: 0.
        shrinkage = l2_shrinkage_regularization_strength: f64;
        /// The paper's β. Default: 0.
        beta = beta: f64;
    }

    fn raised(&self, sum: &Expr) -> Expr {
        if self.power == -0.5 { sum.sqrt() } else { sum.pow(&sum.number(-self.power)) }
    }
}

optimizer_options!(Ftrl, 0.001);

impl UpdateRule for Ftrl {
    optimizer_state!("ftrl");

    fn arguments(&self) -> Vec<Argument> {
        vec![
            Argument::at_most_0("learning_rate_power", self.power),
            Argument::at_least_0("initial_accumulator_value", self.initial_accumulator_value),
            Argument::at_least_0("l1_regularization_strength", self.l1),
            Argument::at_least_0("l2_regularization_strength", self.l2),
            Argument::at_least_0("l2_shrinkage_regularization_strength", self.shrinkage),
            Argument::at_least_0("beta", self.beta),
        ]
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        vec![Slot::filled("accumulator", self.initial_accumulator_value), Slot::zeros("linear")]
    }

    fn update(&self, update: &Update) -> Result<()> {
        update.fused(|e| {
            let rate = &e.scalars[0];
            let sum = &e.slots[0] + e.gradient.square();
            let raised = self.raised(&sum);
            let slope = &e.gradient + &e.weight * (2.0 * self.shrinkage);
            let linear = &e.slots[1] + (slope - (&raised - self.raised(&e.slots[0])) / rate * &e.weight);
            let quadratic = raised / rate + (self.beta / rate + 2.0 * self.l2);
            let clipped = linear.min(&linear.number(self.l1)).max(&linear.number(-self.l1));
            ((clipped - &linear) / quadratic, vec![sum, linear])
        })
    }
}
