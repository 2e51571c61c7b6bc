//! Gradus trains neural networks on any GPU through wgpu compute shaders, and on the CPU where there is none.

// wgpu's types are nested deeper than the compiler looks by default; users of this crate need no such line.
#![recursion_limit = "256"]

// What `#[derive(Layers)]` writes names this crate, also inside it.
extern crate self as gradus;

mod clock;
mod compile;
pub mod constraints;
pub mod data;
pub mod device;
pub mod error;
pub mod initializers;
#[cfg(not(target_arch = "wasm32"))]
mod io;
pub mod layers;
pub mod losses;
pub mod metrics;
pub mod models;
mod named;
pub mod ops;
pub mod optimizers;
pub mod prelude;
pub mod record;
pub mod regularizers;
mod shape;
mod suggest;
mod tensor;
pub mod testing;
pub mod train;
mod variable;

pub use compile::Program;
pub use device::Device;
pub use error::{Error, Result};
pub use half::f16;
pub use record::{Function, GradientTape};
pub use shape::{Axes, DType, Shape, Spec, axis_index};
pub use tensor::{Squash, Tensor};
pub use variable::Variable;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

#[cfg(doctest)]
#[doc = include_str!("../docs/from-keras.md")]
struct FromKeras;
