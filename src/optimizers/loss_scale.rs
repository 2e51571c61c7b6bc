//! Dynamic loss scaling.

use super::{Optimizer, delegate_optimizer};
use crate::error::{Error, Result};
use crate::ops::all_finite::all_finite;
use crate::ops::pointwise::{map, map1};
use crate::shape::DType;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// Keeps small gradients from vanishing in short floats (Micikevicius et al. 2018): the loss is multiplied by a scale
/// ([`Optimizer::scale_loss`]), the gradients are divided by it, and the scale follows what happens. Where a gradient is not finite, the inner
/// optimizer makes no step and the scale is halved; after so many good steps in a row it is doubled. Options are the inner optimizer's.
/// Defaults: a scale of 2¹⁵ at first, doubled after 2000 steps.
pub struct LossScaleOptimizer {
    inner: Box<dyn Optimizer>,
    initial_scale: f64,
    dynamic_growth_steps: u32,
    built: Option<Built>,
}

struct Built {
    /// Good steps since the scale last changed.
    step_counter: Variable,
    dynamic_scale: Variable,
}

impl LossScaleOptimizer {
    /// Around this optimizer, whose own `loss_scale_factor` is taken away.
    pub fn new(inner: impl Optimizer + 'static) -> LossScaleOptimizer {
        LossScaleOptimizer::around(Box::new(inner))
    }

    pub(crate) const NAME: &'static str = "loss_scale";

    pub(crate) fn around(mut inner: Box<dyn Optimizer>) -> LossScaleOptimizer {
        inner.set_loss_scale_factor(None);
        LossScaleOptimizer { inner, initial_scale: 32768.0, dynamic_growth_steps: 2000, built: None }
    }

    /// The first scale. Default: 2¹⁵.
    #[must_use]
    pub fn initial_scale(mut self, initial_scale: f64) -> LossScaleOptimizer {
        self.initial_scale = initial_scale;
        self
    }

    /// After so many good steps the scale is doubled. Default: 2000.
    #[must_use]
    pub fn dynamic_growth_steps(mut self, dynamic_growth_steps: u32) -> LossScaleOptimizer {
        self.dynamic_growth_steps = dynamic_growth_steps;
        self
    }

    /// The present scale; waits for the device if the optimizer is built.
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn dynamic_scale(&self) -> Result<f64> {
        self.built.as_ref().map_or(Ok(self.initial_scale), |built| built.dynamic_scale.value()?.item())
    }

    fn check(&self) -> Result<()> {
        if !(self.initial_scale > 0.0 && self.initial_scale.is_finite()) {
            return Err(Error::argument("loss_scale: initial_scale", "a number above 0", self.initial_scale));
        }
        if self.dynamic_growth_steps == 0 {
            return Err(Error::argument("loss_scale: dynamic_growth_steps", "at least 1", 0));
        }
        Ok(())
    }
}

impl Built {
    /// Takes note of a step and returns 1 if it is to be made: all gradients are finite, and `ok` does not say otherwise.
    fn note(&self, gradients: &[(Tensor, Variable)], ok: Option<&Tensor>, growth_steps: u32) -> Result<Tensor> {
        let finite = all_finite(&gradients.iter().map(|(g, _)| g).collect::<Vec<_>>())?;
        let (counter, scale) = (self.step_counter.value()?, self.dynamic_scale.value()?);
        let inputs: Vec<&Tensor> = [&finite, &counter, &scale].into_iter().chain(ok).collect();
        let outputs = map(&inputs, |e| {
            let (finite, counter, scale, zero) = (&e[0], &e[1], &e[2], e[1].number(0.0));
            let grows = counter.ge(&counter.number(f64::from(growth_steps) - 1.0));
            let good = [grows.select(&zero, &(counter + 1.0)), grows.select(&(scale * 2.0), scale)];
            let noted = [finite.select(&good[0], &zero), finite.select(&good[1], &(scale * 0.5))];
            let Some(ok) = e.get(3) else { return noted.into_iter().chain([finite.cast(DType::F32)]).collect() };
            let ok = ok.gt(&ok.number(0.0));
            vec![ok.select(&noted[0], counter), ok.select(&noted[1], scale), (ok * finite).cast(DType::F32)]
        })?;
        self.step_counter.assign(&outputs[0])?;
        self.dynamic_scale.assign(&outputs[1])?;
        Ok(outputs[2].clone())
    }
}

impl Optimizer for LossScaleOptimizer {
    fn name(&self) -> &'static str {
        LossScaleOptimizer::NAME
    }

    fn build(&mut self, variables: &[Variable]) -> Result<()> {
        self.check()?;
        self.inner.build(variables)?;
        if let (None, Some(first)) = (&self.built, variables.first()) {
            let new = |name: &str, value: &Tensor| Ok::<_, Error>(Variable::new(format!("loss_scale/{name}"), value)?.untrainable());
            self.built = Some(Built {
                step_counter: new("step_counter", &Tensor::scalar(first.device(), 0u32)?)?,
                dynamic_scale: new("dynamic_scale", &Tensor::scalar(first.device(), self.initial_scale as f32)?)?,
            });
        }
        Ok(())
    }

    fn apply(&self, gradients: &[(Tensor, Variable)], ok: Option<&Tensor>) -> Result<()> {
        let Some(built) = self.built.as_ref().filter(|_| !gradients.is_empty()) else {
            // The inner optimizer has the words for both.
            return self.inner.apply(gradients, ok);
        };
        let scale = built.dynamic_scale.value()?;
        let unscaled = |(g, v): &(Tensor, Variable)| Ok((map1(&[g, &scale], |e| &e[0] / &e[1])?, v.clone()));
        let unscaled = gradients.iter().map(unscaled).collect::<Result<Vec<_>>>()?;
        let go = built.note(gradients, ok, self.dynamic_growth_steps)?;
        self.inner.apply(&unscaled, Some(&go))
    }

    delegate_optimizer!(self => self.inner; learning_rate, iterations, averages);

    fn variables(&self) -> Vec<Variable> {
        let own = self.built.iter().flat_map(|built| [built.step_counter.clone(), built.dynamic_scale.clone()]);
        own.chain(self.inner.variables()).collect()
    }

    fn scale_loss(&self, loss: &Tensor) -> Result<Tensor> {
        match &self.built {
            Some(built) => loss.mul(&built.dynamic_scale.value()?),
            None => loss.mul_scalar(self.initial_scale),
        }
    }

    /// The scale is dynamic: there is no fixed one.
    fn set_loss_scale_factor(&mut self, _: Option<f64>) {}
}
