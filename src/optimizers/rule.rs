//! What one optimizer is: its formula.

use super::options::Argument;
use super::state::OptimizerState;
use crate::error::Result;
use crate::ops::pointwise::{Expr, map, map1};
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// The formula of an optimizer. Whatever implements it is an [`Optimizer`](super::Optimizer), with all options that its state holds.
///
/// ```
/// use gradus::optimizers::{Optimizer, OptimizerState, Slot, Update, UpdateRule};
/// use gradus::{Device, Result, Tensor, Variable};
///
/// /// Moves every weight by the rate against the sign of its gradient.
/// struct Signs(OptimizerState);
///
/// impl UpdateRule for Signs {
///     fn keras_name(&self) -> &'static str {
///         "signs"
///     }
///     fn state(&self) -> &OptimizerState {
///         &self.0
///     }
///     fn state_mut(&mut self) -> &mut OptimizerState {
///         &mut self.0
///     }
///     fn slots(&self, _: &Variable) -> Vec<Slot> {
///         Vec::new()
///     }
///     fn update(&self, update: &Update) -> Result<()> {
///         update.fused(|e| (&e.weight - &e.scalars[0] * e.gradient.sign(), Vec::new()))
///     }
/// }
///
/// let w = Variable::new("w", &Tensor::new(&Device::cpu(), [2], &[1.0f32, 2.0])?)?;
/// let gradient = Tensor::new(&Device::cpu(), [2], &[0.3f32, -7.0])?;
/// Signs(OptimizerState::new(0.5)).apply_gradients(&[(gradient, w.clone())])?;
/// assert_eq!(w.value()?.to_vec::<f32>()?, [0.5, 2.5]);
/// # Ok::<(), gradus::Error>(())
/// ```
pub trait UpdateRule: Send + Sync {
    /// Keras's name: `adam`.
    fn keras_name(&self) -> &'static str;

    /// What is kept between steps, and the options.
    fn state(&self) -> &OptimizerState;

    /// What is kept between steps, and the options.
    fn state_mut(&mut self) -> &mut OptimizerState;

    /// The arguments whose range is checked when the optimizer is built. Default: none.
    fn arguments(&self) -> Vec<Argument> {
        Vec::new()
    }

    /// What is kept for a variable.
    fn slots(&self, variable: &Variable) -> Vec<Slot>;

    /// Numbers that are kept for all variables together, each with its first value. Default: none.
    fn kept(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// The new values of [`UpdateRule::kept`]. Default: none.
    fn keep(&self, _now: &Now) -> Vec<Expr> {
        Vec::new()
    }

    /// The numbers that the updates of all variables need, computed once in a step. The first is at least 0, and above 0 where anything is to
    /// change: the largest update of Keras's just fits the eight buffers that every adapter binds, so a sign has to carry "nothing may change".
    /// Default: the learning rate.
    fn scalars(&self, now: &Now) -> Vec<Expr> {
        vec![now.rate.clone()]
    }

    /// The part of the learning rate that a variable loses in each step. Default: the option `weight_decay`.
    fn weight_decay_of(&self, _variable: &Variable) -> Option<f64> {
        self.state().options.weight_decay
    }

    /// Gives one variable and its slots their new values, by [`Update::fused`] or [`Update::assign`].
    ///
    /// # Errors
    /// What the operations report.
    fn update(&self, update: &Update) -> Result<()>;
}

/// A tensor that is kept for a variable between steps.
pub struct Slot {
    pub(super) name: &'static str,
    pub(super) start: Start,
}

pub(super) enum Start {
    /// A number everywhere, in the variable's shape or this one.
    Filled(f64, Option<Shape>),
    /// The variable's own value.
    Weight,
}

impl Slot {
    /// Of the variable's shape, 0 at first.
    pub fn zeros(name: &'static str) -> Slot {
        Slot::filled(name, 0.0)
    }

    /// Of the variable's shape, this number at first.
    pub fn filled(name: &'static str, value: f64) -> Slot {
        Slot { name, start: Start::Filled(value, None) }
    }

    /// Of another shape, 0 at first.
    pub fn shaped(name: &'static str, shape: impl Into<Shape>) -> Slot {
        Slot { name, start: Start::Filled(0.0, Some(shape.into())) }
    }

