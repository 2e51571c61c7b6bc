//! A stack of layers.

use super::Compiled;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::layers::{Build, Call, Layer, Namer, title};
use crate::record::Scope;
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;
use crate::variable::Variable;

/// Layers, each of which takes what the one before gives.
///
/// Its weights are made when the shape of the input is known: from [`Sequential::input`] at `compile`, or else from the data at `fit`. They
/// depend on the seed alone, not on the device.
#[derive(Default)]
pub struct Sequential {
    name: String,
    layers: Vec<Box<dyn Layer>>,
    input: Option<Shape>,
    device: Option<Device>,
    seed: u64,
    built: Option<Built>,
    compiled: Option<Compiled>,
}

struct Built {
    device: Device,
    input: Shape,
    /// The output of each layer, without the batch axis.
    outputs: Vec<Shape>,
}

impl Sequential {
    /// A model without layers, of seed 0.
    pub fn new() -> Sequential {
        Sequential { name: "sequential".into(), ..Sequential::default() }
    }

    /// Puts a layer on top.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it is Keras's name, and adds no numbers")]
    pub fn add(mut self, layer: impl Layer + 'static) -> Sequential {
        self.layers.push(Box::new(layer));
        self
    }

    /// The shape of one sample: `[28, 28, 1]`. Default: the shape of the data.
    #[must_use]
    pub fn input(mut self, shape: impl Into<Shape>) -> Sequential {
        self.input = Some(shape.into());
        self
    }

    /// Where it lives. Default: [`Device::best`].
    #[must_use]
    pub fn on(mut self, device: &Device) -> Sequential {
        self.device = Some(device.clone());
        self
    }

