//! Initializers without chance.

use super::Initializer;
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
        assert!(Ones.values(&Shape::from([0, 3]), 1, 1).is_empty());
    }
}
