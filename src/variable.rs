//! `Variable`: the only thing that changes.

use crate::constraints::Constraint;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::record;
use crate::record::recording::tracing_on;
use crate::regularizers::Regularizer;
use crate::shape::{Shape, Spec};
use crate::tensor::{Tensor, lock, next_id};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A named value that can be replaced: a weight, a counter, an optimizer's moment. Clones are the same variable.
///
/// Reading gives the newest version; a tensor that was read before keeps its own.
#[derive(Clone)]
pub struct Variable {
    inner: Arc<Inner>,
}

struct Inner {
    id: u64,
    name: Mutex<String>,
    trainable: AtomicBool,
    device: Device,
    spec: Spec,
    current: Mutex<Tensor>,
    rules: Mutex<Rules>,
}

/// What its size costs, and where it is kept after every update.
#[derive(Default, Clone)]
struct Rules {
    regularizer: Option<Arc<dyn Regularizer>>,
    constraint: Option<Arc<dyn Constraint>>,
}

impl Variable {
    /// A trainable variable that starts as this value.
    ///
    /// # Errors
    /// [`Error::Trace`] while a function is traced on the device: a variable that each replay would make anew would never learn.
    pub fn new(name: impl Into<String>, value: &Tensor) -> Result<Variable> {
        let name = name.into();
        if tracing_on(value.device()).is_some() {
            return Err(Error::Trace(format!("variable {name} is created inside; create it before the function is called")));
        }
        let inner = Inner {
            id: next_id(),
            name: Mutex::new(name),
            trainable: AtomicBool::new(value.dtype().is_float()),
            device: value.device().clone(),
            spec: value.spec().clone(),
            current: Mutex::new(value.under_another_name()?),
            rules: Mutex::default(),
        };
        Ok(Variable { inner: Arc::new(inner) })
    }

    /// The same variable, not trainable: a counter, a moving average.
    #[must_use]
    pub fn untrainable(self) -> Variable {
        self.set_trainable(false);
        self
    }

    /// A number that no other variable or tensor of this process has.
    pub fn id(&self) -> u64 {
        self.inner.id
    }

    /// Its name: `conv2d/kernel`.
    pub fn name(&self) -> String {
        lock(&self.inner.name).clone()
    }

    /// Renames it.
    pub fn set_name(&self, name: impl Into<String>) {
        *lock(&self.inner.name) = name.into();
    }

    /// Whether tapes watch it and optimizers change it.
    pub fn trainable(&self) -> bool {
        self.inner.trainable.load(Ordering::Relaxed)
    }

    /// Freezes or unfreezes it. A function that was traced before keeps what it saw.
    pub fn set_trainable(&self, trainable: bool) {
        self.inner.trainable.store(trainable, Ordering::Relaxed);
    }

    /// Sets what its size costs, and where it is kept.
    pub fn set_rules(&self, regularizer: Option<Arc<dyn Regularizer>>, constraint: Option<Arc<dyn Constraint>>) {
        *lock(&self.inner.rules) = Rules { regularizer, constraint };
    }

    /// What its size costs: added to the loss by `fit`.
    pub fn regularizer(&self) -> Option<Arc<dyn Regularizer>> {
        lock(&self.inner.rules).regularizer.clone()
    }

    /// Where it is kept: applied by optimizers after every update.
    pub fn constraint(&self) -> Option<Arc<dyn Constraint>> {
        lock(&self.inner.rules).constraint.clone()
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        &self.inner.device
    }

    /// Shape and element type, which never change.
    pub fn spec(&self) -> &Spec {
        &self.inner.spec
    }

    /// The lengths of its axes.
    pub fn shape(&self) -> &Shape {
        &self.inner.spec.shape
    }

    /// Its newest version.
    ///
    /// # Errors
    /// None outside a traced function.
    #[track_caller]
    pub fn value(&self) -> Result<Tensor> {
        let value = match record::traced_value(self) {
            Some(value) => value,
            None => lock(&self.inner.current).clone(),
        };
        record::note_read(self, &value);
        Ok(value)
    }

    /// Replaces it. In a traced function every replay will.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::DType`] if the value is not like the variable; [`Error::Device`] if it is elsewhere.
    pub fn assign(&self, value: &Tensor) -> Result<()> {
        if value.device() != self.device() {
            return Err(Error::Device(format!("{}: it is on {}, the new value on {}", self.name(), self.device(), value.device())));
        }
        if value.dtype() != self.inner.spec.dtype {
            return Err(Error::dtype(format!("assign to {}", self.name()), self.inner.spec.dtype.to_string(), value.dtype()));
        }
        if *value.shape() != self.inner.spec.shape {
            return Err(Error::shape(format!("assign to {}", self.name()), self.shape().to_string(), value.shape()));
        }
        // What somebody else knows by this value must not be mistaken for the variable: no gradient passes through state.
        let known = Arc::strong_count(&value.value) > 1 || record::is_followed(value);
        let kept = if known { value.under_another_name()? } else { value.clone() };
        record::note_assign(self, value, &kept);
        if !record::traced_assign(self, &kept) {
            self.replace(kept);
        }
        Ok(())
    }

    /// Sets the value without a look at traces.
    pub(crate) fn replace(&self, value: Tensor) {
        *lock(&self.inner.current) = value;
    }

    /// The current value, outside any trace.
    pub(crate) fn current(&self) -> Tensor {
        lock(&self.inner.current).clone()
    }

    /// The current value, which nobody can take hold of or replace while the guard lives.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Tensor> {
        lock(&self.inner.current)
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Variable({}, {}, trainable: {})", self.name(), self.spec(), self.trainable())
    }
}
