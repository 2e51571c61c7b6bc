//! What an optimizer keeps between steps.

use super::Optimizer;
use super::learning_rate::LearningRate;
use super::options::{Argument, Options, refused};
use super::rule::{Slot, Start, UpdateRule};
use super::step;
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// The options of an optimizer, its iteration count, its learning rate and what it keeps for each variable.
pub struct OptimizerState {
    /// A constant is the learning rate until it becomes a variable.
    pub(super) rate: LearningRate,
    pub(super) options: Options,
    pub(super) built: Option<Built>,
}

pub(super) struct Built {
    /// Calls of `apply` that were good, whether they changed weights or only accumulated gradients.
    pub iterations: Variable,
    /// `None` if a schedule gives it.
    pub learning_rate: Option<Variable>,
    pub kept: Vec<Variable>,
    pub known: Vec<Known>,
}

/// A variable, and what is kept for it.
pub(super) struct Known {
    pub variable: Variable,
    pub slots: Vec<Variable>,
    pub accumulator: Option<Variable>,
    pub average: Option<Variable>,
    pub weight_decay: Option<f64>,
}

impl OptimizerState {
    /// The state of an optimizer that has made no step, with no options.
    pub fn new(learning_rate: impl Into<LearningRate>) -> OptimizerState {
        OptimizerState { rate: learning_rate.into(), options: Options::DEFAULT, built: None }
    }

    /// With Keras's name in front of the message.
    pub(super) fn built(&self, name: &str) -> Result<&Built> {
        self.built.as_ref().ok_or_else(|| Error::NotReady(format!("{name}: call `build` with the variables before `apply`")))
    }
}

impl Built {
    pub fn find(&self, name: &str, variable: &Variable) -> Result<&Known> {
        self.known.iter().find(|known| known.variable.id() == variable.id()).ok_or_else(|| {
            Error::NotReady(format!(
                "{name}: unknown variable {}; the optimizer was built for other variables: call `build` with it, or make a new optimizer",
                variable.name()
            ))
        })
    }
}

impl Known {
    fn all(&self) -> impl Iterator<Item = &Variable> {
        self.slots.iter().chain(&self.accumulator).chain(&self.average)
    }
}

