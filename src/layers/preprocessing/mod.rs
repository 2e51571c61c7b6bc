//! Layers that bring inputs into a range that trains well.

mod normalization;
mod rescaling;

pub use normalization::Normalization;
pub use rescaling::Rescaling;

#[cfg(test)]
mod tests;
