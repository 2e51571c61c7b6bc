//! `use gradus::prelude::*;` brings in what a program that trains a model needs.

pub use crate::device::Device;
pub use crate::error::{Error, Result};
pub use crate::layers::ActivationFn::{Relu, Sigmoid, Softmax, Tanh};
pub use crate::layers::*;
pub use crate::losses::{BinaryCrossentropy, CategoricalCrossentropy, Loss, MeanSquaredError, SparseCategoricalCrossentropy};
pub use crate::metrics::{Accuracy, Metric};
pub use crate::models::*;
pub use crate::ops::window::Padding;
pub use crate::optimizers::schedules::*;
pub use crate::optimizers::{
    Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Ftrl, Lamb, Lion, LossScaleOptimizer, MultiOptimizer, Muon, Nadam, Optimizer,
    RMSprop, SGD, ScheduleFreeAdamW,
};
pub use crate::record::{Function, GradientTape};
pub use crate::shape::{DType, Shape, Spec};
pub use crate::tensor::Tensor;
pub use crate::train::*;
pub use crate::variable::Variable;
pub use crate::{losses, metrics};
