//! The layer that a model of the user's own is.

use crate::error::{Error, Result};
use crate::layers::{Base, Call, Layer, Layers};
use crate::tensor::Tensor;
use std::sync::Arc;

/// A model whose computation the user writes. Derive [`Layers`](crate::layers::Layers) for the struct, so that its layers are found, and call them with
/// [`Layer::apply`], which makes their weights when the model is built.
///
/// ```
/// use gradus::prelude::*;
///
/// #[derive(Layers)]
/// struct Net {
///     hidden: Dense,
///     output: Dense,
/// }
///
/// impl Subclass for Net {
///     fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
///         let h = self.hidden.apply(x, cx)?;
///         self.output.apply(&h, cx)
///     }
/// }
///
/// let net = Net { hidden: Dense::new(8).activation("relu"), output: Dense::new(2) };
/// let mut model = Model::subclass(net).on_device(&Device::cpu());
/// model.build([4])?;
/// assert_eq!(model.count_params(), 4 * 8 + 8 + 8 * 2 + 2);
/// # Ok::<(), gradus::Error>(())
/// ```
pub trait Subclass: Layers + Send + Sync {
    /// The outputs for a batch of inputs.
    ///
    /// # Errors
    /// What the layers return.
    fn call(&self, _x: &Tensor, _cx: &Call) -> Result<Tensor> {
        Err(Error::argument(type_name::<Self>(), "a `call`, or a `call_all` for several inputs", "neither"))
    }

    /// The outputs for batches of several inputs, or several outputs. Default: [`Subclass::call`] for one.
    ///
    /// # Errors
    /// What the layers return.
    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        match xs {
            [x] => Ok(vec![self.call(x, cx)?]),
            _ => Err(Error::argument(format!("{}: inputs", type_name::<Self>()), "one, or a `call_all` that takes several", xs.len())),
        }
    }
}

/// The name of a type as it was declared, without its path and parameters.
fn type_name<N: ?Sized>() -> &'static str {
    let path = std::any::type_name::<N>();
    path.split('<').next().and_then(|path| path.rsplit("::").next()).unwrap_or(path)
}

/// A [`Subclass`] as a layer: put it into other models.
pub struct Subclassed<N> {
    base: Base,
    net: Arc<N>,
}

impl<N> Clone for Subclassed<N> {
    fn clone(&self) -> Subclassed<N> {
        Subclassed { base: self.base.clone(), net: self.net.clone() }
    }
}

impl<N: Subclass> Subclassed<N> {
    /// Its kind is the name of the type.
    pub fn new(net: N) -> Subclassed<N> {
        Subclassed { base: Base::new(type_name::<N>()), net: Arc::new(net) }
    }

    /// What was wrapped.
    pub fn net(&self) -> &N {
        &self.net
    }
}

impl<N: Subclass> Layer for Subclassed<N> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        self.net.call_all(xs, cx)
    }

    fn sublayers(&self) -> Vec<&dyn Layer> {
        let mut layers = Vec::new();
        self.net.each_layer(&mut |layer| layers.push(layer));
        layers
    }

    fn autocast(&self) -> bool {
        false
    }
}
