//! The options that all optimizers have, and the check of arguments.

use crate::error::{Error, Result};
use std::fmt::Display;

/// Options as Keras's base class has them; the setters that `optimizer_options!` writes say what each does.
pub(super) struct Options {
    pub weight_decay: Option<f64>,
    pub excluded: Vec<String>,
    pub clipnorm: Option<f64>,
    pub clipvalue: Option<f64>,
    pub global_clipnorm: Option<f64>,
    pub use_ema: bool,
    pub ema_momentum: f64,
    pub ema_overwrite_frequency: Option<u32>,
    pub loss_scale_factor: Option<f64>,
    pub gradient_accumulation_steps: Option<u32>,
}

impl Options {
    pub const DEFAULT: Options = Options {
        weight_decay: None,
        excluded: Vec::new(),
        clipnorm: None,
        clipvalue: None,
        global_clipnorm: None,
        use_ema: false,
        ema_momentum: 0.99,
        ema_overwrite_frequency: None,
        loss_scale_factor: None,
        gradient_accumulation_steps: None,
    };

    pub fn check(&self, name: &str) -> Result<()> {
        let above = [
            ("clipnorm", self.clipnorm),
            ("clipvalue", self.clipvalue),
            ("global_clipnorm", self.global_clipnorm),
            ("loss_scale_factor", self.loss_scale_factor),
        ];
        let clips: Vec<&str> = above[..3].iter().filter(|(_, value)| value.is_some()).map(|(what, _)| *what).collect();
        if clips.len() > 1 {
            return Err(Error::argument(name, "only one of clipnorm, clipvalue and global_clipnorm", clips.join(" and ")));
        }
        above.iter().filter_map(|(what, value)| Some(Argument::above_0(what, (*value)?))).try_for_each(|argument| argument.check(name))?;
        Argument::at_least_0("weight_decay", self.weight_decay.unwrap_or(0.0)).check(name)?;
        Argument::part("ema_momentum", self.ema_momentum).check(name)?;
        if self.ema_overwrite_frequency == Some(0) {
            return Err(refused(name, "ema_overwrite_frequency", "at least 1", 0));
        }
        match self.gradient_accumulation_steps {
            Some(steps @ (0 | 1)) => Err(refused(name, "gradient_accumulation_steps", "at least 2", steps)),
            _ => Ok(()),
        }
    }
}

/// An argument of an optimizer and the range that it has to lie in.
pub struct Argument {
    name: &'static str,
    value: f64,
    want: &'static str,
    fine: bool,
}

impl Argument {
    /// A number of at least 0.
    pub fn at_least_0(name: &'static str, value: f64) -> Argument {
        Argument { name, value, want: "a number of at least 0", fine: value >= 0.0 && value.is_finite() }
    }

    /// A number above 0.
    pub fn above_0(name: &'static str, value: f64) -> Argument {
        Argument { name, value, want: "a number above 0", fine: value > 0.0 && value.is_finite() }
    }

    /// A number of at most 0.
    pub fn at_most_0(name: &'static str, value: f64) -> Argument {
        Argument { name, value, want: "a number of at most 0", fine: value <= 0.0 && value.is_finite() }
    }

    /// A number from 0 to 1.
    pub fn part(name: &'static str, value: f64) -> Argument {
        Argument { name, value, want: "a number from 0 to 1", fine: (0.0..=1.0).contains(&value) }
    }

    /// A number from 0 to below 1: how much of a running mean stays.
    pub fn beta(name: &'static str, value: f64) -> Argument {
        Argument { name, value, want: "a number from 0 to below 1", fine: (0.0..1.0).contains(&value) }
    }

    pub(super) fn check(&self, of: &str) -> Result<()> {
        if self.fine { Ok(()) } else { Err(refused(of, self.name, self.want, self.value)) }
    }
}

pub(super) fn refused(of: &str, what: &str, want: &str, got: impl Display) -> Error {
    Error::argument(format!("{of}: {what}"), want, got)
}

/// Builder methods that set one field each.
macro_rules! setters {
    ($($(#[$doc:meta])* $($part:ident).+ = $name:ident: $type:ty;)*) => { $(
        $(#[$doc])*
        #[must_use]
        pub fn $name(mut self, $name: $type) -> Self {
            self.$($part).+ = $name.into();
            self
        }
    )* };
}
pub(super) use setters;

/// What every optimizer with a `state: OptimizerState` has: its default, and the options of all optimizers.
macro_rules! optimizer_options {
    ($type:ty, $rate:literal) => {
        impl Default for $type {
            fn default() -> $type {
                <$type>::new($rate)
            }
        }

        impl $type {
            crate::optimizers::options::setters! {
                /// Moves every weight towards 0 by this part of the learning rate in each step, before the update and apart from it.
                state.options.weight_decay = weight_decay: f64;
                /// Multiplies the gradient of each variable so that its norm is at most this. Default: no clipping.
                /// Only one of the three ways to clip can be chosen.
                state.options.clipnorm = clipnorm: f64;
                /// Clips each element of every gradient to `-clipvalue..=clipvalue`. Default: no clipping.
                state.options.clipvalue = clipvalue: f64;
                /// Multiplies all gradients so that the norm of all of them together is at most this; if it is not finite, they
                /// become NaN. Default: no clipping.
                state.options.global_clipnorm = global_clipnorm: f64;
                /// Whether a running average of every weight is kept. At the end of a training the averages become the weights,
                /// see [`Optimizer::finalize_variable_values`](crate::optimizers::Optimizer::finalize_variable_values). Default: no.
                state.options.use_ema = use_ema: bool;
                /// How much of the average stays in each step, from 0 to 1; needs `use_ema`. Default: 0.99.
                state.options.ema_momentum = ema_momentum: f64;
                /// Every so many steps the averages become the weights; needs `use_ema`. Default: only at the end.
                state.options.ema_overwrite_frequency = ema_overwrite_frequency: u32;
                /// The loss is multiplied by this before gradients are taken
                /// ([`Optimizer::scale_loss`](crate::optimizers::Optimizer::scale_loss)), and gradients are divided by it. Default: 1.
                state.options.loss_scale_factor = loss_scale_factor: f64;
                /// Gradients of so many steps, at least 2, are averaged before they change anything. A schedule counts every one.
                /// Default: none are.
                state.options.gradient_accumulation_steps = gradient_accumulation_steps: u32;
            }

            /// Weights whose name contains one of these texts do not decay: `["bias", "gamma", "beta"]`. To be said before the optimizer
            /// is built. Default: all decay.
            #[must_use]
            pub fn exclude_from_weight_decay<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
                self.state.options.excluded = names.into_iter().map(Into::into).collect();
                self
            }
        }
    };
}
pub(super) use optimizer_options;

/// The methods that every rule with a `state: OptimizerState` writes the same way.
macro_rules! optimizer_state {
    ($name:literal) => {
        fn keras_name(&self) -> &'static str {
            $name
        }

        fn state(&self) -> &crate::optimizers::OptimizerState {
            &self.state
        }

        fn state_mut(&mut self) -> &mut crate::optimizers::OptimizerState {
            &mut self.state
        }
    };
}
pub(super) use optimizer_state;
