//! The running means of Adam and its relatives.

use super::options::Argument;
use super::rule::{Elements, Now};
use crate::ops::pointwise::Expr;

/// How slowly two running means forget — of gradients, and of their squares — and what keeps divisors above 0.
pub(super) struct Moments {
    pub beta_1: f64,
    pub beta_2: f64,
    pub epsilon: f64,
}

impl Moments {
    /// Of nearly all of Adam's relatives.
    pub const DEFAULT: Moments = Moments { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7 };

    pub fn arguments(&self) -> Vec<Argument> {
        vec![Argument::beta("beta_1", self.beta_1), Argument::beta("beta_2", self.beta_2), Argument::at_least_0("epsilon", self.epsilon)]
    }

    /// The new mean of gradients.
    pub fn mean(&self, old: &Expr, gradient: &Expr) -> Expr {
        old + (gradient - old) * (1.0 - self.beta_1)
    }

    /// The new mean of squared gradients.
    pub fn mean_square(&self, old: &Expr, gradient: &Expr) -> Expr {
        old + (gradient.square() - old) * (1.0 - self.beta_2)
    }

    /// `1 - β₁ᵗ` and `1 - β₂ᵗ`: how much of the means is not their start.
    pub fn corrections(&self, step: &Expr) -> [Expr; 2] {
        [one_minus_power(self.beta_1, step), one_minus_power(self.beta_2, step)]
    }

    /// Adam's `rate · √(1 - β₂ᵗ) / (1 - β₁ᵗ)`.
    pub fn adam_size(&self, now: &Now) -> Expr {
        let [first, second] = self.corrections(&now.step);
        &now.rate * second.sqrt() / first
    }

    /// Adam's update, with slots `m`, `v`, and, for amsgrad, the largest `v`.
    pub fn adam(&self, size: &Expr, e: &Elements) -> (Expr, Vec<Expr>) {
        let momentum = self.mean(&e.slots[0], &e.gradient);
        let velocity = self.mean_square(&e.slots[1], &e.gradient);
        let largest = e.slots.get(2).map(|before| before.max(&velocity));
        let root = largest.as_ref().unwrap_or(&velocity).sqrt();
        let moved = &e.weight - size * &momentum / (root + self.epsilon);
        (moved, [momentum, velocity].into_iter().chain(largest).collect())
    }
}

/// The setters of a type with `moments: Moments` and the default betas.
macro_rules! moments_setters {
    ($epsilon:literal) => {
        crate::optimizers::options::setters! {
            /// How slowly the mean of gradients forgets, from 0 to below 1. Default: 0.9.
            moments.beta_1 = beta_1: f64;
            /// How slowly the mean of squared gradients forgets, from 0 to below 1. Default: 0.999.
            moments.beta_2 = beta_2: f64;
            #[doc = concat!("Keeps the divisor above 0. Default: ", $epsilon, ".")]
            moments.epsilon = epsilon: f64;
        }
    };
}
pub(super) use moments_setters;

/// `1 - base^step` for a base below 1, without the cancellation that makes the difference of two f32 near 1 wrong in its fifth digit: the
/// first steps of Adam are made of it, and `pow` is the least exact function of a GPU.
pub(super) fn one_minus_power(base: f64, step: &Expr) -> Expr {
    // A base of 0 would have the logarithm -∞; exp(-100) is as good as 0.
    let x = step * base.ln().max(-100.0);
    // Taylor's series of exp(x) - 1 as far as an f32 can tell, for x in -0.5..0.
    let near = x.max(&x.number(-0.5));
    let series = (2..=8).rev().fold(x.number(1.0), |sum, k| sum * &near * (1.0 / f64::from(k)) + 1.0);
    x.gt(&x.number(-0.5)).select(&-(near * series), &(1.0 - x.max(&x.number(-100.0)).exp()))
}
