//! What layers are given: at building a place for their weights, at calling the mode.

use super::{ActivationFn, Base, WeightOptions};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::initializers::InitializerArg;
use crate::ops::pointwise::map1;
use crate::ops::random::SeedGenerator;
use crate::record::{Scope, outside_traces};
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::variable::Variable;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Where a model's weights are made, and the random numbers they start from.
pub struct Build {
    device: Device,
    seed: u64,
    streams: Cell<u64>,
    /// Whether weights get memory, or are only noted with their shapes.
    makes: bool,
}

impl Build {
    /// A model on this device; every weight draws from a stream of its own of the seed.
    pub fn new(device: &Device, seed: u64) -> Build {
        Build { device: device.clone(), seed, streams: Cell::new(0), makes: true }
    }

    /// For working out shapes: weights get no memory.
    pub(crate) fn shapes_only(device: &Device) -> Build {
        Build { makes: false, ..Build::new(device, 0) }
    }

    /// Where the weights are made.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Gives the layer an f32 weight, if it has none of this name yet: trained, unless the layer is frozen.
    ///
    /// # Errors
    /// [`Error::NotReady`] if it has one of another shape; [`Error::Argument`] for an option whose name names nothing;
    /// [`Error::OutOfMemory`] with the weight's name.
    pub fn weight(&self, layer: &Base, name: &'static str, shape: impl Into<Shape>, options: &WeightOptions) -> Result<()> {
        let shape = shape.into();
        self.add(layer, name, &shape, &shape, options, true)
    }

    /// [`Build::weight`] for a weight whose first values are those of another shape with as many elements, in its order: the fans of an
    /// attention's kernel are not those of its last axes.
    ///
    /// # Errors
    /// As [`Build::weight`].
    pub fn weight_like(
        &self,
        layer: &Base,
        name: &'static str,
        shape: impl Into<Shape>,
        like: impl Into<Shape>,
        options: &WeightOptions,
    ) -> Result<()> {
        let (shape, like) = (shape.into(), like.into());
        assert_eq!(shape.elements(), like.elements(), "{name}: the same number of elements");
        self.add(layer, name, &shape, &like, options, true)
    }

    /// Gives the layer an f32 weight that optimizers never change: a moving average.
    ///
    /// # Errors
    /// As [`Build::weight`].
    pub fn state(&self, layer: &Base, name: &'static str, shape: impl Into<Shape>, initializer: impl Into<InitializerArg>) -> Result<()> {
        let shape = shape.into();
        self.add(layer, name, &shape, &shape, &WeightOptions::new(initializer), false)
    }

    fn add(&self, layer: &Base, name: &'static str, shape: &Shape, like: &Shape, options: &WeightOptions, learns: bool) -> Result<()> {
        let usable = options.check().and_then(|()| options.initializer.get()?.check(like));
        usable.map_err(|e| e.at(layer.title()))?;
        let path = match Scope::path() {
            Some(path) => format!("{path}/{name}"),
            None => format!("{}/{name}", layer.name()),
        };
        let make = || {
            let values = options.initializer.get()?.values(like, self.seed, self.stream());
            outside_traces(|| {
                let value = Tensor::new(&self.device, shape, &values).map_err(|e| e.at(path.as_str()))?;
                Variable::new(path.as_str(), &value)
            })
        };
        layer.add_weight(name, shape, options, learns, if self.makes { Some(&make) } else { None })
    }

    /// Gives the layer a source of random numbers, for drawing at every call.
    ///
    /// # Errors
    /// Whatever making its counter returns.
    pub fn seeds(&self, layer: &Base) -> Result<()> {
        if !self.makes {
            return Ok(());
        }
        layer.add_seeds(|| {
            // Multiplying by an odd constant (2⁶⁴ divided by the golden ratio) keeps streams of neighbouring seeds apart.
            let seed = self.seed ^ self.stream().wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            outside_traces(|| SeedGenerator::new(&self.device, seed))
        })
    }

    fn stream(&self) -> u64 {
        self.streams.replace(self.streams.get() + 1)
    }
}

/// How a layer is called.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Call {
    /// Training (dropout drops) or inference (it does not). Default: inference.
    pub training: bool,
    valid: Option<Tensor>,
    builder: Option<Rc<Build>>,
    losses: Rc<RefCell<Vec<Tensor>>>,
    log: Option<Rc<RefCell<Log>>>,
}

/// What was called, in order.
#[derive(Default)]
pub(crate) struct Log {
    depth: usize,
    pub entries: Vec<Applied>,
}

/// A layer that was called.
pub(crate) struct Applied {
    pub base: Base,
    /// 0 for a layer of the model, 1 for a layer of a layer of it.
    pub depth: usize,
    /// Whether it has layers itself.
    pub outer: bool,
    pub activation: Option<ActivationFn>,
    pub inputs: Vec<(u64, Spec)>,
    pub outputs: Vec<(u64, Spec)>,
    /// The outputs, if they are to be looked at later.
    pub values: Vec<Tensor>,
}

