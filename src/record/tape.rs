//! `GradientTape`: remembers the operations that led from watched values to a target, and walks them back.

use super::op::{GradCx, Op};
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::marker::PhantomData;
use std::ops::{Deref, Index};
use std::rc::{Rc, Weak};
use std::sync::Arc;

thread_local! {
    static TAPES: RefCell<Vec<Weak<RefCell<Inner>>>> = const { RefCell::new(Vec::new()) };
}

/// Records operations of this thread on watched values, so that gradients can be asked for.
///
/// Trainable variables are watched when they are read; other tensors by [`GradientTape::watch`]. It records from its making until it is
/// dropped or, if it is not persistent, until [`GradientTape::gradient`] is called. Tapes nest: an outer tape records what an inner tape's
/// `gradient` computes, which gives gradients of gradients.
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
    entries: Vec<Entry>,
    watched: HashSet<u64>,
    /// The values of variables that were read, for finding a variable's gradient.
    variables: Vec<(u64, Tensor)>,
    persistent: bool,
    ignores_variables: bool,
    paused: u32,
    spent: bool,
}

struct Entry {
    op: Arc<dyn Op>,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
}

/// Something that a gradient can be asked for: a tensor or a variable.
pub trait Source {
    #[doc(hidden)]
    fn part(&self) -> SourcePart<'_>;
}

#[doc(hidden)]
pub enum SourcePart<'a> {
    Tensor(&'a Tensor),
    Variable(&'a Variable),
}

impl Source for Tensor {
    fn part(&self) -> SourcePart<'_> {
        SourcePart::Tensor(self)
    }
}
impl Source for Variable {
    fn part(&self) -> SourcePart<'_> {
        SourcePart::Variable(self)
    }
}
impl<S: Source> Source for &S {
    fn part(&self) -> SourcePart<'_> {
        (**self).part()
    }
}

/// The gradients by the sources, in their order: `None` where the target does not depend on the source.
pub struct Gradients {
    gradients: Vec<Option<Tensor>>,
    reasons: Vec<String>,
}

impl Gradients {
    /// The gradient by source `i`.
    ///
    /// # Errors
    /// [`Error::Gradient`] with the reason why there is none.
    pub fn get(&self, i: usize) -> Result<&Tensor> {
        match self.gradients.get(i) {
            Some(Some(gradient)) => Ok(gradient),
            Some(None) => Err(Error::Gradient(format!("source {i}: {}", self.reasons[i]))),
            None => Err(Error::Gradient(format!("source {i} of {}", self.gradients.len()))),
        }
    }

    /// Why source `i` has no gradient; empty if it has one.
    pub fn reason(&self, i: usize) -> &str {
        &self.reasons[i]
    }

    /// The gradients, by value.
    pub fn into_vec(self) -> Vec<Option<Tensor>> {
        self.gradients
    }
}

