//! Layers that move values and compute nothing, and those that resize images.

mod edges;
mod flatten;
mod shapes;
mod up_sampling;

pub use edges::{Cropping1D, Cropping2D, ZeroPadding1D, ZeroPadding2D};
pub use flatten::Flatten;
pub use shapes::{Permute, RepeatVector, Reshape};
pub use up_sampling::{Interpolation, InterpolationArg, UpSampling1D, UpSampling2D};

#[cfg(test)]
mod tests;
