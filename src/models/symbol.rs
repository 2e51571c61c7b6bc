//! Symbolic tensors: what functional models are drawn with.

use crate::device::Device;
use crate::error::{Error, Result};
use crate::layers::{Base, Build, Call, Layer, without_batch};
use crate::record::dry_run;
use crate::shape::{DType, Shape, Spec};
use crate::tensor::{Tensor, next_id};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// A batch while shapes are worked out. It is not 1, so that a batch axis is not mistaken for one that broadcasts.
pub(crate) const DRY_BATCH: usize = 2;

/// A tensor that does not exist yet: an input of a functional model, or what a layer will make of one. Cheap to clone.
#[derive(Clone)]
pub struct Symbol {
    pub(crate) node: Arc<Node>,
    pub(crate) index: usize,
}

/// An input, or one use of a layer.
pub(crate) struct Node {
    /// Counts up in the order of making: inputs of a node have smaller numbers.
    pub serial: u64,
    pub layer: Option<Arc<dyn Layer>>,
    /// What names the node: the layer, or for an input the pretence of one.
    pub base: Base,
    pub inputs: Vec<Symbol>,
    /// Without the batch axis.
    pub outputs: Vec<Spec>,
}

/// The inputs of functional models.
pub struct Input;

impl Input {
    /// An input of samples of this shape (without the batch axis) in f32.
    #[expect(clippy::new_ret_no_self, reason = "it is Keras's name for it; what comes is a symbolic tensor")]
    pub fn new(shape: impl Into<Shape>) -> Symbol {
        Input::of(Spec::new(shape, DType::F32), None)
    }

    /// An input with a name, by which data can be given to it.
    pub fn named(name: impl Into<String>, shape: impl Into<Shape>) -> Symbol {
        Input::of(Spec::new(shape, DType::F32), Some(name.into()))
    }

    fn of(spec: Spec, name: Option<String>) -> Symbol {
        let base = Base::new("InputLayer");
        name.into_iter().for_each(|name| base.rename(name));
        let node = Node { serial: next_id(), layer: None, base, inputs: Vec::new(), outputs: vec![spec] };
        Symbol { node: Arc::new(node), index: 0 }
    }
}

impl Symbol {
    /// Its shape without the batch axis.
    pub fn shape(&self) -> &Shape {
        &self.spec().shape
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.node.outputs[self.index]
    }

    /// Uses a layer on inputs.
    pub(crate) fn apply(layer: Arc<dyn Layer>, inputs: impl IntoSymbols) -> Result<Vec<Symbol>> {
        let inputs = inputs.into_symbols();
        let specs: Vec<Spec> = inputs.iter().map(|x| with_batch(x.spec(), DRY_BATCH)).collect();
        let device = Device::cpu();
        let outputs = dry_run(&device, &specs, |xs| {
            let cx = Call::building(false, Rc::new(Build::shapes_only(&device)));
            let ys = layer.apply_all(&xs.iter().collect::<Vec<_>>(), &cx)?;
            ys.iter().map(|y| sample_spec(layer.base(), y)).collect::<Result<Vec<_>>>()
        })?;
        let count = outputs.len();
        let node = Arc::new(Node { serial: next_id(), base: layer.base().clone(), layer: Some(layer), inputs, outputs });
        Ok((0..count).map(|index| Symbol { node: node.clone(), index }).collect())
    }

    /// The only one of a layer's outputs.
    pub(crate) fn one(base: &Base, mut outputs: Vec<Symbol>) -> Result<Symbol> {
        match (outputs.pop(), outputs.len()) {
            (Some(one), 0) => Ok(one),
            (_, more) => Err(Error::argument(format!("{}: outputs", base.title()), "one; for several, use `on_all`", more + 1)),
        }
    }
}

/// Whether two symbols are one tensor.
pub(super) fn same(a: &Symbol, b: &Symbol) -> bool {
    Arc::ptr_eq(&a.node, &b.node) && a.index == b.index
}

/// The spec of one sample of an output, which must have kept the batch axis.
pub(crate) fn sample_spec(base: &Base, y: &Tensor) -> Result<Spec> {
    let sample = without_batch(base, y)?;
    if y.shape()[0] != DRY_BATCH {
        let want = format!("outputs whose first axis is the batch, as that of the inputs ({DRY_BATCH} here)");
        return Err(Error::shape(base.title(), want, y.shape()));
    }
    Ok(Spec::new(sample, y.dtype()))
}

/// A batch of so many samples.
pub(crate) fn with_batch(sample: &Spec, batch: usize) -> Spec {
    Spec::new([&[batch], &sample.shape[..]].concat(), sample.dtype)
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Symbol({}, {} of {})", self.spec(), self.index, self.node.base.title())
    }
}

/// What layers can be put on: a symbolic tensor, or several.
#[diagnostic::on_unimplemented(
    message = "a layer cannot be put on `{Self}`",
    note = "it takes a symbolic tensor, `&x`, or an array of them, `[&a, &b]`",
    note = "what made a `Result` ends in `?`; on a `Tensor`, a layer is called with `apply`"
)]
pub trait IntoSymbols {
    /// The tensors, in order.
    fn into_symbols(self) -> Vec<Symbol>;
}

impl IntoSymbols for Symbol {
    fn into_symbols(self) -> Vec<Symbol> {
        vec![self]
    }
}
impl IntoSymbols for &Symbol {
    fn into_symbols(self) -> Vec<Symbol> {
        vec![self.clone()]
    }
}
impl IntoSymbols for Vec<Symbol> {
    fn into_symbols(self) -> Vec<Symbol> {
        self
    }
}
impl IntoSymbols for &[Symbol] {
    fn into_symbols(self) -> Vec<Symbol> {
        self.to_vec()
    }
}
impl IntoSymbols for &Vec<Symbol> {
    fn into_symbols(self) -> Vec<Symbol> {
        self.clone()
    }
}
impl<const N: usize> IntoSymbols for [Symbol; N] {
    fn into_symbols(self) -> Vec<Symbol> {
        self.into()
    }
}
impl<const N: usize> IntoSymbols for [&Symbol; N] {
    fn into_symbols(self) -> Vec<Symbol> {
        self.map(Clone::clone).into()
    }
}
