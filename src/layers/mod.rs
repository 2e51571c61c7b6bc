//! The layers, written with tensor operations only: they know no device, no shader and no buffer.

mod activations;
mod attention;
mod base;
mod build;
mod conv;
mod dense;
mod embedding;
mod find;
mod finish;
mod images;
mod merging;
mod normalization;
mod options;
mod padding;
mod policy;
mod pooling;
mod preprocessing;
mod recurrent;
mod regularization;
mod reshaping;
mod sizes;

pub use activations::{Activation, ActivationArg, ActivationFn, ELU, LeakyReLU, PReLU, ReLU, Softmax};
pub use attention::{AdditiveAttention, Attention, MultiHeadAttention, ScoreMode};
pub use base::Base;
pub use build::{Build, Call};
pub use conv::{Conv1D, Conv1DTranspose, Conv2D, Conv2DTranspose, DepthwiseConv1D, DepthwiseConv2D, SeparableConv1D, SeparableConv2D};
pub use dense::Dense;
pub use embedding::Embedding;
pub use find::{Found, Layers, Missed, Probe};
pub use gradus_derive::Layers;
pub use merging::{Add, Average, Concatenate, Dot, DotAxes, Maximum, Minimum, Multiply, Subtract};
pub use normalization::{BatchNormalization, GroupNormalization, LayerNormalization, RMSNormalization, UnitNormalization};
pub use options::WeightOptions;
pub use padding::PaddingArg;
pub use policy::{DTypePolicy, DTypePolicyArg};
pub use pooling::{
    AveragePooling1D, AveragePooling2D, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalMaxPooling1D, GlobalMaxPooling2D,
    MaxPooling1D, MaxPooling2D,
};
pub use preprocessing::{Normalization, Rescaling};
pub use recurrent::{
    Bidirectional, Cell, CellWeights, GRU, GRUCell, Gated, LSTM, LSTMCell, MergeArg, MergeMode, RNN, SimpleRNN, SimpleRNNCell,
    TimeDistributed, TimeStep,
};
pub use regularization::{
    ActivityRegularization, AlphaDropout, Dropout, GaussianDropout, GaussianNoise, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D,
};
pub use reshaping::{
    Cropping1D, Cropping2D, Flatten, Interpolation, InterpolationArg, Permute, RepeatVector, Reshape, UpSampling1D, UpSampling2D,
    ZeroPadding1D, ZeroPadding2D,
};
pub use sizes::{Edges, Numbers, Size};

pub use crate::shape::Axes;

pub(crate) use build::Applied;

use crate::error::{Error, Result};
use crate::models::{IntoSymbols, Symbol};
use crate::record::Scope;
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::collections::HashSet;
use std::sync::Arc;

/// A step of a model: it makes its weights when it first learns the shape of its input, and computes with them.
///
/// Clones of a layer are the same layer. A layer of one's own has a [`Base`], makes weights in `build`, and computes in `call`:
///
/// ```
/// use gradus::prelude::*;
///
/// #[derive(Clone)]
/// struct Scale {
///     base: Base,
/// }
///
/// impl Layer for Scale {
///     fn base(&self) -> &Base {
///         &self.base
///     }
///     fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
///         cx.weight(&self.base, "factor", [input[0]], &WeightOptions::new("ones"))
///     }
///     fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
///         x.mul(&self.base.value("factor")?)
///     }
/// }
///
/// let scale = Scale { base: Base::new("Scale") };
/// let mut model = Sequential::new().add(scale).input([3]).on_device(&Device::cpu());
/// assert_eq!(model.summary()?.lines().next(), Some("Model: \"sequential\""));
/// assert_eq!(model.count_params(), 3);
/// # Ok::<(), gradus::Error>(())
/// ```
pub trait Layer: Send + Sync {
    /// Its kind, name and weights.
    fn base(&self) -> &Base;

    /// Makes the weights for inputs of this shape, which has no batch axis. Called before every call while a model is built; weights that are
    /// there already stay. Default: there are none.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that the layer cannot take; [`Error::Argument`] for a configuration that makes no sense; what
    /// [`Build::weight`] returns.
    fn build(&self, _input: &Shape, _cx: &Build) -> Result<()> {
        Ok(())
    }

    /// The outputs for a batch of inputs. The first axis of both is the batch. Layers inside are called by [`Layer::apply`].
    ///
    /// # Errors
    /// [`Error::NotReady`] before `build`; [`Error::Shape`] for inputs of another shape than it was built for.
    fn call(&self, _x: &Tensor, _cx: &Call) -> Result<Tensor> {
        Err(Error::argument(format!("{}: inputs", self.base().title()), "several: use `apply_all`", 1))
    }

