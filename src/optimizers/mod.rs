//! Optimizers. Each is its formula, an [`UpdateRule`]; what they share — iteration count, learning rate, slots, weight decay, clipping,
//! averages, accumulation, and the order of all that — is behind [`Optimizer`], which every rule is.

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod clip;
mod ftrl;
mod lamb;
mod learning_rate;
mod lion;
mod loss_scale;
mod missing;
mod moments;
mod multi;
mod muon;
mod nadam;
mod options;
mod rmsprop;
mod rule;
mod schedule_free;
pub mod schedules;
mod sgd;
mod state;
mod step;

pub use adadelta::Adadelta;
pub use adafactor::Adafactor;
pub use adagrad::Adagrad;
pub use adam::{Adam, AdamW};
pub use adamax::Adamax;
pub use ftrl::Ftrl;
pub use lamb::Lamb;
pub use learning_rate::LearningRate;
pub use lion::Lion;
pub use loss_scale::LossScaleOptimizer;
pub use missing::pair_gradients;
pub use multi::MultiOptimizer;
pub use muon::Muon;
pub use nadam::Nadam;
pub use options::Argument;
pub use rmsprop::RMSprop;
pub use rule::{Elements, Now, Slot, Update, UpdateRule};
pub use schedule_free::ScheduleFreeAdamW;
pub use sgd::SGD;
pub use state::OptimizerState;

use crate::error::Result;
use crate::suggest;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// Changes variables by gradients. Every [`UpdateRule`] is one; a type implements this trait by itself only if it hands its work to others.
///
/// Iteration count and learning rate are device variables, so a replayed step sees their present values. One step is, in this order: gradients
/// are divided by the loss scale, accumulated, clipped; weights decay; they are updated; averages follow; constraints hold; the step is counted.
pub trait Optimizer: Send + Sync {
    /// Keras's name: `adam`.
    fn name(&self) -> &'static str;

    /// Makes the slots of variables that have none yet. [`Optimizer::apply_gradients`] does so by itself, but inside a
    /// [`Function`](crate::Function) no variable can be made.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for an option outside its range; [`Error::Trace`](crate::Error::Trace) inside a traced function; [`Error::OutOfMemory`](crate::Error::OutOfMemory).
    fn build(&mut self, variables: &[Variable]) -> Result<()>;

    /// Changes every variable by its gradient, and counts the step. With `ok`, a tensor without axes, nothing changes where it is 0.
    ///
    /// # Errors
    /// [`Error::NotReady`](crate::Error::NotReady) for a variable that the optimizer was not built for; [`Error::Gradient`](crate::Error::Gradient) if there are none; [`Error::Shape`](crate::Error::Shape).
    fn apply(&self, gradients: &[(Tensor, Variable)], ok: Option<&Tensor>) -> Result<()>;

    /// [`Optimizer::build`] and [`Optimizer::apply`]: for training loops of one's own. [`pair_gradients`] makes the pairs.
    ///
    /// # Errors
    /// As both.
    fn apply_gradients(&mut self, gradients: &[(Tensor, Variable)]) -> Result<()> {
        let variables: Vec<Variable> = gradients.iter().map(|(_, variable)| variable.clone()).collect();
        if !variables.is_empty() {
            self.build(&variables)?;
        }
        self.apply(gradients, None)
    }

    /// Sets the learning rate, also between replays of a function.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if it is below 0 or not finite, or if a schedule sets the rate.
    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()>;

    /// The learning rate of the next step; waits for the device if the optimizer is built.
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    fn learning_rate(&self) -> Result<f64>;

    /// The number of steps taken; waits for the device if the optimizer is built. Gradients that were only accumulated are not steps.
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    fn iterations(&self) -> Result<u32>;

    /// Iteration count, learning rate (unless a schedule sets it), and what is kept for each variable; empty before [`Optimizer::build`].
    fn variables(&self) -> Vec<Variable>;

    /// The loss to take gradients of: times the loss scale, if there is one.
    ///
    /// # Errors
    /// None for a tensor that is valid.
    fn scale_loss(&self, loss: &Tensor) -> Result<Tensor>;

    /// Sets or removes the fixed loss scale. What wraps an optimizer does so: gradients are divided by the scale once.
    fn set_loss_scale_factor(&mut self, factor: Option<f64>);

