//! `GradientTape`: remembers the operations that led from watched values to a target, and walks them back.

mod custom;
mod gradients;
mod jacobian;
mod walk;
mod why;

pub use custom::custom_gradient;
pub use gradients::{GradientOptions, Gradients, Source, SourcePart, Unconnected};

use super::op::Op;
use super::recording::{Backward, Site};
use crate::error::{Error, Result};
use crate::shape::Spec;
use crate::tensor::Tensor;
use crate::variable::Variable;
use custom::Custom;
use std::cell::RefCell;
use std::collections::HashSet;
use std::marker::PhantomData;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use walk::{Reach, walk};
use why::Trail;

thread_local! {
    static TAPES: RefCell<Vec<Weak<RefCell<Inner>>>> = const { RefCell::new(Vec::new()) };
}

/// Records operations of this thread on watched values, so that gradients can be asked for.
///
/// Trainable variables are watched when they are read; other values by [`GradientTape::watch`]. It records from its making until it is
/// dropped or, if it is not persistent, until [`GradientTape::gradient`] is called. Tapes nest: an outer tape records what an inner tape's
/// `gradient` computes, which gives gradients of gradients. No gradient passes through the state of a variable: what was assigned to it is, when
/// it is read again, a value without a past.
///
/// ```
/// use gradus::{Device, GradientTape, Tensor};
/// let x = Tensor::scalar(&Device::cpu(), 3.0f32)?;
/// let tape = GradientTape::new();
/// tape.watch(&x);
/// let y = (&x * &x)?;
/// let dy_dx = tape.gradient(&y, [&x])?;
/// assert_eq!(dy_dx.get(0)?.item()?, 6.0);
/// # Ok::<(), gradus::Error>(())
/// ```
pub struct GradientTape {
    inner: Rc<RefCell<Inner>>,
    /// A tape belongs to the thread whose operations it records.
    thread: PhantomData<*const ()>,
}

#[derive(Default)]
struct Inner {
    steps: Vec<Step>,
    /// The values that lead somewhere.
    watched: HashSet<u64>,
    /// The variables that [`GradientTape::watch`] named.
    named: HashSet<u64>,
    /// Variables and their values that were read, watched or not, for finding a variable's gradient.
    reads: Vec<(u64, u64)>,
    /// Kept when the rest is let go.
    watched_variables: Vec<Variable>,
    trail: Trail,
    persistent: bool,
    ignores_variables: bool,
    paused: Vec<Pause>,
    spent: bool,
}

/// Why a tape does not record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pause {
    /// `stop_recording`.
    Stopped,
    /// It computes a gradient.
    Gradient,
    /// Inside `custom_gradient`.
    Custom,
}

#[derive(Clone)]
struct Step {
    rule: Rule,
    layer: Option<Arc<str>>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

/// Where a step's gradient comes from.
#[derive(Clone)]
enum Rule {
    Op(Arc<dyn Op>),
    Custom(Rc<Custom>),
}

impl Rule {
    fn name(&self) -> &'static str {
        match self {
            Rule::Op(op) => op.name(),
            Rule::Custom(_) => "custom_gradient",
        }
    }
}

impl Default for GradientTape {
    fn default() -> GradientTape {
        GradientTape::new()
    }
}

impl GradientTape {
    /// A tape that may be asked for gradients once, and watches trainable variables by itself.
    pub fn new() -> GradientTape {
        GradientTape::start(Inner::default())
    }

    /// A tape that may be asked any number of times. It holds every value of its span until it is dropped. What it computes for a gradient it
    /// does not itself record: for gradients of gradients, nest two tapes.
    pub fn persistent() -> GradientTape {
        GradientTape::start(Inner { persistent: true, ..Inner::default() })
    }

    fn start(inner: Inner) -> GradientTape {
        let inner = Rc::new(RefCell::new(inner));
        TAPES.with_borrow_mut(|tapes| tapes.push(Rc::downgrade(&inner)));
        GradientTape { inner, thread: PhantomData }
    }

    /// Watches only what [`GradientTape::watch`] names from here on: Keras's `watch_accessed_variables=False`.
    #[must_use]
    pub fn ignoring_variables(self) -> GradientTape {
        self.inner.borrow_mut().ignores_variables = true;
        self
    }

    /// Records what is computed from this tensor, or from this variable whether it is trainable or not, from now on. Whole numbers have no
    /// gradient; watching them does nothing.
    pub fn watch<S: Source>(&self, source: &S) {
        let mut inner = self.inner.borrow_mut();
        match source.part() {
            SourcePart::Tensor(tensor) if tensor.dtype().is_float() => {
                inner.watched.insert(tensor.id());
            }
            SourcePart::Variable(variable) => {
                inner.named.insert(variable.id());
                // What was read of it before is its value still.
                let read: Vec<u64> = inner.values_of(variable);
                inner.watched.extend(read);
            }
            SourcePart::Tensor(_) => {}
        }
    }

    /// The variables that it has watched so far, in the order in which they were made.
    pub fn watched_variables(&self) -> Vec<Variable> {
        let mut variables = self.inner.borrow().watched_variables.clone();
        variables.sort_by_key(Variable::id);
        variables
    }