    /// [`Layer::build`] for a layer with several inputs.
    ///
    /// # Errors
    /// As [`Layer::build`]; [`Error::Argument`] for a wrong number of inputs.
    fn build_all(&self, inputs: &[Shape], cx: &Build) -> Result<()> {
        self.build(build::only(self.base(), inputs)?, cx)
    }

    /// [`Layer::call`] for a layer with several inputs or outputs.
    ///
    /// # Errors
    /// As [`Layer::call`]; [`Error::Argument`] for a wrong number of inputs.
    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        Ok(vec![self.call(build::only(self.base(), xs)?, cx)?])
    }

    /// The layers inside it, in the order they were declared.
    fn sublayers(&self) -> Vec<&dyn Layer> {
        Vec::new()
    }

    /// Whether the layer sees what it is given in the type of its [`DTypePolicy`], whole numbers too. Default: yes.
    fn autocast(&self) -> bool {
        true
    }

    /// The function that the layer applies last, if it has one: for advice on the loss.
    fn activation(&self) -> Option<ActivationFn> {
        None
    }

    /// Calls the layer, inside the `call` of a model or of another layer.
    ///
    /// # Errors
    /// As [`Layer::build`] and [`Layer::call`]; [`Error::Argument`] for a layer with several outputs.
    #[track_caller]
    fn apply(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        build::only_output(self.base(), self.apply_all(&[x], cx)?)
    }

    /// [`Layer::apply`] for a layer with several inputs or outputs.
    ///
    /// # Errors
    /// As [`Layer::build_all`] and [`Layer::call_all`].
    #[track_caller]
    fn apply_all(&self, xs: &[&Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        let base = self.base();
        let name = base.name();
        let _scope = Scope::enter(if name.is_empty() { base.kind() } else { &name });
        let dtype = base.dtype_policy()?.compute_dtype();
        // Checks run layers in f64.
        let cast = |x: &Tensor| if x.dtype() == DType::F64 { Ok(x.clone()) } else { x.cast(dtype) };
        let xs = xs.iter().map(|x| if self.autocast() { cast(x) } else { Ok((*x).clone()) }).collect::<Result<Vec<_>>>()?;
        if let Some(builder) = cx.builder() {
            let shapes = xs.iter().map(|x| without_batch(base, x)).collect::<Result<Vec<_>>>()?;
            self.build_all(&shapes, builder)?;
        }
        let ys = cx.note(base, !self.sublayers().is_empty(), self.activation(), &xs, || {
            let ys = self.call_all(&xs, cx)?;
            // What only calls other layers has its values from them.
            let casts = dtype == DType::F16 && (self.autocast() || self.sublayers().is_empty());
            ys.into_iter().map(|y| if casts && y.dtype().is_float() { cast(&y) } else { Ok(y) }).collect()
        })?;
        cx.charge(base, &ys)?;
        Ok(ys)
    }

    /// Puts the layer on top of symbolic tensors, in a functional model. Clones that are used several times share their weights.
    ///
    /// # Errors
    /// As [`Layer::build`] and [`Layer::call`]; [`Error::Argument`] for a layer with several outputs.
    fn on(&self, inputs: impl IntoSymbols) -> Result<Symbol>
    where
        Self: Clone + Sized + 'static,
    {
        Symbol::one(self.base(), Symbol::apply(Arc::new(self.clone()), inputs)?)
    }

    /// [`Layer::on`] for a layer with several outputs.
    ///
    /// # Errors
    /// As [`Layer::on`].
    fn on_all(&self, inputs: impl IntoSymbols) -> Result<Vec<Symbol>>
    where
        Self: Clone + Sized + 'static,
    {
        Symbol::apply(Arc::new(self.clone()), inputs)
    }

    /// The name in its model: `conv2d_1`. Empty until the user or the model gives one.
    fn name(&self) -> String {
        self.base().name()
    }

    /// Its weights and those of the layers inside it, each once; empty before they are made.
    fn variables(&self) -> Vec<Variable> {
        let inner = self.sublayers().into_iter().flat_map(|layer| layer.variables());
        let mut seen = HashSet::new();
        self.base().variables().into_iter().chain(inner).filter(|v| seen.insert(v.id())).collect()
    }

    /// A copy of every weight, in the order of [`Layer::variables`].
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    fn get_weights(&self) -> Result<Vec<ndarray::ArrayD<f32>>> {
        self.variables().iter().map(|v| v.value()?.to_array()).collect()
    }

    /// Replaces every weight.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of weights or another shape of one; then none is replaced.
    fn set_weights(&self, weights: &[ndarray::ArrayD<f32>]) -> Result<()> {
        let variables = self.variables();
        let what = || format!("{}: set_weights", self.name());
        if variables.len() != weights.len() {
            let error = Error::shape(what(), format!("{} arrays", variables.len()), format!("{}", weights.len()));
            return Err(if variables.is_empty() { error.hint("it is not built yet") } else { error });
        }
        if let Some((v, w)) = variables.iter().zip(weights).find(|(v, w)| v.shape()[..] != *w.shape()) {
            return Err(Error::shape(format!("{}: {}", what(), v.name()), v.shape().to_string(), format!("{:?}", w.shape())));
        }
        variables.iter().zip(weights).try_for_each(|(v, w)| v.assign(&Tensor::from_array(v.device(), w)?))
    }

    /// Freezes or unfreezes the layer and those inside it. The next step that is taken goes by it.
    fn set_trainable(&self, trainable: bool) {
        self.base().set_trainable(trainable);
        self.sublayers().into_iter().for_each(|layer| layer.set_trainable(trainable));
    }
}

