//! Activation functions: as an option of layers, and as layers.

mod activation;
mod function;
mod prelu;
mod rectifiers;
mod softmax;

pub use activation::{Activation, ActivationArg};
pub use function::ActivationFn;
pub use prelu::PReLU;
pub use rectifiers::{ELU, LeakyReLU, ReLU};
pub use softmax::Softmax;

#[cfg(test)]
mod tests;
