//! One step, in Keras's order: unscale, accumulate, clip, decay, update, average, constrain, count.

use super::clip;
use super::learning_rate::LearningRate;
use super::rule::{Now, Update, UpdateRule};
use super::state::{Built, Known};
use crate::error::{Error, Result};
use crate::ops::pointwise::{Expr, map, map1};
use crate::shape::DType;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// The body of [`Optimizer::apply`](super::Optimizer::apply).
pub(super) fn apply<R: UpdateRule>(rule: &R, gradients: &[(Tensor, Variable)], ok: Option<&Tensor>) -> Result<()> {
    let (name, options) = (rule.keras_name(), &rule.state().options);
    if gradients.is_empty() {
        return Err(Error::Gradient(format!("{name}: no gradients provided for any variable")));
    }
    let built = rule.state().built(name)?;
    let known = gradients.iter().map(|(gradient, variable)| fitting(name, built, gradient, variable)).collect::<Result<Vec<_>>>()?;
    let numbers = Numbers::of_step(rule, built, ok)?;
    let gradients = gradients.iter().zip(&known).map(|((g, _), known)| numbers.accumulated(rule, g, known)).collect::<Result<Vec<_>>>()?;
    for (gradient, known) in clip::by_norm(gradients, options)?.iter().zip(&known) {
        rule.update(&Update {
            variable: &known.variable,
            gradient,
            slots: &known.slots,
            scalars: &numbers.scalars,
            decay: numbers.decay_rate.as_ref().zip(known.weight_decay),
            guarded: ok.is_some() || options.gradient_accumulation_steps.is_some(),
        })?;
    }
    if let Some(momentum) = &numbers.ema_momentum {
        built.known.iter().try_for_each(|known| average(known, momentum, numbers.overwrite.as_ref(), ok.is_some()))?;
    }
    known.iter().try_for_each(|known| constrain(&known.variable, ok))
}

/// The numbers of one step, each a tensor without axes, made in one operation.
struct Numbers {
    /// Of the rule. The first is -1 where weights do not change.
    scalars: Vec<Tensor>,
    /// The learning rate, or 0 where weights do not change; if any weight decays.
    decay_rate: Option<Tensor>,
    /// With accumulation: 1 where weights change, 0 where gradients are only added up, -1 where nothing changes.
    phase: Option<Tensor>,
    /// With averages: how much of them stays, or -1 where nothing changes.
    ema_momentum: Option<Tensor>,
    /// Above 0 where averages become the weights.
    overwrite: Option<Tensor>,
}

impl Numbers {
    /// Makes them, and counts the step.
    fn of_step<R: UpdateRule>(rule: &R, built: &Built, ok: Option<&Tensor>) -> Result<Numbers> {
        let count = built.iterations.value()?;
        let rate = built.learning_rate.as_ref().map(Variable::value).transpose()?;
        let kept = built.kept.iter().map(Variable::value).collect::<Result<Vec<_>>>()?;
        let inputs: Vec<&Tensor> = std::iter::once(&count).chain(&kept).chain(&rate).chain(ok).collect();
        let decays = built.known.iter().any(|known| known.weight_decay.is_some());
        let mut lengths = Vec::new();
        let outputs = map(&inputs, |e| {
            let kept = &e[1..1 + kept.len()];
            let rate = match &rule.state().rate {
                LearningRate::Constant(_) => e[1 + kept.len()].clone(),
                LearningRate::Schedule(schedule) => schedule.rate(&e[0]),
            };
            let ok = ok.and_then(|_| e.last()).map(|ok| ok.gt(&ok.number(0.0)));
            let groups = expressions(rule, &e[0], rate, kept, ok.as_ref(), decays);
            lengths = groups.iter().map(Vec::len).collect();
            groups.into_iter().flatten().collect()
        })?;
        let mut outputs = outputs.into_iter();
        let mut groups = lengths.iter().map(|&length| outputs.by_ref().take(length).collect::<Vec<_>>());
        let mut next = || groups.next().unwrap_or_default();
        let (counters, scalars) = (next(), next());
        let mut one = || next().pop();
        let (decay_rate, phase, ema_momentum, overwrite) = (one(), one(), one(), one());
        std::iter::once(&built.iterations).chain(&built.kept).zip(&counters).try_for_each(|(variable, value)| variable.assign(value))?;
        Ok(Numbers { scalars, decay_rate, phase, ema_momentum, overwrite })
    }

    /// A gradient divided by the loss scale, averaged with those that were accumulated, and clipped by value.
    fn accumulated<R: UpdateRule>(&self, rule: &R, gradient: &Tensor, known: &Known) -> Result<Tensor> {
        let options = &rule.state().options;
        let unscaled = |g: &Expr| options.loss_scale_factor.map_or_else(|| g.clone(), |factor| g / factor);
        let clipped = |g: Expr| options.clipvalue.map_or_else(|| g.clone(), |c| g.min(&g.number(c)).max(&g.number(-c)));
        let (Some(accumulator), Some(phase), Some(steps)) = (&known.accumulator, &self.phase, options.gradient_accumulation_steps) else {
            if options.loss_scale_factor.is_none() && options.clipvalue.is_none() {
                return Ok(gradient.clone());
            }
            return map1(&[gradient], |e| clipped(unscaled(&e[0])));
        };
        let mut outputs = map(&[gradient, &accumulator.value()?, phase], |e| {
            let sum = unscaled(&e[0]) + &e[1];
            let zero = e[2].number(0.0);
            let rest = e[2].gt(&zero).select(&sum.number(0.0), &e[2].ge(&zero).select(&sum, &e[1]));
            vec![rest, clipped(sum / f64::from(steps))]
        })?;
        accumulator.assign(&outputs[0])?;
        Ok(outputs.swap_remove(1))
    }
}