impl<L: Layer + ?Sized> Layer for Arc<L> {
    fn base(&self) -> &Base {
        (**self).base()
    }
    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        (**self).build(input, cx)
    }
    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        (**self).call(x, cx)
    }
    fn build_all(&self, inputs: &[Shape], cx: &Build) -> Result<()> {
        (**self).build_all(inputs, cx)
    }
    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        (**self).call_all(xs, cx)
    }
    fn sublayers(&self) -> Vec<&dyn Layer> {
        (**self).sublayers()
    }
    fn autocast(&self) -> bool {
        (**self).autocast()
    }
    fn activation(&self) -> Option<ActivationFn> {
        (**self).activation()
    }
}

/// The shape of one sample of a batch.
pub(crate) fn without_batch(base: &Base, x: &Tensor) -> Result<Shape> {
    match x.shape().split_first() {
        Some((_, sample)) => Ok(Shape::from(sample)),
        None => Err(Error::shape(base.title(), "a batch: a first axis that counts samples", x.shape())),
    }
}

/// Checks that the batch `x` has the last axis that the layer was built for.
fn check_last_axis(base: &Base, x: &Tensor, expected: usize) -> Result<()> {
    if x.shape().last() == Some(&expected) {
        return Ok(());
    }
    Err(Error::shape(base.title(), format!("{expected} on the last axis, which it was built for"), x.shape())
        .hint("give the model inputs of the shape it was built with, or make a new model"))
}

/// The builder methods that every layer with a `base: Base` has.
macro_rules! named {
    () => {
        /// What the layer computes in, by itself or by name. Default: what the model says, `"float32"` if it says nothing.
        #[must_use]
        pub fn dtype_policy(self, policy: impl Into<crate::layers::DTypePolicyArg>) -> Self {
            self.base.set_dtype_policy(policy);
            self
        }

        /// What the size of the outputs costs, divided by the number of samples. Default: nothing.
        #[must_use]
        pub fn activity_regularizer(self, regularizer: impl Into<crate::regularizers::RegularizerArg>) -> Self {
            self.base.set_activity_regularizer(regularizer);
            self
        }

        /// The name in its model. Default: the kind in snake case with a number.
        #[must_use]
        pub fn named(self, name: impl Into<String>) -> Self {
            self.base.rename(name);
            self
        }
    };
}
use named;

/// The builder methods for a field of [`WeightOptions`], which may lie in another: `gamma: affine.gamma`.
macro_rules! weight_options {
    ($field:ident, $($method:ident),+) => {
        crate::layers::weight_options!($field: $field, $($method),+);
    };
    ($name:ident: $($field:ident).+, $initializer:ident, $regularizer:ident, $constraint:ident) => {
        #[doc = concat!("What the ", stringify!($name), " starts as. Default: see the layer.")]
        #[must_use]
        pub fn $initializer(mut self, initializer: impl Into<crate::initializers::InitializerArg>) -> Self {
            self.$($field).+.initializer = initializer.into();
            self
        }

        #[doc = concat!("What the size of the ", stringify!($name), " costs. Default: nothing.")]
        #[must_use]
        pub fn $regularizer(mut self, regularizer: impl Into<crate::regularizers::RegularizerArg>) -> Self {
            self.$($field).+.regularizer = regularizer.into();
            self
        }

        #[doc = concat!("Where the ", stringify!($name), " is kept after every update. Default: anywhere.")]
        #[must_use]
        pub fn $constraint(mut self, constraint: impl Into<crate::constraints::ConstraintArg>) -> Self {
            self.$($field).+.constraint = constraint.into();
            self
        }
    };
}
use weight_options;
