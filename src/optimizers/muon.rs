//! Muon.

use super::clip::sum_of_squares;
use super::learning_rate::LearningRate;
use super::moments::Moments;
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Now, Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::{Expr, map, map1};
use crate::tensor::Tensor;
use crate::variable::Variable;

/// Momentum made orthogonal (Jordan et al. 2024): for matrices, `m = momentum · m + g`, `x` is `g + momentum · m` with Nesterov's momentum and `m`
/// without, and Newton and Schulz's iteration makes all singular values of `x / ‖x‖` about 1: `x = a x + (b A + c A²) x` with `A = x xᵀ`. Then
/// `w -= rate · √max(rows, columns) · rms_rate · x` (Liu et al. 2025). Variables that are no matrices, and embeddings, are updated as by
/// [`AdamW`](super::AdamW). Defaults: learning rate 0.001, momentum 0.95 with Nesterov's, 5 iterations of (3.4445, -4.775, 2.0315), rms_rate 0.2,
/// weight decay 0.004; for the rest β₁ 0.9, β₂ 0.999, ε 1e-7, weight decay 0.004, the same rate.
pub struct Muon {
    moments: Moments,
    adam_weight_decay: Option<f64>,
    adam_lr_ratio: f64,
    exclude_layers: Vec<String>,
    exclude_embeddings: bool,
    coefficients: [f64; 3],
    momentum: f64,
    ns_steps: u32,
    nesterov: bool,
    rms_rate: Option<f64>,
    state: OptimizerState,
}

impl Muon {
    /// The defaults, with this learning rate.
    pub fn new(learning_rate: impl Into<LearningRate>) -> Muon {
        let mut state = OptimizerState::new(learning_rate);
        state.options.weight_decay = Some(0.004);
        Muon {
            moments: Moments::DEFAULT,
            adam_weight_decay: Some(0.004),
            adam_lr_ratio: 1.0,
            exclude_layers: Vec::new(),
            exclude_embeddings: true,
            coefficients: [3.4445, -4.775, 2.0315],
            momentum: 0.95,
            ns_steps: 5,
            nesterov: true,
            rms_rate: Some(0.2),
            state,
        }
    }

    setters! {
        /// How slowly Adam's mean of gradients forgets, from 0 to below 1. Default: 0.9.
        moments.beta_1 = adam_beta_1: f64;
        /// How slowly Adam's mean of squared gradients forgets, from 0 to below 1. Default: 0.999.
        moments.beta_2 = adam_beta_2: f64;
        /// Keeps Adam's divisor above 0. Default: 1e-7.
        moments.epsilon = epsilon: f64;
        /// The weight decay of what Adam updates. Default: 0.004.
        adam_weight_decay = adam_weight_decay: f64;
        /// Adam's rate is the learning rate times this. Default: 1.
        adam_lr_ratio = adam_lr_ratio: f64;
        /// Whether variables with "embedding" in their name are Adam's. Default: yes.
        exclude_embeddings = exclude_embeddings: bool;
        /// The three coefficients of Newton and Schulz's iteration. Default: 3.4445, -4.775, 2.0315.
        coefficients = coefficients: [f64; 3];
        /// How much of the last step goes into the next, from 0 to 1. Default: 0.95.
        momentum = momentum: f64;
        /// How often the iteration is repeated. Default: 5.
        ns_steps = ns_steps: u32;
        /// Whether momentum is applied before the gradient. Default: yes.
        nesterov = nesterov: bool;
        /// The root mean square that updates are brought to; `None` leaves them. Default: 0.2.
        rms_rate = rms_rate: impl Into<Option<f64>>;
    }

    /// Variables whose name contains one of these texts are Adam's. Default: none.
    #[must_use]
    pub fn exclude_layers<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Muon {
        self.exclude_layers = names.into_iter().map(Into::into).collect();
        self
    }

    fn is_adams(&self, variable: &Variable) -> bool {
        let name = variable.name();
        variable.shape().rank() != 2
            || (self.exclude_embeddings && name.to_lowercase().contains("embedding"))
            || self.exclude_layers.iter().any(|part| name.contains(part.as_str()))
    }

    /// The matrix with its singular values moved to about 1.
    fn orthogonal(&self, x: &Tensor) -> Result<Tensor> {
        let [a, b, c] = self.coefficients;
        let tall = x.shape()[0] > x.shape()[1];
        let wide = if tall { x.transpose(&[1, 0])? } else { x.clone() };
        let mut x = map1(&[&wide, &sum_of_squares(&wide)?], |e| &e[0] / (e[1].sqrt() + 1e-7))?;
        for _ in 0..self.ns_steps {
            let square = x.matmul_with(&x, false, true)?;
            let mixed = map1(&[&square, &square.matmul(&square)?], |e| &e[0] * b + &e[1] * c)?;
            x = map1(&[&x, &mixed.matmul(&x)?], |e| &e[0] * a + &e[1])?;
        }
        if tall { x.transpose(&[1, 0]) } else { Ok(x) }
    }
}

optimizer_options!(Muon, 0.001);

impl UpdateRule for Muon {
    optimizer_state!("muon");

    fn arguments(&self) -> Vec<Argument> {
        let mut arguments = self.moments.arguments();
        arguments.push(Argument::part("momentum", self.momentum));
        arguments.push(Argument::at_least_0("adam_lr_ratio", self.adam_lr_ratio));
        arguments.push(Argument::at_least_0("adam_weight_decay", self.adam_weight_decay.unwrap_or(0.0)));
        arguments
    }

    fn slots(&self, variable: &Variable) -> Vec<Slot> {
        let names = ["momentum", "velocity"];
        names[..if self.is_adams(variable) { 2 } else { 1 }].iter().map(|name| Slot::zeros(name)).collect()
    }

    fn weight_decay_of(&self, variable: &Variable) -> Option<f64> {
        if self.is_adams(variable) { self.adam_weight_decay } else { self.state.options.weight_decay }
    }

    /// The rate, and Adam's size of a step.
    fn scalars(&self, now: &Now) -> Vec<Expr> {
        vec![now.rate.clone(), self.moments.adam_size(now) * self.adam_lr_ratio]
    }

    fn update(&self, update: &Update) -> Result<()> {
        if self.is_adams(update.variable()) {
            return update.fused(|e| self.moments.adam(&e.scalars[1], e));
        }
        let made = map(&[update.gradient(), &update.slot(0)?], |e| {
            let momentum = &e[1] * self.momentum + &e[0];
            let direction = if self.nesterov { &e[0] + &momentum * self.momentum } else { momentum.clone() };
            vec![direction, momentum]
        })?;
        let shape = update.variable().shape();
        let factor = self.rms_rate.map_or(1.0, |rate| (shape[0].max(shape[1]) as f64).sqrt() * rate);
        let x = self.orthogonal(&made[0])?;
        let moved = map1(&[&update.weight()?, update.scalar(0), &x], |e| &e[0] - &e[1] * &e[2] * factor)?;
        update.assign(&moved, &made[1..])
    }
}
