//! Several optimizers, each for its variables.

use super::Optimizer;
use super::options::refused;
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// Gives variables to different optimizers by their names. Each keeps its own rate, options and count.
///
/// ```
/// use gradus::optimizers::{Adam, MultiOptimizer, SGD};
/// let optimizer = MultiOptimizer::new(SGD::new(0.01)).on("embedding/*", Adam::new(0.001)).on("dense/bias", SGD::new(0.1));
/// ```
pub struct MultiOptimizer {
    /// The first is for variables that no other one is for.
    optimizers: Vec<Box<dyn Optimizer>>,
    /// The pattern of each optimizer but the first.
    patterns: Vec<String>,
    loss_scale_factor: Option<f64>,
    built: Option<Built>,
}

struct Built {
    iterations: Variable,
    /// The variable's id and the place of its optimizer.
    places: Vec<(u64, usize)>,
}

impl MultiOptimizer {
    /// This optimizer for all variables that no other one is for.
    pub fn new(default_optimizer: impl Optimizer + 'static) -> MultiOptimizer {
        MultiOptimizer { optimizers: vec![], patterns: vec![], loss_scale_factor: None, built: None }.with(default_optimizer)
    }

    /// This optimizer for the variables of this name. `*`, or Keras's `.*`, stands for any text: `"encoder/*"`. A whole name goes before a pattern.
    #[must_use]
    pub fn on(mut self, pattern: impl Into<String>, optimizer: impl Optimizer + 'static) -> MultiOptimizer {
        self.patterns.push(pattern.into().replace(".*", "*"));
        self.with(optimizer)
    }

    /// The loss is multiplied by this before gradients are taken, and gradients are divided by it: in place of what the optimizers say. Default: 1.
    #[must_use]
    pub fn loss_scale_factor(mut self, loss_scale_factor: f64) -> MultiOptimizer {
        self.set_loss_scale_factor(Some(loss_scale_factor));
        self
    }

    /// The optimizers: the default, then the others in the order in which they were given.
    pub fn optimizers(&mut self) -> &mut [Box<dyn Optimizer>] {
        &mut self.optimizers
    }

    fn with(mut self, mut optimizer: impl Optimizer + 'static) -> MultiOptimizer {
        optimizer.set_loss_scale_factor(self.loss_scale_factor);
        self.optimizers.push(Box::new(optimizer));
        self
    }

    /// The place of a variable's optimizer.
    fn choose(&self, variable: &Variable) -> Result<usize> {
        let name = variable.name();
        if let Some(place) = self.patterns.iter().position(|pattern| *pattern == name) {
            return Ok(place + 1);
        }
        let hits: Vec<usize> = (0..self.patterns.len()).filter(|&i| matches(&self.patterns[i], &name)).collect();
        match hits[..] {
            [] => Ok(0),
            [place] => Ok(place + 1),
            [a, b, ..] => {
                let both = format!("{:?} and {:?}", self.patterns[a], self.patterns[b]);
                Err(refused("multi", &format!("optimizer of {name}"), "one pattern that fits", both))
            }
        }
    }

    /// What belongs to each optimizer, in their order.
    fn parts<T: Clone>(&self, items: &[T], variable: impl Fn(&T) -> &Variable) -> Result<Vec<Vec<T>>> {
        let built = self.built.as_ref().ok_or_else(|| Error::NotReady("multi: call `build` with the variables before `apply`".into()))?;
        let mut parts = vec![Vec::new(); self.optimizers.len()];
        for item in items {
            let id = variable(item).id();
            let place = built.places.iter().find(|(known, _)| *known == id).map(|(_, place)| *place);
            let name = || variable(item).name();
            let unknown = || Error::NotReady(format!("multi: unknown variable {}; call `build` with it", name()));
            parts[place.ok_or_else(unknown)?].push(item.clone());
        }
        Ok(parts)
    }
}

/// Whether a text is this pattern, where `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => {
            let Some(tail) = text.strip_prefix(head) else { return false };
            (0..=tail.len()).any(|i| tail.get(i..).is_some_and(|tail| matches(rest, tail)))
        }
    }
}

