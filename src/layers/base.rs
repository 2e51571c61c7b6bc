//! What every layer has: a kind, a name, weights, and whether these are trained.

use super::options::WeightOptions;
use super::policy::{DTypePolicy, DTypePolicyArg, Policy};
use crate::error::{Error, Result};
use crate::ops::random::SeedGenerator;
use crate::record;
use crate::regularizers::RegularizerArg;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::{Tensor, lock};
use crate::variable::Variable;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// The part that all layers share. Clones are the same layer: they have one name and the same weights.
#[derive(Clone)]
pub struct Base {
    inner: Arc<Inner>,
}

struct Inner {
    kind: &'static str,
    name: Mutex<Name>,
    trainable: AtomicBool,
    weights: Mutex<Vec<Weight>>,
    seeds: Mutex<Option<SeedGenerator>>,
    activity: Mutex<RegularizerArg>,
    policy: Mutex<Policy>,
    /// Whether its formula needs its weights as they are, whatever its policy.
    keeps_f32: bool,
}

#[derive(Default)]
struct Name {
    text: String,
    /// Whether a model gave it, which may then give it another.
    is_automatic: bool,
}

struct Weight {
    name: &'static str,
    shape: Shape,
    /// Whether optimizers change it when the layer is trainable.
    learns: bool,
    /// `None` while only the shapes of a model are worked out.
    variable: Option<Variable>,
}

impl Base {
    /// A layer of this kind (the type's name, as Keras spells it: `Conv2D`) without a name and without weights.
    pub fn new(kind: &'static str) -> Base {
        Base::made(kind, false)
    }

    /// [`Base::new`] for a layer that gets its weights in f32 under every [`DTypePolicy`]: one that normalizes or looks up.
    pub fn keeping_f32(kind: &'static str) -> Base {
        Base::made(kind, true)
    }

    fn made(kind: &'static str, keeps_f32: bool) -> Base {
        Base {
            inner: Arc::new(Inner {
                kind,
                name: Mutex::default(),
                trainable: AtomicBool::new(true),
                weights: Mutex::default(),
                seeds: Mutex::default(),
                activity: Mutex::default(),
                policy: Mutex::default(),
                keeps_f32,
            }),
        }
    }

