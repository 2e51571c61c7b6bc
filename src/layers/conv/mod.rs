//! Convolutions along one axis and over two.

mod depthwise;
mod plain;
mod separable;
mod transpose;

pub use depthwise::{DepthwiseConv1D, DepthwiseConv2D};
pub use plain::{Conv1D, Conv2D};
pub use separable::{SeparableConv1D, SeparableConv2D};
pub use transpose::{Conv1DTranspose, Conv2DTranspose};

#[cfg(test)]
mod tests;
