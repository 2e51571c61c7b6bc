//! Initializers without chance.

use super::Initializer;
use crate::error::{Error, Result};
use crate::shape::Shape;

/// All zeros: the default of biases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Zeros;

/// All ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ones;

/// All the same value. Default: 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Constant(pub f32);

/// A matrix with `gain` on its diagonal and zeros beside. Default: 1.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Identity {
    /// What stands on the diagonal.
    pub gain: f32,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { gain: 1.0 }
    }
}

impl Initializer for Identity {
    fn check(&self, shape: &Shape) -> Result<()> {
        if shape.rank() == 2 { Ok(()) } else { Err(Error::shape("Identity", "a matrix: two axes", shape)) }
    }

    fn values(&self, shape: &Shape, _seed: u64, _stream: u64) -> Vec<f32> {
        let columns = shape.last().copied().unwrap_or(1);
        (0..shape.elements()).map(|i| if i / columns == i % columns { self.gain } else { 0.0 }).collect()
    }
}

impl Initializer for Zeros {
    fn values(&self, shape: &Shape, _seed: u64, _stream: u64) -> Vec<f32> {
        vec![0.0; shape.elements()]
    }
}

impl Initializer for Ones {
    fn values(&self, shape: &Shape, _seed: u64, _stream: u64) -> Vec<f32> {
        vec![1.0; shape.elements()]
    }
}

impl Initializer for Constant {
    fn values(&self, shape: &Shape, _seed: u64, _stream: u64) -> Vec<f32> {
        vec![self.0; shape.elements()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constants() {
        let shape = Shape::from([2, 3]);
        assert_eq!(Zeros.values(&shape, 1, 1), [0.0; 6]);
        assert_eq!(Ones.values(&shape, 1, 1), [1.0; 6]);
        assert_eq!(Constant(-2.5).values(&shape, 1, 1), [-2.5; 6]);
        assert_eq!(Identity { gain: 2.0 }.values(&shape, 1, 1), [2.0, 0.0, 0.0, 0.0, 2.0, 0.0]);
        assert!(Identity::default().check(&shape).is_ok() && Identity::default().check(&Shape::from([2, 3, 1])).is_err());
        assert!(Ones.values(&Shape::from([0, 3]), 1, 1).is_empty());
    }
}