impl Deref for Gradients {
    type Target = [Option<Tensor>];
    fn deref(&self) -> &[Option<Tensor>] {
        &self.gradients
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

    /// Records what is computed from this tensor from now on. A tensor of whole numbers has no gradient; watching it does nothing.
    pub fn watch(&self, tensor: &Tensor) {
        if tensor.dtype().is_float() {
            self.inner.borrow_mut().watched.insert(tensor.id());
        }
    }

    /// Runs `f` without recording it.
    pub fn stop_recording<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Paused<'a>(&'a RefCell<Inner>);
        impl Drop for Paused<'_> {
            fn drop(&mut self) {
                self.0.borrow_mut().paused -= 1;
            }
        }
        self.inner.borrow_mut().paused += 1;
        let _paused = Paused(&self.inner);
        f()
    }

    /// Forgets everything recorded and watched, and goes on recording.
    pub fn reset(&self) {
        let mut inner = self.inner.borrow_mut();
        *inner =
            Inner { persistent: inner.persistent, ignores_variables: inner.ignores_variables, paused: inner.paused, ..Inner::default() };
    }

    /// The gradient of `target` by each source. A target that is not a scalar is summed. A source that the target does not depend on has
    /// `None`, with a reason in [`Gradients::reason`].
    ///
    /// # Errors
    /// [`Error::Gradient`] if the tape was asked before and is not persistent, or if the target is no float; whatever the gradients' operations
    /// return.
    #[track_caller]
    pub fn gradient<S: Source>(&self, target: &Tensor, sources: impl IntoIterator<Item = S>) -> Result<Gradients> {
        if self.inner.borrow().spent {
            return Err(Error::Gradient("this tape was already asked; make it with `GradientTape::persistent()` to ask again".into()));
        }
        if !target.dtype().is_float() {
            return Err(Error::Gradient(format!("the target is {}, which has no gradient; it must be a float", target.dtype())));
        }
        let sources: Vec<S> = sources.into_iter().collect();
        let wanted: Vec<Vec<u64>> = sources.iter().map(|s| self.ids(&s.part())).collect();
        self.stop_recording(|| {
            let walk = self.walk(target, &wanted.concat())?;
            let mut gradients = Vec::with_capacity(sources.len());
            let mut reasons = Vec::with_capacity(sources.len());
            for (source, ids) in sources.iter().zip(&wanted) {
                let mut sum: Option<Tensor> = None;
                for part in ids.iter().filter_map(|id| walk.get(id)) {
                    sum = Some(accumulate(sum, part)?);
                }
                reasons.push(if sum.is_some() { String::new() } else { self.why_none(target, &source.part(), ids) });
                gradients.push(sum);
            }
            if !self.inner.borrow().persistent {
                let mut inner = self.inner.borrow_mut();
                *inner = Inner { spent: true, paused: inner.paused, ..Inner::default() };
            }
            Ok(Gradients { gradients, reasons })
        })
    }

    /// The values that stand for a source: a variable was read once or, with assignments between, several times.
    fn ids(&self, source: &SourcePart) -> Vec<u64> {
        match source {
            SourcePart::Tensor(tensor) => vec![tensor.id()],
            SourcePart::Variable(variable) => {
                let inner = self.inner.borrow();
                let mut ids: Vec<u64> = inner.variables.iter().filter(|(id, _)| *id == variable.id()).map(|(_, t)| t.id()).collect();
                ids.sort_unstable();
                ids.dedup();
                ids
            }
        }
    }

    /// The gradient of the target by every one of the values `sources` that it depends on.
    fn walk(&self, target: &Tensor, sources: &[u64]) -> Result<HashMap<u64, Tensor>> {
        let sources: HashSet<u64> = sources.iter().copied().collect();
        let leads_to = self.forward_reach(&sources);
        let mut gradients: HashMap<u64, Tensor> = HashMap::new();
        gradients.insert(target.id(), target.ones_like()?);
        let count = self.inner.borrow().entries.len();
        for index in (0..count).rev() {
            let (op, inputs, outputs) = {
                let inner = self.inner.borrow();
                let entry = &inner.entries[index];
                if !entry.outputs.iter().any(|y| gradients.contains_key(&y.id()) && leads_to.contains(&y.id())) {
                    continue;
                }
                (entry.op.clone(), entry.inputs.clone(), entry.outputs.clone())
            };
            let dys: Vec<Option<Tensor>> = outputs
                .iter()
                .map(|y| if sources.contains(&y.id()) { gradients.get(&y.id()).cloned() } else { gradients.remove(&y.id()) })
                .collect();
            let wanted: Vec<bool> = inputs.iter().map(|x| x.dtype().is_float() && leads_to.contains(&x.id())).collect();
            if !wanted.contains(&true) {
                continue;
            }
            let dxs = op.grad(&GradCx { inputs: &inputs, outputs: &outputs, dys: &dys, wanted: &wanted })?;
            assert_eq!(dxs.len(), inputs.len(), "{}: one gradient per input", op.name());
            for ((x, dx), _) in inputs.iter().zip(dxs).zip(&wanted).filter(|(_, wanted)| **wanted) {
                if let Some(dx) = dx {
                    assert_eq!(dx.spec(), x.spec(), "{}: a gradient has its input's shape", op.name());
                    let sum = accumulate(gradients.remove(&x.id()), &dx)?;
                    gradients.insert(x.id(), sum);
                }
            }
        }
        Ok(gradients)
    }

    /// The values that are computed from the sources, and the sources.
    fn forward_reach(&self, sources: &HashSet<u64>) -> HashSet<u64> {
        let mut reach = sources.clone();
        for entry in &self.inner.borrow().entries {
            if entry.inputs.iter().any(|x| reach.contains(&x.id())) {
                reach.extend(entry.outputs.iter().map(Tensor::id));
            }
        }
        reach
    }

    fn why_none(&self, target: &Tensor, source: &SourcePart, ids: &[u64]) -> String {
        let inner = self.inner.borrow();
        let on_tape = |id: u64| inner.entries.iter().any(|e| e.outputs.iter().any(|y| y.id() == id));
        match source {
            SourcePart::Variable(v) if ids.is_empty() && !v.trainable() => {
                return format!("variable {} is not trainable, so it is not watched by itself; use `tape.watch(&v.value()?)`", v.name());
            }
            SourcePart::Variable(v) if ids.is_empty() => return format!("variable {} was not read while the tape recorded", v.name()),
            SourcePart::Tensor(t) if !t.dtype().is_float() => return format!("a tensor of {} has no gradient", t.dtype()),
            SourcePart::Tensor(t) if !inner.watched.contains(&t.id()) => {
                return "the tensor is not watched; call `tape.watch(&x)` before it is used".into();
            }
            _ => {}
        }
        if !on_tape(target.id()) && !ids.contains(&target.id()) {
            return "the target was not computed from watched values while the tape recorded (through the host, while stopped, or before?)"
                .into();
        }
        "the target does not depend on it, or only through an operation without a gradient (a comparison, a whole number, stop_gradient)"
            .into()
    }
}