    /// The name of the type: `Conv2D`.
    pub fn kind(&self) -> &'static str {
        self.inner.kind
    }

    /// The name in its model: `conv2d_1`. Empty until the user or the model gives one.
    pub fn name(&self) -> String {
        lock(&self.inner.name).text.clone()
    }

    /// Renames it; weights take their names from it when they are made.
    pub fn rename(&self, name: impl Into<String>) {
        *lock(&self.inner.name) = Name { text: name.into(), is_automatic: false };
    }

    /// Gives a name that another model may replace.
    pub(crate) fn rename_automatically(&self, name: impl Into<String>) {
        *lock(&self.inner.name) = Name { text: name.into(), is_automatic: true };
    }

    /// Whether no user gave the name.
    pub(crate) fn is_named_automatically(&self) -> bool {
        lock(&self.inner.name).is_automatic
    }

    /// How errors and tables speak of it: `conv2d (Conv2D)`, or `Conv2D` before it has a name.
    pub fn title(&self) -> String {
        let name = self.name();
        if name.is_empty() { self.kind().to_string() } else { format!("{name} ({})", self.kind()) }
    }

    /// What the size of its outputs costs: added to the loss by [`Layer::apply`](super::Layer::apply), divided by the number of samples.
    pub fn activity_regularizer(&self) -> RegularizerArg {
        lock(&self.inner.activity).clone()
    }

    /// Sets what the size of its outputs costs.
    pub fn set_activity_regularizer(&self, regularizer: impl Into<RegularizerArg>) {
        *lock(&self.inner.activity) = regularizer.into();
    }

    /// What it computes in. Default: f32.
    ///
    /// # Errors
    /// [`Error::Argument`] if it was named by a text that names none.
    pub fn dtype_policy(&self) -> Result<DTypePolicy> {
        lock(&self.inner.policy).get().map_err(|e| e.at(self.title()))
    }

    /// Sets what it computes in, whatever its model computes in.
    pub fn set_dtype_policy(&self, policy: impl Into<DTypePolicyArg>) {
        lock(&self.inner.policy).set(policy.into());
    }

    /// Sets what it computes in unless it has a policy of its own.
    pub(crate) fn inherit_dtype_policy(&self, policy: DTypePolicy) {
        lock(&self.inner.policy).inherit(policy);
    }

    /// With the policy of another layer.
    pub(super) fn with_policy_of(self, other: &Base) -> Base {
        *lock(&self.inner.policy) = lock(&other.inner.policy).clone();
        self
    }

    /// Whether its weights are trained. Default: yes.
    pub fn trainable(&self) -> bool {
        self.inner.trainable.load(Ordering::Relaxed)
    }

    /// Freezes or unfreezes its own weights, at once and also those that are made later.
    pub fn set_trainable(&self, trainable: bool) {
        self.inner.trainable.store(trainable, Ordering::Relaxed);
        for weight in lock(&self.inner.weights).iter() {
            if let Some(variable) = weight.variable.as_ref().filter(|_| weight.learns) {
                variable.set_trainable(trainable);
            }
        }
    }

    /// The present value of a weight.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is made.
    #[track_caller]
    pub fn value(&self, weight: &str) -> Result<Tensor> {
        let weights = lock(&self.inner.weights);
        let found = weights.iter().find(|w| w.name == weight);
        match found {
            Some(Weight { variable: Some(variable), .. }) => {
                let variable = variable.clone();
                drop(weights);
                self.computed(variable.value()?)
            }
            Some(Weight { shape, .. }) => {
                let stand_in = record::stand_in(&Spec::new(shape.clone(), DType::F32));
                self.computed(stand_in.ok_or_else(|| self.not_built())?)
            }
            None => Err(self.not_built()),
        }
    }

    /// A weight in the type that the layer computes in.
    fn computed(&self, weight: Tensor) -> Result<Tensor> {
        if self.inner.keeps_f32 { Ok(weight) } else { weight.cast(self.dtype_policy()?.compute_dtype()) }
    }

    /// The present value of a weight that the layer may do without.
    ///
    /// # Errors
    /// As [`Base::value`].
    #[track_caller]
    pub fn value_if(&self, present: bool, weight: &str) -> Result<Option<Tensor>> {
        if present { self.value(weight).map(Some) } else { Ok(None) }
    }

    /// Replaces a weight: a moving average, for instance. While only shapes are worked out, nothing happens.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is made; as [`Variable::assign`].
    pub fn assign(&self, weight: &str, value: &Tensor) -> Result<()> {
        let variable = lock(&self.inner.weights).iter().find(|w| w.name == weight).map(|w| w.variable.clone());
        match variable {
            Some(Some(variable)) => variable.assign(value),
            Some(None) => Ok(()),
            None => Err(self.not_built()),
        }
    }

    /// Its own weights, in the order they were made.
    pub fn variables(&self) -> Vec<Variable> {
        lock(&self.inner.weights).iter().filter_map(|w| w.variable.clone()).collect()
    }

    /// A source of random numbers, for a layer whose `build` asked for one.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is made.
    pub fn seeds(&self) -> Result<SeedGenerator> {
        lock(&self.inner.seeds).clone().ok_or_else(|| self.not_built())
    }

    fn not_built(&self) -> Error {
        Error::NotReady(format!(
            "{}: it has no weights yet; build the model, and call the layer with `apply`, which builds it when its model is built",
            self.title()
        ))
    }

    /// Makes the weight with `make`, or only notes its shape without; keeps one of this shape that is there.
    pub(super) fn add_weight(
        &self,
        name: &'static str,
        shape: &Shape,
        options: &WeightOptions,
        learns: bool,
        make: Option<&dyn Fn() -> Result<Variable>>,
    ) -> Result<()> {
        let mut weights = lock(&self.inner.weights);
        let at = weights.iter().position(|w| w.name == name);
        if let Some(Weight { shape: was, variable: Some(_), .. }) = at.map(|i| &weights[i]) {
            if was == shape {
                return Ok(());
            }
            return Err(Error::NotReady(format!(
                "{}: it was built with {name} {was}, and this input needs {shape}; give it inputs like the first, or make a new layer",
                self.title()
            )));
        }
        let variable = make.map(|make| make()).transpose()?;
        if let Some(variable) = &variable {
            variable.set_trainable(learns && self.trainable());
            variable.set_rules(options.regularizer.get()?, options.constraint.get()?);
        }
        let weight = Weight { name, shape: shape.clone(), learns, variable };
        match at {
            Some(i) => weights[i] = weight,
            None => weights.push(weight),
        }
        Ok(())
    }

    pub(super) fn add_seeds(&self, make: impl FnOnce() -> Result<SeedGenerator>) -> Result<()> {
        let mut seeds = lock(&self.inner.seeds);
        if seeds.is_none() {
            *seeds = Some(make()?);
        }
        Ok(())
    }

    /// A number that clones share and no other layer has.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.inner) as usize
    }
}

impl fmt::Debug for Base {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.title())
    }
}
