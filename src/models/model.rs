//! A model: a layer with a device, a seed, and what is needed to train it.

use super::graph::Graph;
use super::subclass::{Subclass, Subclassed};
use super::symbol::{DRY_BATCH, IntoSymbols, Symbol, sample_spec, with_batch};
use super::{Compiled, naming};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::layers::{Applied, Build, Call, DTypePolicyArg, Layer};
use crate::record::dry_run;
use crate::shape::{DType, Shape, Spec};
use crate::suggest;
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::rc::Rc;
use std::sync::Arc;

/// Layers put together: [`Sequential`](super::Sequential), functional ([`Model::new`]) or the user's own ([`Model::subclass`]). All three are
/// one thing underneath: a layer, whose `call` says how the layers inside it are used.
///
/// Its weights are made when the shapes of its inputs are known, and depend on the seed alone, not on the device.
pub struct Model {
    pub(super) root: Arc<dyn Layer>,
    /// The samples it takes, as far as they are known before it is built.
    pub(super) inputs: Option<Vec<Spec>>,
    pub(super) graph: Option<Graph>,
    pub(super) stack: Option<Vec<Arc<dyn Layer>>>,
    device: Option<Device>,
    seed: u64,
    pub(super) policy: Option<DTypePolicyArg>,
    pub(super) built: Option<Built>,
    pub(super) compiled: Option<Compiled>,
}

/// What is known of a model that has its weights.
pub(crate) struct Built {
    device: Device,
    inputs: Vec<Spec>,
    /// Without the batch axis.
    pub(super) outputs: Vec<Spec>,
    /// The layers as they are called for inference, in order.
    pub applied: Vec<Applied>,
    /// The tensors that come in and go out, by the numbers that `applied` knows them by.
    pub ends: [Vec<u64>; 2],
}

impl Built {
    pub(super) fn inputs(&self) -> &[Spec] {
        &self.inputs
    }
}

impl Model {
    /// A functional model: from symbolic inputs to what layers made of them.
    ///
    /// ```
    /// use gradus::prelude::*;
    /// let x = Input::new([28, 28, 1]);
    /// let h = Flatten::new().on(&x)?;
    /// let y = Dense::new(10).activation("softmax").on(&h)?;
    /// let model = Model::new([&x], [&y])?;
    /// # Ok::<(), gradus::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Argument`] if the outputs need an input that is not given; for two layers of one name.
    pub fn new(inputs: impl IntoSymbols, outputs: impl IntoSymbols) -> Result<Model> {
        let graph = Graph::new(inputs, outputs)?;
        let mut model = Model::of(Arc::new(graph.clone()));
        model.inputs = Some(graph.inputs().iter().map(|x| x.spec().clone()).collect());
        naming::name_inputs(&graph);
        naming::name_in_order(&graph, graph.layers_as_made())?;
        model.graph = Some(graph);
        Ok(model.named("functional"))
    }

    /// A model whose computation the user wrote.
    pub fn subclass(net: impl Subclass + 'static) -> Model {
        let layer = Subclassed::new(net);
        let name = naming::snake_case(layer.base().kind());
        Model::of(Arc::new(layer)).named(name)
    }

    pub(super) fn of(root: Arc<dyn Layer>) -> Model {
        Model { root, inputs: None, graph: None, stack: None, device: None, seed: 0, policy: None, built: None, compiled: None }
    }

    /// Where it lives. Default: [`Device::best`].
    #[must_use]
    pub fn on_device(mut self, device: &Device) -> Model {
        self.device = Some(device.clone());
        self
    }

