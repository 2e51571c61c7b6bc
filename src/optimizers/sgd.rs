//! Stochastic gradient descent.

use super::{Optimizer, OptimizerState, optimizer_options, optimizer_state};
use crate::ops::pointwise::Expr;

/// `w -= rate · g`; with momentum `m = momentum · m - rate · g; w += m`, and with Nesterov's `w += momentum · m - rate · g` (the new `m`).
/// Defaults: learning rate 0.01, no momentum.
pub struct SGD {
    momentum: f64,
    nesterov: bool,
    state: OptimizerState,
}

impl Default for SGD {
    fn default() -> SGD {
        SGD::new(0.01)
    }
}

impl SGD {
    /// Without momentum.
    pub fn new(learning_rate: f64) -> SGD {
        SGD { momentum: 0.0, nesterov: false, state: OptimizerState::new(learning_rate) }
    }

    /// How much of the last step goes into the next, from 0 to 1. Default: 0.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> SGD {
        self.momentum = momentum;
        self
    }

    /// Whether momentum is applied before the gradient (Nesterov 1983). Default: no.
    #[must_use]
    pub fn nesterov(mut self, nesterov: bool) -> SGD {
        self.nesterov = nesterov;
        self
    }

    optimizer_options!();
}

impl Optimizer for SGD {
    fn name(&self) -> &'static str {
        "sgd"
    }

    optimizer_state!();

    fn slots(&self) -> Vec<&'static str> {
        if self.momentum == 0.0 { Vec::new() } else { vec!["momentum"] }
    }

    fn update(&self, rate: &Expr, weight: &Expr, gradient: &Expr, slots: &[Expr]) -> (Expr, Vec<Expr>) {
        let step = rate * gradient;
        let [momentum] = slots else { return (weight - step, Vec::new()) };
        let momentum = momentum * self.momentum - &step;
        let moved = if self.nesterov { weight + (&momentum * self.momentum - step) } else { weight + &momentum };
        (moved, vec![momentum])
    }
}
