//! What all optimizers share.

use super::Optimizer;
use crate::error::{Error, Result};
use crate::ops::pointwise::{Expr, map};
use crate::shape::DType;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// Iteration count, learning rate and slots of an optimizer.
pub struct OptimizerState {
    /// The learning rate until it becomes a variable.
    rate: f64,
    pub(super) weight_decay: Option<f64>,
    built: Option<Built>,
}

struct Built {
    iterations: Variable,
    learning_rate: Variable,
    slots: Vec<(u64, Vec<Variable>)>,
}

impl OptimizerState {
    /// The state of an optimizer that has made no step.
    pub fn new(learning_rate: f64) -> OptimizerState {
        OptimizerState { rate: learning_rate, weight_decay: None, built: None }
    }

    pub(super) fn build(&mut self, name: &str, slots: &[&str], variables: &[Variable]) -> Result<()> {
        let Some(first) = variables.first() else {
            return Err(Error::Gradient(format!("{name}: there is no variable to train")));
        };
        check(name, "learning_rate", self.rate)?;
        check(name, "weight_decay", self.weight_decay.unwrap_or(0.0))?;
        let mut built = match self.built.take() {
            Some(built) => built,
            None => Built {
                iterations: Variable::new(format!("{name}/iteration"), &Tensor::scalar(first.device(), 0u32)?)?.untrainable(),
                learning_rate: Variable::new(format!("{name}/learning_rate"), &Tensor::scalar(first.device(), self.rate as f32)?)?
                    .untrainable(),
                slots: Vec::new(),
            },
        };
        let made = variables.iter().filter(|v| built.slots_of(v).is_none()).map(|v| Ok((v.id(), new_slots(name, slots, v)?)));
        let made = made.collect::<Result<Vec<_>>>();
        // What was built before stays, whether or not the new slots could be made.
        let result = made.map(|made| built.slots.extend(made));
        self.built = Some(built);
        result
    }

    pub(super) fn is_built_for(&self, variables: &[Variable]) -> bool {
        self.built.as_ref().is_some_and(|built| variables.iter().all(|v| built.slots_of(v).is_some()))
    }

