//! RMSprop.

use super::{Optimizer, OptimizerState, optimizer_options, optimizer_state};
use crate::ops::pointwise::Expr;

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

impl Default for RMSprop {
    fn default() -> RMSprop {
        RMSprop::new(0.001)
    }
}

impl RMSprop {
    /// Plain, with this learning rate.
    pub fn new(learning_rate: f64) -> RMSprop {
        RMSprop { rho: 0.9, momentum: 0.0, epsilon: 1e-7, centered: false, state: OptimizerState::new(learning_rate) }
    }

    /// How slowly the running means forget. Default: 0.9.
    #[must_use]
    pub fn rho(mut self, rho: f64) -> RMSprop {
        self.rho = rho;
        self
    }

    /// How much of the last step goes into the next. Default: 0.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> RMSprop {
        self.momentum = momentum;
        self
    }

    /// Keeps the divisor above 0. Default: 1e-7.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> RMSprop {
        self.epsilon = epsilon;
        self
    }

    /// Whether gradients are divided by their standard deviation rather than their root mean square. Default: no.
    #[must_use]
    pub fn centered(mut self, centered: bool) -> RMSprop {
        self.centered = centered;
        self
    }

    optimizer_options!();
}

impl Optimizer for RMSprop {
    fn name(&self) -> &'static str {
        "rmsprop"
    }

    optimizer_state!();

    fn slots(&self) -> Vec<&'static str> {
        let mut slots = vec!["velocity"];
        slots.extend((self.momentum > 0.0).then_some("momentum"));
        slots.extend(self.centered.then_some("average_gradient"));
        slots
    }

    fn update(&self, rate: &Expr, weight: &Expr, gradient: &Expr, slots: &[Expr]) -> (Expr, Vec<Expr>) {
        let running = |old: &Expr, new: Expr| old * self.rho + new * (1.0 - self.rho);
        let velocity = running(&slots[0], gradient.square());
        let average = self.centered.then(|| running(&slots[slots.len() - 1], gradient.clone()));
        let variance = average.as_ref().map_or_else(|| velocity.clone(), |average| &velocity - average.square());
        let step = rate * gradient / (variance + self.epsilon).sqrt();
        let momentum = (self.momentum > 0.0).then(|| &slots[1] * self.momentum + &step);
        let moved = weight - momentum.as_ref().unwrap_or(&step);
        (moved, [velocity].into_iter().chain(momentum).chain(average).collect())
    }
}