    /// The variable's value at first.
    pub fn weight(name: &'static str) -> Slot {
        Slot { name, start: Start::Weight }
    }
}

/// What the numbers of one step are made of, each without axes.
pub struct Now {
    /// The learning rate.
    pub rate: Expr,
    /// The number of this step as a float; it starts at 1.
    pub step: Expr,
    /// The present values of [`UpdateRule::kept`].
    pub kept: Vec<Expr>,
}

/// One element of everything that a pointwise update reads.
pub struct Elements {
    /// The weight, after weight decay.
    pub weight: Expr,
    /// Its gradient, after clipping.
    pub gradient: Expr,
    /// In the order of [`UpdateRule::slots`].
    pub slots: Vec<Expr>,
    /// In the order of [`UpdateRule::scalars`].
    pub scalars: Vec<Expr>,
}

/// Inputs of one pointwise operation, if its outputs may need memory of their own: an adapter binds eight buffers.
const MOST_INPUTS: usize = 7;

/// One variable in one step.
pub struct Update<'a> {
    pub(super) variable: &'a Variable,
    pub(super) gradient: &'a Tensor,
    pub(super) slots: &'a [Variable],
    pub(super) scalars: &'a [Tensor],
    /// The learning rate, or 0 where nothing may change; and the variable's weight decay.
    pub(super) decay: Option<(&'a Tensor, f64)>,
    /// Whether the sign of the first scalar may say that nothing changes.
    pub(super) guarded: bool,
}

impl Update<'_> {
    /// The variable.
    pub fn variable(&self) -> &Variable {
        self.variable
    }

    /// Its gradient, after clipping.
    pub fn gradient(&self) -> &Tensor {
        self.gradient
    }

    /// Its value, after weight decay.
    ///
    /// # Errors
    /// None outside a traced function.
    pub fn weight(&self) -> Result<Tensor> {
        let weight = self.variable.value()?;
        match self.decay {
            Some((rate, decay)) => map1(&[&weight, rate], |e| decayed(&e[0], &e[1], decay)),
            None => Ok(weight),
        }
    }

    /// The value of the slot of this number, in the order of [`UpdateRule::slots`].
    ///
    /// # Errors
    /// None outside a traced function.
    pub fn slot(&self, i: usize) -> Result<Tensor> {
        self.slots[i].value()
    }

    /// The number of this place in [`UpdateRule::scalars`].
    pub fn scalar(&self, i: usize) -> &Tensor {
        &self.scalars[i]
    }

    /// Updates weight and slots element by element, in one pass over memory. The slots have the variable's shape.
    ///
    /// # Errors
    /// [`Error::DType`](crate::Error::DType) if the closure mixes types.
    pub fn fused(&self, f: impl FnOnce(&Elements) -> (Expr, Vec<Expr>)) -> Result<()> {
        let slots = self.slots.iter().map(Variable::value).collect::<Result<Vec<_>>>()?;
        let (first_slot, first_scalar) = (2, 2 + slots.len());
        let after = first_scalar + self.scalars.len();
        let inside = self.decay.filter(|_| after < MOST_INPUTS);
        let weight = if inside.is_some() { self.variable.value()? } else { self.weight()? };
        let mut inputs = vec![&weight, self.gradient];
        inputs.extend(slots.iter().chain(self.scalars));
        inputs.extend(inside.map(|(rate, _)| rate));
        let updated = map(&inputs, |e| {
            let weight = inside.map_or_else(|| e[0].clone(), |(_, decay)| decayed(&e[0], &e[after], decay));
            let (slots, scalars) = (e[first_slot..first_scalar].to_vec(), e[first_scalar..after].to_vec());
            let elements = Elements { weight, gradient: e[1].clone(), slots, scalars };
            let (weight, moved) = f(&elements);
            assert_eq!(moved.len(), self.slots.len(), "an update returns every slot");
            let new = std::iter::once(weight).chain(moved);
            if !self.guarded {
                return new.collect();
            }
            // Where nothing may change, nothing decayed either, so `e[0]` is the old weight in both cases.
            let go = e[first_scalar].ge(&e[first_scalar].number(0.0));
            let old = std::iter::once(&e[0]).chain(&e[first_slot..first_scalar]);
            new.zip(old).map(|(new, old)| go.select(&new, old)).collect()
        })?;
        std::iter::once(self.variable).chain(self.slots).zip(&updated).try_for_each(|(target, value)| target.assign(value))
    }

    /// Gives the variable and all its slots these values, unless nothing may change: for updates that are more than pointwise.
    ///
    /// # Errors
    /// As [`Variable::assign`].
    pub fn assign(&self, weight: &Tensor, slots: &[Tensor]) -> Result<()> {
        assert_eq!(slots.len(), self.slots.len(), "an update gives every slot");
        for (target, new) in std::iter::once(self.variable).chain(self.slots).zip(std::iter::once(weight).chain(slots)) {
            if self.guarded {
                let kept = map1(&[&self.scalars[0], new, &target.value()?], |e| e[0].ge(&e[0].number(0.0)).select(&e[1], &e[2]))?;
                target.assign(&kept)?;
            } else {
                target.assign(new)?;
            }
        }
        Ok(())
    }
}

/// Keras's order of the factors.
fn decayed(weight: &Expr, rate: &Expr, decay: f64) -> Expr {
    weight - weight * decay * rate
}