    pub(super) fn set_learning_rate(&mut self, name: &str, learning_rate: f64) -> Result<()> {
        check(name, "learning_rate", learning_rate)?;
        self.rate = learning_rate;
        match &self.built {
            Some(built) => built.learning_rate.assign(&Tensor::scalar(built.learning_rate.device(), learning_rate as f32)?),
            None => Ok(()),
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn learning_rate(&self) -> Result<f64> {
        self.built.as_ref().map_or(Ok(self.rate), |built| built.learning_rate.value()?.item())
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn iterations(&self) -> Result<u32> {
        self.built.as_ref().map_or(Ok(0), |built| Ok(built.iterations.value()?.item()? as u32))
    }

    pub(super) fn variables(&self) -> Vec<Variable> {
        let Some(built) = &self.built else { return Vec::new() };
        let slots = built.slots.iter().flat_map(|(_, slots)| slots.iter().cloned());
        [built.iterations.clone(), built.learning_rate.clone()].into_iter().chain(slots).collect()
    }
}

impl Built {
    fn slots_of(&self, variable: &Variable) -> Option<&[Variable]> {
        self.slots.iter().find(|(id, _)| *id == variable.id()).map(|(_, slots)| slots.as_slice())
    }

    /// The tensors without axes of one step: the step size, or -1 where `ok` is 0 and nothing may change, and what weight decay takes away.
    ///
    /// No learning rate is below 0, so the sign is free to carry `ok`: the update of a variable then reads one tensor less, and the largest
    /// of them (Adam's) keeps within the eight buffers that every adapter binds.
    fn scalars<O: Optimizer + ?Sized>(&self, optimizer: &O, ok: Option<&Tensor>) -> Result<(Tensor, Option<Tensor>)> {
        let (rate, count) = (self.learning_rate.value()?, self.iterations.value()?);
        let weight_decay = optimizer.state().weight_decay;
        let inputs: Vec<&Tensor> = [&rate, &count].into_iter().chain(ok).collect();
        let outputs = map(&inputs, |e| {
            let step = &e[1] + 1.0;
            let size = optimizer.step_size(&e[0], &step.cast(DType::F32));
            let (size, count) = match e.get(2) {
                Some(ok) => {
                    let go = ok.gt(&ok.number(0.0));
                    (go.select(&size, &size.number(-1.0)), go.select(&step, &e[1]))
                }
                None => (size, step),
            };
            [size, count].into_iter().chain(weight_decay.map(|decay| &e[0] * decay)).collect()
        })?;
        let mut outputs = outputs.into_iter();
        let (Some(size), Some(count)) = (outputs.next(), outputs.next()) else { unreachable!("the closure returns both") };
        self.iterations.assign(&count)?;
        Ok((size, outputs.next()))
    }
}

fn check(name: &str, what: &str, value: f64) -> Result<()> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(Error::argument(format!("{name}: {what}"), "a number of at least 0", value))
}

fn new_slots(name: &str, slots: &[&str], variable: &Variable) -> Result<Vec<Variable>> {
    let make = |slot: &&str| {
        let zeros = Tensor::new(variable.device(), variable.shape(), &vec![0.0f32; variable.shape().elements()])?;
        Ok(Variable::new(format!("{name}/{}/{slot}", variable.name()), &zeros)?.untrainable())
    };
    slots.iter().map(make).collect()
}

/// The body of [`Optimizer::apply`]: one fused operation per variable.
pub(super) fn apply<O: Optimizer + ?Sized>(optimizer: &O, gradients: &[(Tensor, Variable)], ok: Option<&Tensor>) -> Result<()> {
    let name = optimizer.name();
    if gradients.is_empty() {
        return Err(Error::Gradient(format!("{name}: no gradients provided for any variable")));
    }
    let built = optimizer.state().built.as_ref();
    let built = built.ok_or_else(|| Error::NotReady(format!("{name}: call `build` with the variables before `apply`")))?;
    let (size, decay) = built.scalars(optimizer, ok)?;
    for (gradient, variable) in gradients {
        let slots = built.slots_of(variable).ok_or_else(|| unknown(name, variable))?;
        if gradient.shape() != variable.shape() {
            let op = format!("{name}: gradient of {}", variable.name());
            return Err(Error::shape(op, variable.shape().to_string(), gradient.shape()));
        }
        let mut inputs = vec![variable.value()?, gradient.clone(), size.clone()];
        inputs.extend(decay.clone());
        for slot in slots {
            inputs.push(slot.value()?);
        }
        let first_slot = inputs.len() - slots.len();
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let updated = map(&inputs, |e| {
            let decayed = if decay.is_some() { &e[0] - &e[0] * &e[3] } else { e[0].clone() };
            let (weight, moved) = optimizer.update(&e[2], &decayed, &e[1], &e[first_slot..]);
            assert_eq!(moved.len(), slots.len(), "{name}: update returns every slot");
            let new = std::iter::once(weight).chain(moved);
            match ok {
                Some(_) => {
                    let go = e[2].ge(&e[2].number(0.0));
                    let old = std::iter::once(&e[0]).chain(&e[first_slot..]);
                    new.zip(old).map(|(new, old)| go.select(&new, old)).collect()
                }
                None => new.collect(),
            }
        })?;
        for (target, value) in std::iter::once(variable).chain(slots).zip(&updated) {
            target.assign(value)?;
        }
    }
    Ok(())
}

fn unknown(name: &str, variable: &Variable) -> Error {
    Error::NotReady(format!(
        "{name}: unknown variable {}; the optimizer was built for other variables: call `build` with it, or make a new optimizer",
        variable.name()
    ))
}

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