    /// Ends a training: weights that are averaged (`use_ema`) take the values of their averages.
    ///
    /// # Errors
    /// [`Error::NotReady`](crate::Error::NotReady) for a variable that the optimizer was not built for.
    fn finalize_variable_values(&self, variables: &[Variable]) -> Result<()>;

    /// Weights that are averaged (`use_ema`) and their averages change places: before an evaluation, and again after it.
    ///
    /// # Errors
    /// As [`Optimizer::finalize_variable_values`].
    fn swap_averages(&self, variables: &[Variable]) -> Result<()>;
}

/// The optimizer of a Keras name, with its defaults: `"adam"`, `"sgd"`, …
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) with the nearest name.
pub fn from_name(name: &str) -> Result<Box<dyn Optimizer>> {
    type Make = fn() -> Box<dyn Optimizer>;
    let known: [(&str, Make); 14] = [
        ("adadelta", || Box::new(Adadelta::default())),
        ("adafactor", || Box::new(Adafactor::default())),
        ("adagrad", || Box::new(Adagrad::default())),
        ("adam", || Box::new(Adam::default())),
        ("adamax", || Box::new(Adamax::default())),
        ("adamw", || Box::new(AdamW::default())),
        ("ftrl", || Box::new(Ftrl::default())),
        ("lamb", || Box::new(Lamb::default())),
        ("lion", || Box::new(Lion::default())),
        ("muon", || Box::new(Muon::default())),
        ("nadam", || Box::new(Nadam::default())),
        ("rmsprop", || Box::new(RMSprop::default())),
        ("schedulefreeadamw", || Box::new(ScheduleFreeAdamW::default())),
        ("sgd", || Box::new(SGD::default())),
    ];
    Ok(suggest::find("optimizer", name, &known)?())
}

/// The methods of an optimizer that hands all of them to another one, which `$inner` finds.
macro_rules! delegate_optimizer {
    ($self:ident => $inner:expr; $($method:ident),*) => { $(delegate_optimizer!(@ $method, $self, $inner);)* };
    (@ name, $self:ident, $inner:expr) => { fn name(&$self) -> &'static str { ($inner).name() } };
    (@ build, $self:ident, $inner:expr) => {
        fn build(&mut $self, variables: &[Variable]) -> Result<()> { ($inner).build(variables) }
    };
    (@ apply, $self:ident, $inner:expr) => {
        fn apply(&$self, gradients: &[(Tensor, Variable)], ok: Option<&Tensor>) -> Result<()> { ($inner).apply(gradients, ok) }
    };
    (@ learning_rate, $self:ident, $inner:expr) => {
        fn set_learning_rate(&mut $self, learning_rate: f64) -> Result<()> { ($inner).set_learning_rate(learning_rate) }
        #[cfg(not(target_arch = "wasm32"))]
        fn learning_rate(&$self) -> Result<f64> { ($inner).learning_rate() }
    };
    (@ iterations, $self:ident, $inner:expr) => {
        #[cfg(not(target_arch = "wasm32"))]
        fn iterations(&$self) -> Result<u32> { ($inner).iterations() }
    };
    (@ variables, $self:ident, $inner:expr) => { fn variables(&$self) -> Vec<Variable> { ($inner).variables() } };
    (@ loss_scale, $self:ident, $inner:expr) => {
        fn scale_loss(&$self, loss: &Tensor) -> Result<Tensor> { ($inner).scale_loss(loss) }
        fn set_loss_scale_factor(&mut $self, factor: Option<f64>) { ($inner).set_loss_scale_factor(factor) }
    };
    (@ averages, $self:ident, $inner:expr) => {
        fn finalize_variable_values(&$self, variables: &[Variable]) -> Result<()> { ($inner).finalize_variable_values(variables) }
        fn swap_averages(&$self, variables: &[Variable]) -> Result<()> { ($inner).swap_averages(variables) }
    };
}
use delegate_optimizer;

impl Optimizer for Box<dyn Optimizer> {
    delegate_optimizer!(self => **self; name, build, apply, learning_rate, iterations, variables, loss_scale, averages);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["adam", "AdamW", "RMSprop", "sgd", "lamb", "Muon", "ScheduleFreeAdamW", "ftrl", "adafactor"] {
            assert_eq!(from_name(name).expect("known").name(), name.to_lowercase());
        }
        let text = from_name("adma").err().expect("a slip").to_string();
        assert!(text.contains("did you mean \"adam"), "{text}");
    }
}