/// The groups of [`Numbers`], after a first one: the counters.
fn expressions<R: UpdateRule>(rule: &R, count: &Expr, rate: Expr, kept: &[Expr], ok: Option<&Expr>, decays: bool) -> [Vec<Expr>; 6] {
    let options = &rule.state().options;
    let where_ok = |new: Expr, old: Expr| ok.map_or_else(|| new.clone(), |ok| ok.select(&new, &old));
    let next = count + 1.0;
    // Whole numbers, so that the division rounds down.
    let multiple = |n: &Expr, of: u32| n.eq(&(n / f64::from(of) * f64::from(of)));
    let every = options.gradient_accumulation_steps;
    let iteration = every.map_or_else(|| count.clone(), |steps| count / f64::from(steps));
    let whole = every.map(|steps| multiple(&next, steps));
    let go = match (ok, &whole) {
        (Some(ok), Some(whole)) => Some(ok * whole),
        (one, other) => one.or(other.as_ref()).cloned(),
    };
    let where_go = |new: &Expr, old: &Expr| go.as_ref().map_or_else(|| new.clone(), |go| go.select(new, old));
    let now = Now { rate: rate.clone(), step: (&iteration + 1.0).cast(DType::F32), kept: kept.to_vec() };
    let mut scalars = rule.scalars(&now);
    scalars[0] = where_go(&scalars[0], &rate.number(-1.0));
    let counters = std::iter::once(where_ok(next, count.clone()));
    let counters = counters.chain(rule.keep(&now).iter().zip(kept).map(|(new, old)| where_go(new, old))).collect();
    let minus = || rate.number(-1.0);
    let phase = whole.map(|whole| where_ok(whole.cast(DType::F32), minus()));
    // The average starts at the first value: nothing of what was before it stays.
    let first = iteration.eq(&iteration.number(0.0));
    let ema = options.use_ema.then(|| where_ok(first.select(&rate.number(0.0), &rate.number(options.ema_momentum)), minus()));
    let overwrite = options.ema_overwrite_frequency.filter(|_| options.use_ema);
    let overwrite = overwrite.map(|every| where_ok(multiple(&(&iteration + 1.0), every).cast(DType::F32), minus()));
    let decay_rate = decays.then(|| where_go(&rate, &rate.number(0.0)));
    let one = |e: Option<Expr>| e.into_iter().collect();
    [counters, scalars, one(decay_rate), one(phase), one(ema), one(overwrite)]
}

fn fitting<'a>(name: &str, built: &'a Built, gradient: &Tensor, variable: &Variable) -> Result<&'a Known> {
    let known = built.find(name, variable)?;
    if gradient.shape() != variable.shape() {
        let op = format!("{name}: gradient of {}", variable.name());
        return Err(Error::shape(op, variable.shape().to_string(), gradient.shape()));
    }
    Ok(known)
}

/// Lets the average of a variable follow it, and the variable the average where it is time for that.
fn average(known: &Known, momentum: &Tensor, overwrite: Option<&Tensor>, guarded: bool) -> Result<()> {
    let Some(average) = &known.average else { return Ok(()) };
    let (weight, old) = (known.variable.value()?, average.value()?);
    let inputs: Vec<&Tensor> = [&weight, &old, momentum].into_iter().chain(overwrite).collect();
    let outputs = map(&inputs, |e| {
        let mut new = &e[2] * &e[1] + (1.0 - &e[2]) * &e[0];
        if guarded {
            new = e[2].ge(&e[2].number(0.0)).select(&new, &e[1]);
        }
        let weight = e.get(3).map(|overwrite| overwrite.gt(&overwrite.number(0.0)).select(&new, &e[0]));
        std::iter::once(new).chain(weight).collect()
    })?;
    [average, &known.variable].into_iter().zip(&outputs).try_for_each(|(variable, value)| variable.assign(value))
}

/// Moves an updated variable to where its constraint allows it to be, unless `ok` says that nothing changes.
fn constrain(variable: &Variable, ok: Option<&Tensor>) -> Result<()> {
    let Some(constraint) = variable.constraint() else { return Ok(()) };
    let moved = variable.value()?;
    let allowed = constraint.apply(&moved)?;
    match ok {
        Some(ok) => variable.assign(&map1(&[&allowed, &moved, ok], |e| e[2].gt(&e[2].number(0.0)).select(&e[0], &e[1]))?),
        None => variable.assign(&allowed),
    }
}