impl Optimizer for MultiOptimizer {
    fn name(&self) -> &'static str {
        "multi"
    }

    fn build(&mut self, variables: &[Variable]) -> Result<()> {
        let Some(first) = variables.first() else {
            return Err(Error::Gradient("multi: there is no variable to train".into()));
        };
        let mut parts = vec![Vec::new(); self.optimizers.len()];
        let known = |built: &Option<Built>, id| built.as_ref().is_some_and(|built| built.places.iter().any(|(known, _)| *known == id));
        let new: Vec<&Variable> = variables.iter().filter(|v| !known(&self.built, v.id())).collect();
        let mut places = Vec::with_capacity(new.len());
        for variable in new {
            let place = self.choose(variable)?;
            parts[place].push(variable.clone());
            places.push((variable.id(), place));
        }
        for (optimizer, part) in self.optimizers.iter_mut().zip(&parts).filter(|(_, part)| !part.is_empty()) {
            optimizer.build(part)?;
        }
        if self.built.is_none() {
            let iterations = Variable::new("multi/iteration", &Tensor::scalar(first.device(), 0u32)?)?.untrainable();
            self.built = Some(Built { iterations, places: Vec::new() });
        }
        if let Some(built) = &mut self.built {
            built.places.extend(places);
        }
        Ok(())
    }

    fn apply(&self, gradients: &[(Tensor, Variable)], ok: Option<&Tensor>) -> Result<()> {
        if gradients.is_empty() {
            return Err(Error::Gradient("multi: no gradients provided for any variable".into()));
        }
        let parts = self.parts(gradients, |(_, variable)| variable)?;
        for (optimizer, part) in self.optimizers.iter().zip(&parts).filter(|(_, part)| !part.is_empty()) {
            optimizer.apply(part, ok)?;
        }
        let Some(built) = &self.built else { return Ok(()) };
        let count = built.iterations.value()?;
        let inputs: Vec<&Tensor> = std::iter::once(&count).chain(ok).collect();
        let next = map1(&inputs, |e| match e.get(1) {
            Some(ok) => ok.gt(&ok.number(0.0)).select(&(&e[0] + 1.0), &e[0]),
            None => &e[0] + 1.0,
        })?;
        built.iterations.assign(&next)
    }

    /// Refused: each optimizer has its own.
    fn set_learning_rate(&mut self, learning_rate: f64) -> Result<()> {
        Err(refused("multi", "learning_rate", "a rate for each of `optimizers()`", learning_rate))
    }

    /// Refused: each optimizer has its own.
    #[cfg(not(target_arch = "wasm32"))]
    fn learning_rate(&self) -> Result<f64> {
        Err(refused("multi", "learning_rate", "to be asked of each of `optimizers()`", "one question for all"))
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn iterations(&self) -> Result<u32> {
        self.built.as_ref().map_or(Ok(0), |built| Ok(built.iterations.value()?.item()? as u32))
    }

    fn variables(&self) -> Vec<Variable> {
        let own = self.built.iter().map(|built| built.iterations.clone());
        own.chain(self.optimizers.iter().flat_map(|optimizer| optimizer.variables())).collect()
    }

    fn scale_loss(&self, loss: &Tensor) -> Result<Tensor> {
        self.loss_scale_factor.map_or_else(|| Ok(loss.clone()), |factor| loss.mul_scalar(factor))
    }

    fn set_loss_scale_factor(&mut self, factor: Option<f64>) {
        self.loss_scale_factor = factor;
        self.optimizers.iter_mut().for_each(|optimizer| optimizer.set_loss_scale_factor(factor));
    }

    fn finalize_variable_values(&self, variables: &[Variable]) -> Result<()> {
        let parts = self.parts(variables, |variable| variable)?;
        self.optimizers.iter().zip(&parts).try_for_each(|(optimizer, part)| optimizer.finalize_variable_values(part))
    }

    fn swap_averages(&self, variables: &[Variable]) -> Result<()> {
        let parts = self.parts(variables, |variable| variable)?;
        self.optimizers.iter().zip(&parts).try_for_each(|(optimizer, part)| optimizer.swap_averages(part))
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        let cases = [("a/*", "a/b/c", true), ("a/*", "b/a/c", false), ("*bias", "dense/bias", true), ("*/b*s", "x/bias", true)];
        for (pattern, text, fits) in cases.into_iter().chain([("a", "ab", false), ("*", "", true), ("é*", "éa", true)]) {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }
}