    /// Runs `f` without recording it.
    pub fn stop_recording<R>(&self, f: impl FnOnce() -> R) -> R {
        let _paused = pause(&self.inner, Pause::Stopped);
        f()
    }

    /// Forgets everything recorded and watched, and goes on recording, also if it was asked for its gradient before.
    pub fn reset(&self) {
        let mut inner = self.inner.borrow_mut();
        let paused = std::mem::take(&mut inner.paused);
        *inner = Inner { persistent: inner.persistent, ignores_variables: inner.ignores_variables, paused, ..Inner::default() };
    }

    /// The gradient of `target` by each source. A target that is not a scalar is summed. A source that the target does not depend on has
    /// `None`, with a reason in [`Gradients::reason`].
    ///
    /// # Errors
    /// [`Error::Gradient`] if the tape was asked before and is not persistent, or if the target is no float; whatever the gradients' operations
    /// return.
    #[track_caller]
    pub fn gradient<S: Source>(&self, target: &Tensor, sources: impl IntoIterator<Item = S>) -> Result<Gradients> {
        self.gradient_with(&[target], sources, GradientOptions::default())
    }

    /// The gradient of the sum of all targets by each source, with the options of `tf.GradientTape.gradient`.
    ///
    /// # Errors
    /// [`Error::Gradient`] also for no target, or another number of output gradients; [`Error::Shape`] or [`Error::DType`] for an output gradient
    /// that is not like its target; otherwise as [`GradientTape::gradient`].
    #[track_caller]
    pub fn gradient_with<S: Source>(
        &self,
        targets: &[&Tensor],
        sources: impl IntoIterator<Item = S>,
        options: GradientOptions,
    ) -> Result<Gradients> {
        self.check(targets)?;
        check_seeds(targets, options.output_gradients)?;
        let sources: Vec<S> = sources.into_iter().collect();
        let ids = self.ids_of(&sources);
        self.asked(|| {
            let seeds = seeds(targets, options.output_gradients)?;
            let reach = Reach::of(&self.inner.borrow().steps, &ids.concat());
            let walk = walk(&self.inner, &reach, &seeds)?;
            let mut answer = Gradients { gradients: Vec::new(), reasons: Vec::new() };
            for (source, ids) in sources.iter().zip(&ids) {
                let gradient = walk.sum(ids)?;
                answer.reasons.push(if gradient.is_some() { String::new() } else { self.why_none(targets, &source.part(), &walk) });
                answer.gradients.push(match (gradient, options.unconnected_gradients) {
                    (None, Unconnected::Zero) => zeros_like(&source.part())?,
                    (gradient, _) => gradient,
                });
            }
            Ok(answer)
        })
    }

    fn check(&self, targets: &[&Tensor]) -> Result<()> {
        if self.inner.borrow().spent {
            return Err(Error::Gradient("this tape was already asked; make it with `GradientTape::persistent()` to ask again".into()));
        }
        if targets.is_empty() {
            return Err(Error::Gradient("there is no target".into()));
        }
        match targets.iter().find(|t| !t.dtype().is_float()) {
            Some(target) => Err(Error::Gradient(format!("the target is {}, which has no gradient; it must be a float", target.dtype()))),
            None => Ok(()),
        }
    }

    /// Runs `f`, which asks for gradients, without recording it here. A tape that is not persistent lets go of everything afterwards.
    fn asked<R>(&self, f: impl FnOnce() -> Result<R>) -> Result<R> {
        let answer = {
            let _paused = pause(&self.inner, Pause::Gradient);
            f()?
        };
        let mut inner = self.inner.borrow_mut();
        if !inner.persistent {
            let (paused, watched_variables) = (std::mem::take(&mut inner.paused), std::mem::take(&mut inner.watched_variables));
            let ignores_variables = inner.ignores_variables;
            *inner = Inner { spent: true, ignores_variables, paused, watched_variables, ..Inner::default() };
        }
        Ok(answer)
    }

    /// The values that stand for each source: a variable was read once or, with assignments between, several times.
    fn ids_of<S: Source>(&self, sources: &[S]) -> Vec<Vec<u64>> {
        let inner = self.inner.borrow();
        let ids = |source: &S| match source.part() {
            SourcePart::Tensor(tensor) => vec![tensor.id()],
            SourcePart::Variable(variable) => inner.values_of(variable),
        };
        sources.iter().map(ids).collect()
    }
}

impl Inner {
    fn push(&mut self, step: Step) {
        if step.inputs.iter().any(|x| self.watched.contains(&x.id())) {
            self.watched.extend(step.outputs.iter().filter(|y| y.dtype().is_float()).map(Tensor::id));
            self.steps.push(step);
        } else {
            let (name, inputs) = (step.rule.name(), step.inputs.iter().map(Tensor::id).collect::<Vec<_>>());
            self.trail.unwatched(name, &inputs, &step.outputs);
        }
    }

