//! Adam and AdamW.

use super::learning_rate::LearningRate;
use super::moments::{Moments, moments_setters};
use super::options::{Argument, optimizer_options, optimizer_state, setters};
use super::rule::{Now, Slot, Update, UpdateRule};
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::variable::Variable;

/// Kingma and Ba 2015, in the form of their section 2 with Keras's ε outside the bias correction:
/// `m += (g - m)(1 - β₁); v += (g² - v)(1 - β₂); w -= rate · √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)`, where `t` counts steps from 1. With amsgrad,
/// the largest `v` so far is used. Defaults: learning rate 0.001, β₁ 0.9, β₂ 0.999, ε 1e-7, no amsgrad.
pub struct Adam {
    moments: Moments,
    amsgrad: bool,
    state: OptimizerState,
}

/// [`Adam`] with weight decay apart from the gradient (Loshchilov and Hutter 2019). Defaults: Adam's, and weight decay 0.004.
pub struct AdamW {
    moments: Moments,
    amsgrad: bool,
    state: OptimizerState,
}

macro_rules! adam {
    ($type:ident, $keras:literal, $decay:expr) => {
        impl $type {
            /// The defaults, with this learning rate.
            pub fn new(learning_rate: impl Into<LearningRate>) -> $type {
                let mut state = OptimizerState::new(learning_rate);
                state.options.weight_decay = $decay;
                $type { moments: Moments::DEFAULT, amsgrad: false, state }
            }

            moments_setters!("1e-7");
            setters! {
                /// Whether the divisor never shrinks (Reddi et al. 2018). Default: no.
                amsgrad = amsgrad: bool;
            }
        }

        optimizer_options!($type, 0.001);

        impl UpdateRule for $type {
            optimizer_state!($keras);

            fn arguments(&self) -> Vec<Argument> {
                self.moments.arguments()
            }

            fn slots(&self, _: &Variable) -> Vec<Slot> {
                let names = ["momentum", "velocity", "velocity_hat"];
                names[..if self.amsgrad { 3 } else { 2 }].iter().map(|name| Slot::zeros(name)).collect()
            }

            fn scalars(&self, now: &Now) -> Vec<Expr> {
                vec![self.moments.adam_size(now)]
            }

            fn update(&self, update: &Update) -> Result<()> {
                update.fused(|e| self.moments.adam(&e.scalars[0], e))
            }
        }
    };
}

adam!(Adam, "adam", None);
adam!(AdamW, "adamw", Some(0.004));