    /// What its first weights, its dropout and the order of its batches are drawn from. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Model {
        self.seed = seed;
        self
    }

    /// Its name in the summary. Default: `sequential`, `functional`, or that of the type.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Model {
        self.root.base().rename(name);
        self
    }

    /// Makes the weights for samples of this shape (without the batch axis). Does nothing if it was done for this shape.
    ///
    /// # Errors
    /// What the first layer that cannot take its input returns; [`Error::NotReady`] without layers, or if it was built for another shape;
    /// [`Error::Argument`] for two layers of one name; [`Error::Device`].
    pub fn build(&mut self, input: impl Into<Shape>) -> Result<()> {
        self.build_specs(vec![Spec::new(input, DType::F32)])
    }

    /// [`Model::build`] for several inputs.
    ///
    /// # Errors
    /// As [`Model::build`].
    pub fn build_all(&mut self, inputs: &[Shape]) -> Result<()> {
        self.build_specs(inputs.iter().map(|shape| Spec::new(shape.clone(), DType::F32)).collect())
    }

    /// Builds it for the inputs that it was declared with, or else for these.
    pub(crate) fn build_for(&mut self, found: impl FnOnce() -> Vec<Spec>) -> Result<()> {
        let inputs = match (&self.built, &self.inputs) {
            (Some(_), _) => return Ok(()),
            (None, Some(declared)) => declared.clone(),
            (None, None) => found(),
        };
        self.build_specs(inputs)
    }

    fn build_specs(&mut self, inputs: Vec<Spec>) -> Result<()> {
        if let Some(built) = &self.built {
            let shapes = |specs: &[Spec]| specs.iter().map(|s| s.shape.clone()).collect::<Vec<_>>();
            let (was, now) = (shapes(&built.inputs), shapes(&inputs));
            return if was == now {
                Ok(())
            } else {
                Err(Error::NotReady(format!(
                    "{}: it was built for samples of {}, not {}; make a new model",
                    self.name(),
                    list(&was),
                    list(&now)
                )))
            };
        }
        naming::name_layers(self.root.as_ref())?;
        let device = self.device.clone().map_or_else(Device::best, Ok)?;
        self.check_policies(&device)?;
        self.built = Some(dry_build(self.root.as_ref(), &device, self.seed, inputs)?);
        self.settle()
    }

    /// The output for a batch `[n, …]` of a model with one input and one output. A missing last axis of 1 is added.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is built; [`Error::Shape`] for samples of another shape; [`Error::Device`] for a batch elsewhere;
    /// [`Error::Argument`] if it has several inputs or outputs.
    #[track_caller]
    pub fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        let mut outputs = self.call_all(std::slice::from_ref(x), cx)?;
        match (outputs.pop(), outputs.len()) {
            (Some(one), 0) => Ok(one),
            (_, more) => Err(Error::argument(format!("{}: outputs", self.name()), "one; for several, use `call_all`", more + 1)),
        }
    }

    /// The outputs for batches of the inputs, in the order they were declared.
    ///
    /// # Errors
    /// As [`Model::call`].
    #[track_caller]
    pub fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        self.root.call_all(&self.adapt(xs)?, cx)?.iter().map(|y| y.cast(y.dtype().computed())).collect()
    }

    /// Calls the model as a layer of another model: see [`Layer::apply`].
    ///
    /// # Errors
    /// As [`Layer::apply`].
    #[track_caller]
    pub fn apply(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        self.root.apply(x, cx)
    }

    /// [`Model::apply`] for several inputs or outputs.
    ///
    /// # Errors
    /// As [`Layer::apply_all`].
    #[track_caller]
    pub fn apply_all(&self, xs: &[&Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        self.root.apply_all(xs, cx)
    }

    /// Puts the model on top of symbolic tensors, as a layer of a functional model that shares its weights.
    ///
    /// # Errors
    /// As [`Layer::on`].
    pub fn on(&self, inputs: impl IntoSymbols) -> Result<Symbol> {
        Symbol::one(self.root.base(), self.on_all(inputs)?)
    }

    /// [`Model::on`] for a model with several outputs.
    ///
    /// # Errors
    /// As [`Layer::on`].
    pub fn on_all(&self, inputs: impl IntoSymbols) -> Result<Vec<Symbol>> {
        Symbol::apply(self.root.clone(), inputs)
    }

    /// Batches as the first layers take them.
    fn adapt(&self, xs: &[Tensor]) -> Result<Vec<Tensor>> {
        let inputs = &self.ready()?.inputs;
        if xs.len() != inputs.len() {
            return Err(Error::argument(format!("{}: inputs", self.name()), inputs.len().to_string(), xs.len()));
        }
        let adapted = |(x, input): (&Tensor, &Spec)| match x.shape().split_first() {
            Some((_, sample)) if *sample == input.shape[..] => Ok(x.clone()),
            Some((&n, sample)) if [sample, &[1]].concat() == input.shape[..] || [&input.shape[..], &[1]].concat() == *sample => {
                x.reshape([&[n], &input.shape[..]].concat())
            }
            _ => Err(self.no_batch(x.shape(), &input.shape)),
        };
        xs.iter().zip(inputs).map(adapted).collect()
    }

    fn no_batch(&self, got: &Shape, sample: &Shape) -> Error {
        let hint = match got == sample {
            true => format!("this is one sample; reshape it to a batch of one, {}", Shape::from([&[1], &sample[..]].concat())),
            false => "the first axis counts the samples; reshape the data, or build a new model for it".to_string(),
        };
        Error::shape(self.name(), format!("a batch of samples of {sample}"), got).hint(hint)
    }

    pub(crate) fn ready(&self) -> Result<&Built> {
        let not_yet = || {
            let name = self.name();
            Error::NotReady(format!("{name}: it has no weights yet; give it its input shape with `.input(..)` or `build`, or train it"))
        };
        self.built.as_ref().ok_or_else(not_yet)
    }

    pub(crate) fn built(&self) -> Option<&Built> {
        self.built.as_ref()
    }

    /// The layers, in the order they were declared.
    pub fn layers(&self) -> Vec<&dyn Layer> {
        self.root.sublayers()
    }

    /// The layer of this name, also inside other layers.
    ///
    /// # Errors
    /// [`Error::Argument`] listing the names there are.
    pub fn get_layer(&self, name: &str) -> Result<&dyn Layer> {
        fn find<'a>(layers: Vec<&'a dyn Layer>, name: &str) -> Option<&'a dyn Layer> {
            layers.into_iter().find_map(|layer| if layer.name() == name { Some(layer) } else { find(layer.sublayers(), name) })
        }
        find(self.layers(), name).ok_or_else(|| {
            let names: Vec<String> = self.layers().iter().map(|layer| layer.base().title()).collect();
            let near = suggest::did_you_mean(name, &self.layers().iter().map(|layer| layer.name()).collect::<Vec<_>>());
            Error::argument("get_layer", format!("one of {}", names.join(", ")), format!("{name:?}{near}"))
        })
    }

    /// The weights of all layers, in their order; empty before the model is built.
    pub fn variables(&self) -> Vec<Variable> {
        self.root.variables()
    }

    /// The weights that training changes.
    pub fn trainable_variables(&self) -> Vec<Variable> {
        self.variables().into_iter().filter(Variable::trainable).collect()
    }

    /// The number of numbers in its weights.
    pub fn count_params(&self) -> usize {
        self.variables().iter().map(|v| v.shape().elements()).sum()
    }

    /// Freezes or unfreezes all layers. The next step that is taken goes by it.
    pub fn set_trainable(&self, trainable: bool) {
        self.root.set_trainable(trainable);
    }

    /// What is added to the loss besides the losses of the outputs: the penalties of regularizers on trainable weights, and what layers added in
    /// this call; tensors without axes. [`Model::fit`] adds them by itself.
    ///
    /// # Errors
    /// What the regularizers return.
    pub fn losses(&self, cx: &Call) -> Result<Vec<Tensor>> {
        let rules = self.trainable_variables().into_iter().filter_map(|v| Some((v.regularizer()?, v)));
        let penalties = rules.map(|(rule, variable)| rule.penalty(&variable.value()?));
        penalties.chain(cx.losses().into_iter().map(Ok)).collect()
    }

    /// A copy of every weight, in the order of [`Model::variables`].
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn get_weights(&self) -> Result<Vec<ndarray::ArrayD<f32>>> {
        self.root.get_weights()
    }

    /// Replaces every weight.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of weights or another shape of one; then none is replaced.
    pub fn set_weights(&self, weights: &[ndarray::ArrayD<f32>]) -> Result<()> {
        self.root.set_weights(weights)
    }

    /// Where its weights are.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is built.
    pub fn device(&self) -> Result<&Device> {
        Ok(&self.ready()?.device)
    }

    /// The samples of each input, if they are known: shape and element type.
    pub fn input_specs(&self) -> Option<&[Spec]> {
        self.built.as_ref().map(|built| built.inputs.as_slice()).or(self.inputs.as_deref())
    }

    /// The samples of each output: shape and element type.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is built.
    pub fn output_specs(&self) -> Result<&[Spec]> {
        Ok(&self.ready()?.outputs)
    }

    /// The seed it was given.
    pub fn seed_value(&self) -> u64 {
        self.seed
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.root.base().name()
    }

    /// What `compile` gave it.
    pub fn compiled(&self) -> Option<&Compiled> {
        self.compiled.as_ref()
    }

    /// The learning rate of the next step.
    ///
    /// # Errors
    /// [`Error::NotReady`] if it is not compiled; what the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn learning_rate(&self) -> Result<f64> {
        self.to_train("learning_rate")?.optimizer().learning_rate()
    }

    /// Sets the learning rate, also while it trains.
    ///
    /// # Errors
    /// [`Error::NotReady`] if it is not compiled; as [`Optimizer::set_learning_rate`](crate::optimizers::Optimizer::set_learning_rate).
    pub fn set_learning_rate(&self, learning_rate: f64) -> Result<()> {
        self.to_train("set_learning_rate")?.optimizer_mut().set_learning_rate(learning_rate)
    }

    /// What `compile` gave it, for a call that needs it.
    pub(crate) fn to_train(&self, call: &str) -> Result<&Compiled> {
        self.compiled.as_ref().ok_or_else(|| Error::NotReady(format!("you must call `compile()` before calling `{call}()`")))
    }
}

/// Calls the layers once without computing anything, so that each is built when it is first called.
fn dry_build(root: &dyn Layer, device: &Device, seed: u64, inputs: Vec<Spec>) -> Result<Built> {
    let build = Rc::new(Build::new(device, seed));
    let batch: Vec<Spec> = inputs.iter().map(|spec| with_batch(spec, DRY_BATCH)).collect();
    let ids = |tensors: &[Tensor]| tensors.iter().map(Tensor::id).collect::<Vec<_>>();
    // Some layers are only called in training.
    dry_run(device, &batch, |xs| root.call_all(xs, &Call::building(true, build.clone())).map(|_| ()))?;
    dry_run(device, &batch, |xs| {
        let cx = Call::building(false, build).logging();
        let ys = root.call_all(xs, &cx)?;
        let computed = |spec: Spec| Spec { dtype: spec.dtype.computed(), ..spec };
        let outputs = ys.iter().map(|y| sample_spec(root.base(), y).map(computed)).collect::<Result<Vec<_>>>()?;
        Ok(Built { device: device.clone(), inputs, outputs, applied: cx.take_log(), ends: [ids(xs), ids(&ys)] })
    })
}

fn list(shapes: &[Shape]) -> String {
    shapes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}