impl<R: UpdateRule> Optimizer for R {
    fn name(&self) -> &'static str {
        self.keras_name()
    }

    fn build(&mut self, variables: &[Variable]) -> Result<()> {
        let name = self.keras_name();
        let Some(first) = variables.first() else {
            return Err(Error::Gradient(format!("{name}: there is no variable to train")));
        };
        self.state().rate.check(name)?;
        self.state().options.check(name)?;
        self.arguments().iter().try_for_each(|argument| argument.check(name))?;
        if self.state().built.is_none() {
            let built = new_state(self, first)?;
            self.state_mut().built = Some(built);
        }
        let known = &self.state().built(name)?.known;
        let new = variables.iter().filter(|v| known.iter().all(|known| known.variable.id() != v.id()));
        // What was built before stays, whether or not the new slots can be made.
        let made = new.map(|variable| know(self, variable)).collect::<Result<Vec<_>>>()?;
        if let Some(built) = &mut self.state_mut().built {
            built.known.extend(made);
        }
        Ok(())
    }

    fn apply(&self, gradients: &[(Tensor, Variable)], ok: Option<&Tensor>) -> Result<()> {
        step::apply(self, gradients, ok)
    }

    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        let name = self.keras_name();
        Argument::at_least_0("learning_rate", learning_rate).check(name)?;
        let state = self.state_mut();
        let LearningRate::Constant(rate) = &mut state.rate else {
            let want = "no number, for a schedule sets it: make the optimizer with a number to change it by hand";
            return Err(refused(name, "learning_rate", want, learning_rate));
        };
        *rate = learning_rate;
        match state.built.as_ref().and_then(|built| built.learning_rate.as_ref()) {
            Some(variable) => variable.assign(&Tensor::scalar(variable.device(), learning_rate as f32)?),
            None => Ok(()),
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn learning_rate(&self) -> Result<f64> {
        let count = |built: &Built| Ok(built.iterations.value()?.item()? as u32);
        match (&self.state().rate, &self.state().built) {
            (LearningRate::Constant(rate), None) => Ok(*rate),
            (LearningRate::Constant(rate), Some(built)) => built.learning_rate.as_ref().map_or(Ok(*rate), |v| v.value()?.item()),
            (LearningRate::Schedule(schedule), built) => schedule.at(built.as_ref().map_or(Ok(0), count)?),
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn iterations(&self) -> Result<u32> {
        let every = self.state().options.gradient_accumulation_steps.unwrap_or(1);
        self.state().built.as_ref().map_or(Ok(0), |built| Ok(built.iterations.value()?.item()? as u32 / every))
    }

    fn variables(&self) -> Vec<Variable> {
        let Some(built) = &self.state().built else { return Vec::new() };
        let shared = std::iter::once(&built.iterations).chain(&built.learning_rate).chain(&built.kept);
        shared.chain(built.known.iter().flat_map(Known::all)).cloned().collect()
    }

    fn scale_loss(&self, loss: &Tensor) -> Result<Tensor> {
        self.state().options.loss_scale_factor.map_or_else(|| Ok(loss.clone()), |factor| loss.mul_scalar(factor))
    }

    fn set_loss_scale_factor(&mut self, factor: Option<f64>) {
        self.state_mut().options.loss_scale_factor = factor;
    }

    fn finalize_variable_values(&self, variables: &[Variable]) -> Result<()> {
        averages(self, variables)?.iter().try_for_each(|(variable, average)| variable.assign(&average.value()?))
    }

    fn swap_averages(&self, variables: &[Variable]) -> Result<()> {
        for (variable, average) in averages(self, variables)? {
            let weight = variable.value()?;
            variable.assign(&average.value()?)?;
            average.assign(&weight)?;
        }
        Ok(())
    }
}

/// Each variable with its average; none without `use_ema`.
fn averages<R: UpdateRule>(rule: &R, variables: &[Variable]) -> Result<Vec<(Variable, Variable)>> {
    if variables.is_empty() || !rule.state().options.use_ema {
        return Ok(Vec::new());
    }
    let built = rule.state().built(rule.keras_name())?;
    let pair =
        |variable: &Variable| Ok(built.find(rule.keras_name(), variable)?.average.clone().map(|average| (variable.clone(), average)));
    variables.iter().filter_map(|variable| pair(variable).transpose()).collect()
}

fn new_state<R: UpdateRule>(rule: &R, first: &Variable) -> Result<Built> {
    let name = rule.keras_name();
    let number = |what: &str, value: f64| {
        Ok::<_, Error>(Variable::new(format!("{name}/{what}"), &Tensor::scalar(first.device(), value as f32)?)?.untrainable())
    };
    let learning_rate = match rule.state().rate {
        LearningRate::Constant(rate) => Some(number("learning_rate", rate)?),
        LearningRate::Schedule(_) => None,
    };
    let kept = rule.kept().into_iter().map(|(what, value)| number(what, value)).collect::<Result<Vec<_>>>()?;
    let iterations = Variable::new(format!("{name}/iteration"), &Tensor::scalar(first.device(), 0u32)?)?.untrainable();
    Ok(Built { iterations, learning_rate, kept, known: Vec::new() })
}

fn know<R: UpdateRule>(rule: &R, variable: &Variable) -> Result<Known> {
    let (name, options) = (rule.keras_name(), &rule.state().options);
    let make = |slot: &Slot| {
        let start = match &slot.start {
            Start::Filled(value, shape) => {
                let shape = shape.as_ref().unwrap_or(variable.shape());
                Tensor::new(variable.device(), shape, &vec![*value as f32; shape.elements()])?
            }
            // A copy: two variables that share memory could not be written in place.
            Start::Weight => map1(&[&variable.value()?], |e| &e[0] * 1.0)?,
        };
        Ok(Variable::new(format!("{name}/{}/{}", variable.name(), slot.name), &start)?.untrainable())
    };
    let weight_decay = rule.weight_decay_of(variable).filter(|_| {
        let name = variable.name();
        options.excluded.iter().all(|part| !name.contains(part.as_str()))
    });
    Ok(Known {
        variable: variable.clone(),
        slots: rule.slots(variable).iter().map(make).collect::<Result<Vec<_>>>()?,
        accumulator: options.gradient_accumulation_steps.map(|_| make(&Slot::zeros("gradient_accumulator"))).transpose()?,
        average: options.use_ema.then(|| make(&Slot::weight("average"))).transpose()?,
        weight_decay,
    })
}