impl Call {
    /// A call that is part of a training step, or not.
    pub fn new(training: bool) -> Call {
        Call { training, ..Call::default() }
    }

    /// A call that is part of a training step.
    pub fn training() -> Call {
        Call::new(true)
    }

    /// A call that only asks for outputs.
    pub fn inference() -> Call {
        Call::new(false)
    }

    /// Which rows of the batch are samples (1) and which fill it up (0), f32 `[n]`; `None` if all are samples. For layers that look at several
    /// samples at once, as batch normalization does.
    pub fn valid(&self) -> Option<&Tensor> {
        self.valid.as_ref()
    }

    /// The same call with some rows of the batch declared filling.
    #[must_use]
    pub fn with_valid(self, valid: Option<Tensor>) -> Call {
        Call { valid, ..self }
    }

    /// Adds to the loss of the step: a tensor without axes.
    pub fn add_loss(&self, loss: Tensor) {
        self.losses.borrow_mut().push(loss);
    }

    /// What [`Call::add_loss`] was given so far.
    pub fn losses(&self) -> Vec<Tensor> {
        self.losses.borrow().clone()
    }

    /// Adds what the size of a layer's outputs costs, a mean over the samples.
    pub(super) fn charge(&self, base: &Base, outputs: &[Tensor]) -> Result<()> {
        let Some(rule) = base.activity_regularizer().get().map_err(|e| e.at(base.title()))? else { return Ok(()) };
        for y in outputs {
            // Squares of f16 are soon more than f16 can hold.
            let y = &y.cast(y.dtype().computed())?;
            let [samples, ..] = y.shape()[..] else { return Err(Error::shape(base.title(), "outputs with a batch axis", y.shape())) };
            let cost = match &self.valid {
                Some(valid) => {
                    // A row that only fills up the batch costs nothing.
                    let aligned = valid.reshape([&[samples][..], &vec![1; y.rank() - 1]].concat())?;
                    let kept = map1(&[y, &aligned], |e| e[1].ne(&e[1].number(0.0)).select(&e[0], &e[0].number(0.0)))?;
                    rule.penalty(&kept)?.div(&valid.sum_all()?)?
                }
                None => rule.penalty(y)?.mul_scalar(1.0 / samples.max(1) as f64)?,
            };
            self.add_loss(cost);
        }
        Ok(())
    }

    /// A call in which every layer is built before it is called.
    pub(crate) fn building(training: bool, build: Rc<Build>) -> Call {
        Call { builder: Some(build), ..Call::new(training) }
    }

    /// The same call, noting every layer that is called.
    pub(crate) fn logging(self) -> Call {
        Call { log: Some(Rc::default()), ..self }
    }

    /// Ends the noting.
    pub(crate) fn take_log(&self) -> Vec<Applied> {
        self.log.as_ref().map_or_else(Vec::new, |log| std::mem::take(&mut log.borrow_mut().entries))
    }

    pub(super) fn builder(&self) -> Option<&Build> {
        self.builder.as_deref()
    }

    /// Runs a layer's call, and notes it.
    pub(super) fn note(
        &self,
        base: &Base,
        outer: bool,
        activation: Option<ActivationFn>,
        xs: &[Tensor],
        run: impl FnOnce() -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Tensor>> {
        let Some(log) = &self.log else { return run() };
        let depth = log.borrow().depth;
        log.borrow_mut().depth += 1;
        let ys = run();
        log.borrow_mut().depth = depth;
        let ys = ys?;
        let specs = |tensors: &[Tensor]| tensors.iter().map(|t| (t.id(), t.spec().clone())).collect();
        // While shapes are worked out there is nothing to be looked at.
        let values = if self.builder.is_some() { Vec::new() } else { ys.clone() };
        let entry = Applied { base: base.clone(), depth, outer, activation, inputs: specs(xs), outputs: specs(&ys), values };
        log.borrow_mut().entries.push(entry);
        Ok(ys)
    }
}

/// The one input of a layer that takes one.
pub(super) fn only<'a, T>(base: &Base, inputs: &'a [T]) -> Result<&'a T> {
    match inputs {
        [one] => Ok(one),
        _ => Err(Error::argument(format!("{}: inputs", base.title()), "one", inputs.len())),
    }
}

/// The one output of a layer that was called for one.
pub(super) fn only_output(base: &Base, mut outputs: Vec<Tensor>) -> Result<Tensor> {
    match (outputs.pop(), outputs.len()) {
        (Some(one), 0) => Ok(one),
        (_, more) => Err(Error::argument(format!("{}: outputs", base.title()), "one; for several, use `apply_all`", more + 1)),
    }
}
