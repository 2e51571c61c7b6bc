//! Optimizers. Each is its formula; what they share — iteration count, learning rate, slots, weight decay, one fused update per variable —
//! is in [`OptimizerState`] and the provided methods of [`Optimizer`].

mod adam;
mod common;
mod rmsprop;
mod sgd;

pub use adam::{Adam, AdamW};
pub use common::OptimizerState;
pub use rmsprop::RMSprop;
pub use sgd::SGD;

use crate::error::Result;
use crate::ops::pointwise::Expr;
use crate::suggest;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// A rule by which gradients change variables.
///
/// Iteration count and learning rate are device variables, so a replayed step sees their present values.
pub trait Optimizer: Send + Sync {
    /// Keras's name: `adam`.
    fn name(&self) -> &'static str;

    /// What is kept between steps.
    fn state(&self) -> &OptimizerState;

    /// What is kept between steps.
    fn state_mut(&mut self) -> &mut OptimizerState;

    /// The names of the values kept for every variable, each of its shape and 0 at first: `["momentum", "velocity"]`.
    fn slots(&self) -> Vec<&'static str>;

    /// The step size from the learning rate and the number of this step, which starts at 1. Default: the learning rate.
    fn step_size(&self, learning_rate: &Expr, _step: &Expr) -> Expr {
        learning_rate.clone()
    }

    /// The new weight and the new slots of one element.
    fn update(&self, step_size: &Expr, weight: &Expr, gradient: &Expr, slots: &[Expr]) -> (Expr, Vec<Expr>);

    /// Makes the slots of variables that have none yet. [`Optimizer::apply_gradients`] does so by itself, but inside a
    /// [`Function`](crate::Function) no variable can be made.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for a learning rate or weight decay below 0; [`Error::Trace`](crate::Error::Trace) inside a traced function; [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    fn build(&mut self, variables: &[Variable]) -> Result<()> {
        let (name, slots) = (self.name(), self.slots());
        self.state_mut().build(name, &slots, variables)
    }

    /// Changes every variable by its gradient, and counts the step. With `ok`, a tensor without axes, nothing changes where it is 0.
    ///
    /// # Errors
    /// [`Error::NotReady`](crate::Error::NotReady) for a variable that the optimizer was not built for; [`Error::Gradient`](crate::Error::Gradient) if there are none; [`Error::Shape`](crate::Error::Shape).
    fn apply(&self, gradients: &[(Tensor, Variable)], ok: Option<&Tensor>) -> Result<()> {
        common::apply(self, gradients, ok)
    }

    /// [`Optimizer::build`] and [`Optimizer::apply`]: for training loops of one's own.
    ///
    /// # Errors
    /// As both.
    fn apply_gradients(&mut self, gradients: &[(Tensor, Variable)]) -> Result<()> {
        let variables: Vec<Variable> = gradients.iter().map(|(_, variable)| variable.clone()).collect();
        if !self.state().is_built_for(&variables) {
            self.build(&variables)?;
        }
        self.apply(gradients, None)
    }

    /// Sets the learning rate, also between replays of a function.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if it is below 0 or not finite.
    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        let name = self.name();
        self.state_mut().set_learning_rate(name, learning_rate)
    }

    /// The learning rate; waits for the device if the optimizer is built.
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    fn learning_rate(&self) -> Result<f64> {
        self.state().learning_rate()
    }

    /// The number of steps taken; waits for the device if the optimizer is built.
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    fn iterations(&self) -> Result<u32> {
        self.state().iterations()
    }

    /// Iteration count, learning rate, and the slots of each variable; empty before [`Optimizer::build`].
    fn variables(&self) -> Vec<Variable> {
        self.state().variables()
    }
}

/// The optimizer of a Keras name, with its defaults: `"adam"`, `"sgd"`, …
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) with the nearest name.
pub fn from_name(name: &str) -> Result<Box<dyn Optimizer>> {
    type Make = fn() -> Box<dyn Optimizer>;
    let known: [(&str, Make); 4] = [
        ("adam", || Box::new(Adam::default())),
        ("adamw", || Box::new(AdamW::default())),
        ("rmsprop", || Box::new(RMSprop::default())),
        ("sgd", || Box::new(SGD::default())),
    ];
    Ok(suggest::find("optimizer", name, &known)?())
}

impl<O: Optimizer + ?Sized> Optimizer for Box<O> {
    fn name(&self) -> &'static str {
        (**self).name()
    }
    fn state(&self) -> &OptimizerState {
        (**self).state()
    }
    fn state_mut(&mut self) -> &mut OptimizerState {
        (**self).state_mut()
    }
    fn slots(&self) -> Vec<&'static str> {
        (**self).slots()
    }
    fn step_size(&self, learning_rate: &Expr, step: &Expr) -> Expr {
        (**self).step_size(learning_rate, step)
    }
    fn update(&self, step_size: &Expr, weight: &Expr, gradient: &Expr, slots: &[Expr]) -> (Expr, Vec<Expr>) {
        (**self).update(step_size, weight, gradient, slots)
    }
}

/// The methods that every optimizer with a `state: OptimizerState` writes the same way, and the options that all have.
macro_rules! optimizer_options {
    () => {
        /// Moves every weight towards 0 by this part of the learning rate in each step, before the update and apart from it. Default: none.
        #[must_use]
        pub fn weight_decay(mut self, weight_decay: f64) -> Self {
            self.state.weight_decay = Some(weight_decay);
            self
        }
    };
}
use optimizer_options;

macro_rules! optimizer_state {
    () => {
        fn state(&self) -> &crate::optimizers::OptimizerState {
            &self.state
        }

        fn state_mut(&mut self) -> &mut crate::optimizers::OptimizerState {
            &mut self.state
        }
    };
}
use optimizer_state;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["adam", "AdamW", "RMSprop", "sgd"] {
            assert_eq!(from_name(name).expect("known").name(), name.to_lowercase());
        }
        let text = from_name("adma").err().expect("a slip").to_string();
        assert!(text.contains("did you mean \"adam"), "{text}");
    }
}