    /// The values of a variable that were read, each once.
    fn values_of(&self, variable: &Variable) -> Vec<u64> {
        self.reads.iter().filter(|(id, _)| *id == variable.id()).map(|(_, value)| *value).collect()
    }
}

fn check_seeds(targets: &[&Tensor], output_gradients: Option<&[&Tensor]>) -> Result<()> {
    let Some(given) = output_gradients else { return Ok(()) };
    if given.len() != targets.len() {
        return Err(Error::Gradient(format!("{} output gradients for {} targets", given.len(), targets.len())));
    }
    for (dy, target) in given.iter().zip(targets) {
        if dy.dtype() != target.dtype() {
            return Err(Error::dtype("gradient: output gradient", target.dtype().to_string(), dy.dtype()));
        }
        if dy.shape() != target.shape() {
            return Err(Error::shape("gradient: output gradient", format!("{}, like the target", target.shape()), dy.shape()));
        }
    }
    Ok(())
}

/// Each target with what its gradient starts from.
fn seeds<'a>(targets: &[&'a Tensor], output_gradients: Option<&[&Tensor]>) -> Result<Vec<(&'a Tensor, Tensor)>> {
    let _backward = Backward::enter();
    let seed = |(i, target): (usize, &&Tensor)| output_gradients.map_or_else(|| target.ones_like(), |given| Ok(given[i].clone()));
    targets.iter().enumerate().map(|(i, target)| Ok((*target, seed((i, target))?))).collect()
}

fn zeros_like(source: &SourcePart) -> Result<Option<Tensor>> {
    let (device, Spec { shape, dtype }) = match source {
        SourcePart::Tensor(tensor) => (tensor.device(), tensor.spec().clone()),
        SourcePart::Variable(variable) => (variable.device(), variable.spec().clone()),
    };
    if dtype.is_float() { Tensor::full(device, shape, dtype, 0.0).map(Some) } else { Ok(None) }
}

/// While it lives, the tape does not record.
struct Paused(Rc<RefCell<Inner>>);

fn pause(tape: &Rc<RefCell<Inner>>, why: Pause) -> Paused {
    tape.borrow_mut().paused.push(why);
    Paused(tape.clone())
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.borrow_mut().paused.pop();
    }
}

/// Tells every tape of this thread of an operation.
pub(crate) fn note(op: &Arc<dyn Op>, inputs: &[&Tensor], outputs: &[Tensor], site: &Site) {
    each_tape(|inner| match inner.paused.last() {
        None => {
            let inputs = inputs.iter().map(|x| (*x).clone()).collect();
            inner.push(Step { rule: Rule::Op(op.clone()), layer: site.layer_path(), inputs, outputs: outputs.to_vec() });
        }
        Some(&why) => {
            let inputs: Vec<u64> = inputs.iter().map(|x| x.id()).collect();
            inner.trail.paused(why, op.name(), &inputs, outputs);
        }
    });
}

/// Tells every tape of this thread that a variable was read.
pub(crate) fn note_read(variable: &Variable, value: &Tensor) {
    each_tape(|inner| {
        let read = (variable.id(), value.id());
        if !inner.reads.contains(&read) {
            inner.reads.push(read);
        }
        let wanted = variable.trainable() && !inner.ignores_variables || inner.named.contains(&variable.id());
        if inner.paused.is_empty() && wanted && value.dtype().is_float() {
            inner.watched.insert(value.id());
            if !inner.watched_variables.iter().any(|v| v.id() == variable.id()) {
                inner.watched_variables.push(variable.clone());
            }
        }
    });
}

/// Tells every tape of this thread that a variable now holds `kept`, which is `value` without its past.
pub(crate) fn note_assign(variable: &Variable, value: &Tensor, kept: &Tensor) {
    each_tape(|inner| inner.trail.assigned(variable, value.id(), kept.id()));
}

/// Tells every tape of this thread that a value was read on the host.
pub(crate) fn note_host_read(value: &Tensor) {
    each_tape(|inner| {
        if inner.watched.contains(&value.id()) {
            inner.trail.read_on_the_host(value.id());
        }
    });
}

/// Whether a tape of this thread has met the value.
pub(crate) fn is_followed(value: &Tensor) -> bool {
    let mut found = false;
    each_tape(|inner| found |= inner.watched.contains(&value.id()) || inner.trail.knows(value.id()));
    found
}

/// Whether a tape of this thread is recording.
pub(crate) fn is_recording() -> bool {
    let mut any = false;
    each_recording(|_| any = true);
    any
}

fn each_recording(mut f: impl FnMut(&mut Inner)) {
    each_tape(|inner| {
        if inner.paused.is_empty() {
            f(inner);
        }
    });
}

/// Every tape of this thread that can still be asked.
fn each_tape(mut f: impl FnMut(&mut Inner)) {
    TAPES.with_borrow_mut(|tapes| {
        tapes.retain(|tape| tape.strong_count() > 0);
        for tape in tapes.iter().filter_map(Weak::upgrade) {
            let mut inner = tape.borrow_mut();
            if !inner.spent {
                f(&mut inner);
            }
        }
    });
}
