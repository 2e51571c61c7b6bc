//! Schedule-free AdamW.

use super::learning_rate::LearningRate;
use super::moments::{Moments, moments_setters};
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Now, Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::variable::Variable;

/// Averages iterates in place of a decaying rate (Defazio et al. 2024). The variable is the point `y` between the iterate `z` and the mean `x` of
/// all iterates: `v += (g² - v)(1 - β₂); z -= rate · g / (√(v / (1 - β₂ᵗ)) + ε); x += (z - x) / t; y = (1 - β₁) z + β₁ x`.
/// This is the paper's rule, and the one that Keras's comments give; on TensorFlow Keras reads `z` after it has changed, and β₁ has no effect.
/// Defaults: learning rate 0.0025, β₁ 0.9, β₂ 0.999, ε 1e-8, no warm-up.
pub struct ScheduleFreeAdamW {
    moments: Moments,
    warmup_steps: u32,
    state: OptimizerState,
}

impl ScheduleFreeAdamW {
    /// The defaults, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> ScheduleFreeAdamW {
        let moments = Moments { epsilon: 1e-8, ..Moments::DEFAULT };
        ScheduleFreeAdamW { moments, warmup_steps: 0, state: OptimizerState::new(learning_rate) }
    }

    moments_setters!("1e-8");
    setters! {
        /// In so many first steps the rate grows from 0 to what it is. Default: 0.
        warmup_steps = warmup_steps: u32;
    }
}

optimizer_options!(ScheduleFreeAdamW, 0.0025);

impl UpdateRule for ScheduleFreeAdamW {
    optimizer_state!("schedulefreeadamw");

    fn arguments(&self) -> Vec<Argument> {
        let mut arguments = self.moments.arguments();
        arguments.push(Argument::above_0("beta_1", self.moments.beta_1));
        arguments
    }

    fn slots(&self, _: &Variable) -> Vec<Slot> {
        vec![Slot::weight("momentum"), Slot::zeros("velocity")]
    }

    /// The rate, `1 - β₂ᵗ`, and `1/t`.
    fn scalars(&self, now: &Now) -> Vec<Expr> {
        let one = now.step.number(1.0);
        let warm = (now.step.clone() / f64::from(self.warmup_steps.max(1))).min(&one);
        let [_, correction] = self.moments.corrections(&now.step);
        vec![&now.rate * warm, correction, one / &now.step]
    }

    fn update(&self, update: &Update) -> Result<()> {
        let beta = self.moments.beta_1;
        update.fused(|e| {
            let velocity = self.moments.mean_square(&e.slots[1], &e.gradient);
            let root = (&velocity / &e.scalars[1]).sqrt();
            let iterate = &e.slots[0] - &e.scalars[0] * &e.gradient / (root + self.moments.epsilon);
            let mean = (&e.weight - &e.slots[0] * (1.0 - beta)) / beta;
            let mean = (1.0 - &e.scalars[2]) * mean + &e.scalars[2] * &iterate;
            (&iterate * (1.0 - beta) + mean * beta, vec![iterate, velocity])
        })
    }
}
