//! Adafactor.

use super::learning_rate::LearningRate;
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Now, Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::{Expr, map1};
use crate::tensor::Tensor;
use crate::variable::Variable;

/// Keeps rows and columns of the mean square in place of the whole (Shazeer and Stern 2018). With `ρ = min(rate, 1/√t)` and
/// `β = 1 - t^decay`, the mean of `g² + ε₁` over the last axis is followed by `r`, over the last but one by `c`, both as `r = β r + (1 - β) mean`,
/// and `v = r c / mean(r)`; of vectors the mean square itself is kept. With `u = g / √v`,
/// `w -= max(ε₂, rms(w)) · ρ · u / max(1, rms(u) / threshold)`.
/// Defaults: learning rate 0.001, decay -0.8, ε₁ 1e-30, ε₂ 0.001, threshold 1.
pub struct Adafactor {
    beta_2_decay: f64,
    epsilon_1: f64,
    epsilon_2: f64,
    clip_threshold: f64,
    relative_step: bool,
    state: OptimizerState,
}

impl Adafactor {
    /// The defaults, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Adafactor {
        let state = OptimizerState::new(learning_rate);
        Adafactor { beta_2_decay: -0.8, epsilon_1: 1e-30, epsilon_2: 1e-3, clip_threshold: 1.0, relative_step: true, state }
    }

    setters! {
        /// The exponent by which the mean squares forget more slowly from step to step; at most 0. Default: -0.8.
        beta_2_decay = beta_2_decay: f64;
        /// Added to squares. Default: 1e-30.
        epsilon_1 = epsilon_1: f64;
        /// The least size of a variable that steps are made for. Default: 0.001.
        epsilon_2 = epsilon_2: f64;
        /// The largest root mean square of an update. Default: 1.
        clip_threshold = clip_threshold: f64;
        /// Whether a constant rate is first bounded by `1/√t`. Keras's next formula bounds it so in any case, so nothing depends on it.
        /// Default: yes.
        relative_step = relative_step: bool;
    }
}

optimizer_options!(Adafactor, 0.001);

impl UpdateRule for Adafactor {
    optimizer_state!("adafactor");

    fn arguments(&self) -> Vec<Argument> {
        vec![
            Argument::at_most_0("beta_2_decay", self.beta_2_decay),
            Argument::at_least_0("epsilon_1", self.epsilon_1),
            Argument::at_least_0("epsilon_2", self.epsilon_2),
            Argument::above_0("clip_threshold", self.clip_threshold),
        ]
    }

    fn slots(&self, variable: &Variable) -> Vec<Slot> {
        let shape = variable.shape();
        match shape.rank() {
            0 | 1 => vec![Slot::zeros("velocity")],
            rank => {
                let columns = [&shape[..rank - 2], &shape[rank - 1..]].concat();
                vec![Slot::shaped("row", &shape[..rank - 1]), Slot::shaped("column", columns)]
            }
        }
    }

    /// `ρ` and `β`.
    fn scalars(&self, now: &Now) -> Vec<Expr> {
        let bound = now.step.rsqrt();
        let rate = if self.relative_step { now.rate.min(&bound) } else { now.rate.clone() };
        vec![rate.min(&bound), 1.0 - (now.step.log() * self.beta_2_decay).exp()]
    }

    fn update(&self, update: &Update) -> Result<()> {
        let (gradient, weight) = (update.gradient(), update.weight()?);
        let square = map1(&[gradient], |e| e[0].square() + self.epsilon_1)?;
        let running =
            |i: usize, mean: &Tensor| map1(&[&update.slot(i)?, mean, update.scalar(1)], |e| &e[2] * &e[0] + (1.0 - &e[2]) * &e[1]);
        let (slots, divided) = if gradient.rank() < 2 {
            let velocity = running(0, &square)?;
            let divided = map1(&[gradient, &velocity], |e| &e[0] / e[1].sqrt())?;
            (vec![velocity], divided)
        } else {
            let (row, column) = (running(0, &square.mean(&[-1], false)?)?, running(1, &square.mean(&[-2], false)?)?);
            let share = row.div(&row.mean(&[-1], true)?)?.expand_dims(-1)?;
            let divided = map1(&[gradient, &share, &column.expand_dims(-2)?], |e| &e[0] / (&e[1] * &e[2]).sqrt())?;
            (vec![row, column], divided)
        };
        let mean_square = |x: &Tensor| x.square()?.mean_all();
        let size = map1(&[&mean_square(&weight)?, &mean_square(&divided)?, update.scalar(0)], |e| {
            let step = e[0].sqrt().max(&e[0].number(self.epsilon_2)) * &e[2];
            step / (e[1].sqrt() / self.clip_threshold).max(&e[1].number(1.0))
        })?;
        update.assign(&map1(&[&weight, &size, &divided], |e| &e[0] - &e[1] * &e[2])?, &slots)
    }
}
