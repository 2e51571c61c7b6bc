//! The layers, written with tensor operations only: they know no device, no shader and no buffer.

mod activation;
mod build;
mod conv2d;
mod dense;
mod dropout;
mod flatten;
mod global_pooling;
mod names;
mod pooling;
mod rescaling;

pub use activation::{Activation, ActivationArg, ActivationFn};
pub use build::{Build, Call, Size2};
pub use conv2d::Conv2D;
pub use dense::Dense;
pub use dropout::Dropout;
pub use flatten::Flatten;
pub use global_pooling::GlobalAveragePooling2D;
pub use pooling::{AveragePooling2D, MaxPooling2D};
pub use rescaling::Rescaling;

pub(crate) use names::Namer;

use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// A step of a model: it makes its weights when it first learns the shape of its input, and computes with them.
pub trait Layer: Send + Sync {
    /// The name of the type, as Keras spells it: `Conv2D`.
    fn kind(&self) -> &'static str;

    /// The name of this layer in its model: `conv2d_1`. Empty until the user or the model gives one.
    fn name(&self) -> &str;

    /// Renames it; its weights take their names from it when they are made.
    fn set_name(&mut self, name: &str);

    /// Makes the weights for inputs of this shape and returns the shape of the outputs, both without the batch axis. A layer that was built
    /// for such inputs before keeps its weights.
    ///
    /// # Errors
    /// [`Error::Shape`] for an input that the layer cannot take; [`Error::Argument`] for a configuration that makes no sense; [`Error::NotReady`]
    /// if it was built for other inputs; whatever making a variable returns.
    fn build(&mut self, input: &Shape, cx: &mut Build) -> Result<Shape>;

    /// The outputs for a batch of inputs. The first axis of both is the batch.
    ///
    /// # Errors
    /// [`Error::NotReady`] before `build`; [`Error::Shape`] for inputs of another shape than it was built for.
    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor>;

    /// The weights, trainable ones first.
    fn variables(&self) -> Vec<Variable> {
        Vec::new()
    }
}

/// How errors speak of a layer: `conv2d (Conv2D)`, or `Conv2D` before it has a name.
pub(crate) fn title(layer: &dyn Layer) -> String {
    if layer.name().is_empty() { layer.kind().to_string() } else { format!("{} ({})", layer.name(), layer.kind()) }
}

/// The error of a layer that is called before it is built.
fn not_built(layer: &dyn Layer) -> Error {
    Error::NotReady(format!("{}: it has no weights yet; build the model before calling the layer", title(layer)))
}

/// Checks that the batch `x` has the last axis that the layer was built for.
fn check_last_axis(layer: &dyn Layer, x: &Tensor, expected: usize) -> Result<()> {
    if x.shape().last() == Some(&expected) {
        return Ok(());
    }
    Err(Error::shape(title(layer), format!("{expected} on the last axis, which it was built for"), x.shape())
        .hint("give the model inputs of the shape it was built with, or make a new model"))
}

/// The two methods that every layer with a `name: String` writes the same way.
macro_rules! layer_name {
    () => {
        fn name(&self) -> &str {
            &self.name
        }

        fn set_name(&mut self, name: &str) {
            self.name = name.to_string();
        }
    };
}
use layer_name;

/// The builder methods of layers with a kernel and a bias.
macro_rules! kernel_and_bias_options {
    () => {
        /// What is applied to the outputs. Default: nothing.
        #[must_use]
        pub fn activation(mut self, activation: impl Into<crate::layers::ActivationArg>) -> Self {
            self.activation = activation.into();
            self
        }

        /// Whether a bias is added. Default: yes.
        #[must_use]
        pub fn use_bias(mut self, use_bias: bool) -> Self {
            self.use_bias = use_bias;
            self
        }

        /// What the kernel starts as. Default: [`GlorotUniform`](crate::initializers::GlorotUniform).
        #[must_use]
        pub fn kernel_initializer(mut self, initializer: impl Into<crate::initializers::InitializerArg>) -> Self {
            self.kernel_initializer = initializer.into();
            self
        }

        /// What the bias starts as. Default: [`Zeros`](crate::initializers::Zeros).
        #[must_use]
        pub fn bias_initializer(mut self, initializer: impl Into<crate::initializers::InitializerArg>) -> Self {
            self.bias_initializer = initializer.into();
            self
        }

        /// The name in its model. Default: the kind in snake case with a number.
        #[must_use]
        pub fn named(mut self, name: impl Into<String>) -> Self {
            self.name = name.into();
            self
        }
    };
}
use kernel_and_bias_options;