/// The only place where gradients are added up.
fn accumulate(sum: Option<Tensor>, part: &Tensor) -> Result<Tensor> {
    match sum {
        Some(sum) => sum.add(part),
        None => Ok(part.clone()),
    }
}

/// Tells every tape of this thread of an operation.
pub(crate) fn note(op: &Arc<dyn Op>, inputs: &[&Tensor], outputs: &[Tensor]) {
    each_recording(|inner| {
        if inputs.iter().any(|x| inner.watched.contains(&x.id())) {
            inner.watched.extend(outputs.iter().filter(|y| y.dtype().is_float()).map(Tensor::id));
            inner.entries.push(Entry { op: op.clone(), inputs: inputs.iter().map(|x| (*x).clone()).collect(), outputs: outputs.to_vec() });
        }
    });
}

/// Tells every tape of this thread that a trainable variable was read.
pub(crate) fn note_read(variable: &Variable, value: &Tensor) {
    each_recording(|inner| {
        if !inner.ignores_variables && inner.watched.insert(value.id()) {
            inner.variables.push((variable.id(), value.clone()));
        }
    });
}

/// Whether a tape of this thread is recording.
pub(crate) fn is_recording() -> bool {
    let mut any = false;
    each_recording(|_| any = true);
    any
}

fn each_recording(mut f: impl FnMut(&mut Inner)) {
    TAPES.with_borrow_mut(|tapes| {
        tapes.retain(|tape| tape.strong_count() > 0);
        for tape in tapes.iter().filter_map(Weak::upgrade) {
            let mut inner = tape.borrow_mut();
            if inner.paused == 0 && !inner.spent {
                f(&mut inner);
            }
        }
    });
}

impl Index<usize> for Gradients {
    type Output = Option<Tensor>;
    fn index(&self, i: usize) -> &Option<Tensor> {
        &self.gradients[i]
    }
}