    /// What its first weights, its dropout and the order of its batches are drawn from. Default: 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Sequential {
        self.seed = seed;
        self
    }

    /// Its name in the summary. Default: `sequential`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Sequential {
        self.name = name.into();
        self
    }

    /// Makes the weights for samples of this shape (without the batch axis). Does nothing if it was done for this shape.
    ///
    /// # Errors
    /// What the first layer that cannot take its input returns; [`Error::NotReady`] without layers, or if it was built for another shape;
    /// [`Error::Argument`] for two layers of one name; [`Error::Device`].
    pub fn build(&mut self, input: impl Into<Shape>) -> Result<()> {
        let input = input.into();
        if let Some(built) = &self.built {
            return if built.input == input {
                Ok(())
            } else {
                Err(Error::NotReady(format!("{}: it was built for samples of {}, not {input}; make a new model", self.name, built.input)))
            };
        }
        if self.layers.is_empty() {
            return Err(Error::NotReady(format!("{}: it has no layers; add some", self.name)));
        }
        self.name_layers()?;
        let device = self.device.clone().map_or_else(Device::best, Ok)?;
        let mut cx = Build::new(&device, self.seed);
        let mut outputs = Vec::with_capacity(self.layers.len());
        let mut shape = input.clone();
        for layer in &mut self.layers {
            shape = layer.build(&shape, &mut cx)?;
            outputs.push(shape.clone());
        }
        self.built = Some(Built { device, input, outputs });
        Ok(())
    }

    fn name_layers(&mut self) -> Result<()> {
        let mut names = Namer::default();
        for layer in self.layers.iter().filter(|layer| !layer.name().is_empty()) {
            if !names.take(layer.name()) {
                return Err(Error::argument(
                    format!("{}: layer names", self.name),
                    "a name of its own for each",
                    format!("{:?} twice", layer.name()),
                ));
            }
        }
        for layer in self.layers.iter_mut().filter(|layer| layer.name().is_empty()) {
            let name = names.next(layer.kind());
            layer.set_name(&name);
        }
        Ok(())
    }

    /// The outputs for a batch `[n, …]`. Whole numbers become f32; a missing last axis of 1 is added.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is built; [`Error::Shape`] for samples of another shape; [`Error::Device`] for a batch elsewhere.
    #[track_caller]
    pub fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        let mut y = self.adapt(x)?;
        for layer in &self.layers {
            y = self.call_layer(layer.as_ref(), &y, cx)?;
        }
        Ok(y)
    }

    #[track_caller]
    pub(crate) fn call_layer(&self, layer: &dyn Layer, x: &Tensor, cx: &Call) -> Result<Tensor> {
        let _scope = Scope::enter(layer.name());
        layer.call(x, cx)
    }

    /// A batch as the first layer takes it.
    pub(crate) fn adapt(&self, x: &Tensor) -> Result<Tensor> {
        let built = self.ready()?;
        let x = if x.dtype().is_float() { x.clone() } else { x.cast(DType::F32)? };
        match x.shape().split_first() {
            Some((_, sample)) if *sample == built.input[..] => Ok(x),
            Some((&n, sample)) if [sample, &[1]].concat() == built.input[..] => x.reshape([&[n], &built.input[..]].concat()),
            _ => Err(Error::shape(&self.name, format!("a batch of samples of {}", built.input), x.shape())
                .hint("the first axis counts the samples; reshape the data, or build a new model for it")),
        }
    }

    fn ready(&self) -> Result<&Built> {
        let not_yet =
            || Error::NotReady(format!("{}: it has no weights yet; give it its input shape with `.input(..)` or `build`", self.name));
        self.built.as_ref().ok_or_else(not_yet)
    }

    /// The layers, first to last.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = &dyn Layer> {
        self.layers.iter().map(AsRef::as_ref)
    }

    /// The layer of this name.
    ///
    /// # Errors
    /// [`Error::Argument`] listing the names there are.
    pub fn get_layer(&self, name: &str) -> Result<&dyn Layer> {
        self.layers().find(|layer| layer.name() == name).ok_or_else(|| {
            let names: Vec<String> = self.layers().map(title).collect();
            Error::argument("get_layer", format!("one of {}", names.join(", ")), format!("{name:?}"))
        })
    }

    /// The weights of all layers, in their order; empty before the model is built.
    pub fn variables(&self) -> Vec<Variable> {
        self.layers.iter().flat_map(|layer| layer.variables()).collect()
    }

    /// The weights that training changes.
    pub fn trainable_variables(&self) -> Vec<Variable> {
        self.variables().into_iter().filter(Variable::trainable).collect()
    }

    /// The number of numbers in its weights.
    pub fn count_params(&self) -> usize {
        self.variables().iter().map(|v| v.shape().elements()).sum()
    }

    /// A copy of every weight, in the order of [`Sequential::variables`].
    ///
    /// # Errors
    /// What the device reports.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn get_weights(&self) -> Result<Vec<ndarray::ArrayD<f32>>> {
        self.variables().iter().map(|v| v.value()?.to_array()).collect()
    }

    /// Replaces every weight.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of weights or another shape of one; then none is replaced.
    pub fn set_weights(&self, weights: &[ndarray::ArrayD<f32>]) -> Result<()> {
        let variables = self.variables();
        if variables.len() != weights.len() {
            let error = Error::shape("set_weights", format!("{} arrays", variables.len()), format!("{}", weights.len()));
            return Err(if variables.is_empty() { error.hint("the model is not built yet") } else { error });
        }
        if let Some((v, w)) = variables.iter().zip(weights).find(|(v, w)| v.shape()[..] != *w.shape()) {
            return Err(Error::shape(format!("set_weights: {}", v.name()), v.shape().to_string(), format!("{:?}", w.shape())));
        }
        variables.iter().zip(weights).try_for_each(|(v, w)| v.assign(&Tensor::from_array(v.device(), w)?))
    }

    /// Where its weights are.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is built.
    pub fn device(&self) -> Result<&Device> {
        Ok(&self.ready()?.device)
    }

    /// The shape of one sample, if it is known.
    pub fn input_shape(&self) -> Option<&Shape> {
        self.built.as_ref().map(|built| &built.input).or(self.input.as_ref())
    }

    /// The shape of one output.
    ///
    /// # Errors
    /// [`Error::NotReady`] before it is built.
    pub fn output_shape(&self) -> Result<&Shape> {
        let built = self.ready()?;
        Ok(built.outputs.last().expect("a model without layers is not built"))
    }

    /// The seed it was given.
    pub fn seed_value(&self) -> u64 {
        self.seed
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What `compile` gave it.
    pub fn compiled(&self) -> Option<&Compiled> {
        self.compiled.as_ref()
    }

    /// What `compile` gave it: to change the learning rate, for instance.
    pub fn compiled_mut(&mut self) -> Option<&mut Compiled> {
        self.compiled.as_mut()
    }

    pub(super) fn set_compiled(&mut self, compiled: Compiled) {
        self.compiled = Some(compiled);
    }

    /// A table of the layers with their output shapes and numbers of parameters, as Keras draws it. Builds the model if its input shape is
    /// known; before that, shapes are `?`.
    ///
    /// # Errors
    /// As [`Sequential::build`].
    pub fn summary(&mut self) -> Result<String> {
        match self.input_shape().cloned() {
            Some(input) => self.build(input)?,
            None => self.name_layers()?,
        }
        let outputs = self.built.as_ref().map(|built| built.outputs.as_slice());
        let optimizer = self.compiled.as_ref().map_or_else(Vec::new, |compiled| compiled.optimizer.variables());
        Ok(super::summary::draw(&self.name, &self.layers, outputs, &optimizer))
    }
}
