//! `use gradus::prelude::*;` brings in what a program that trains a model needs.

pub use crate::device::Device;
pub use crate::error::{Error, Result};
pub use crate::layers::ActivationFn::{Relu, Sigmoid, Softmax, Tanh};
pub use crate::layers::*;
pub use crate::losses::{BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanSquaredError, SparseCategoricalCrossentropy};
pub use crate::metrics::{Accuracy, Metric};
pub use crate::models::*;
pub use crate::ops::window::Padding;
pub use crate::optimizers::{Adam, AdamW, Optimizer, RMSprop, SGD};
pub use crate::record::{Function, GradientTape};
pub use crate::shape::{DType, Shape};
pub use crate::tensor::Tensor;
pub use crate::train::*;
pub use crate::variable::Variable;
