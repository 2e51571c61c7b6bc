//! Adam and AdamW.

use super::common::one_minus_power;
use super::{Optimizer, OptimizerState, optimizer_options, optimizer_state};
use crate::ops::pointwise::Expr;

/// Kingma and Ba 2015, in the form of their section 2 with Keras's ε outside the bias correction:
/// `m += (g - m)(1 - β₁); v += (g² - v)(1 - β₂); w -= rate · √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)`, where `t` counts steps from 1. With amsgrad,
/// the largest `v` so far is used. Defaults: learning rate 0.001, β₁ 0.9, β₂ 0.999, ε 1e-7, no amsgrad.
pub struct Adam {
    moments: Moments,
    state: OptimizerState,
}

/// [`Adam`] with weight decay apart from the gradient (Loshchilov and Hutter 2019). Defaults: Adam's, and weight decay 0.004.
pub struct AdamW {
    moments: Moments,
    state: OptimizerState,
}

struct Moments {
    beta_1: f64,
    beta_2: f64,
    epsilon: f64,
    amsgrad: bool,
}

impl Moments {
    const DEFAULT: Moments = Moments { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, amsgrad: false };

    fn slots(&self) -> Vec<&'static str> {
        let mut slots = vec!["momentum", "velocity"];
        slots.extend(self.amsgrad.then_some("velocity_hat"));
        slots
    }

    fn step_size(&self, rate: &Expr, step: &Expr) -> Expr {
        rate * one_minus_power(self.beta_2, step).sqrt() / one_minus_power(self.beta_1, step)
    }

    fn update(&self, size: &Expr, weight: &Expr, gradient: &Expr, slots: &[Expr]) -> (Expr, Vec<Expr>) {
        let momentum = &slots[0] + (gradient - &slots[0]) * (1.0 - self.beta_1);
        let velocity = &slots[1] + (gradient.square() - &slots[1]) * (1.0 - self.beta_2);
        let largest = self.amsgrad.then(|| slots[2].max(&velocity));
        let root = largest.as_ref().unwrap_or(&velocity).sqrt();
        let moved = weight - size * &momentum / (root + self.epsilon);
        (moved, [momentum, velocity].into_iter().chain(largest).collect())
    }
}

macro_rules! adam {
    ($name:ident, $keras:literal, $decay:expr) => {
        impl Default for $name {
            fn default() -> $name {
                $name::new(0.001)
            }
        }

        impl $name {
            /// The defaults, with this learning rate.
            pub fn new(learning_rate: f64) -> $name {
                let mut state = OptimizerState::new(learning_rate);
                state.weight_decay = $decay;
                $name { moments: Moments::DEFAULT, state }
            }

            /// How slowly the mean of gradients forgets, from 0 to below 1. Default: 0.9.
            #[must_use]
            pub fn beta_1(mut self, beta_1: f64) -> $name {
                self.moments.beta_1 = beta_1;
                self
            }

            /// How slowly the mean of squared gradients forgets, from 0 to below 1. Default: 0.999.
            #[must_use]
            pub fn beta_2(mut self, beta_2: f64) -> $name {
                self.moments.beta_2 = beta_2;
                self
            }

            /// Keeps the divisor above 0. Default: 1e-7.
            #[must_use]
            pub fn epsilon(mut self, epsilon: f64) -> $name {
                self.moments.epsilon = epsilon;
                self
            }

            /// Whether the divisor never shrinks (Reddi et al. 2018). Default: no.
            #[must_use]
            pub fn amsgrad(mut self, amsgrad: bool) -> $name {
                self.moments.amsgrad = amsgrad;
                self
            }

            optimizer_options!();
        }

        impl Optimizer for $name {
            fn name(&self) -> &'static str {
                $keras
            }

            optimizer_state!();

            fn slots(&self) -> Vec<&'static str> {
                self.moments.slots()
            }

            fn step_size(&self, rate: &Expr, step: &Expr) -> Expr {
                self.moments.step_size(rate, step)
            }

            fn update(&self, size: &Expr, weight: &Expr, gradient: &Expr, slots: &[Expr]) -> (Expr, Vec<Expr>) {
                self.moments.update(size, weight, gradient, slots)
            }
        }
    };
}

adam!(Adam, "adam", None);
adam!(AdamW, "adamw", Some(0.004));
