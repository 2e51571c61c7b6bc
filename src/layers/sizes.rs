//! Arguments of layers that are one number or several.

use crate::error::{Error, Result};
use crate::shape::{DType, Shape};
use crate::tensor::Tensor;
use std::fmt;

/// A length along each of `R` axes; one number stands for all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Size<const R: usize>(pub [usize; R]);

impl<const R: usize> Size<R> {
    /// As rows and columns; a single axis is that of the columns, and there is one row.
    pub(super) fn of_image(self) -> [usize; 2] {
        let mut size = [1; 2];
        size[2 - R..].copy_from_slice(&self.0);
        size
    }
}

impl<const R: usize> From<usize> for Size<R> {
    fn from(all: usize) -> Size<R> {
        Size([all; R])
    }
}
impl<const R: usize> From<[usize; R]> for Size<R> {
    fn from(size: [usize; R]) -> Size<R> {
        Size(size)
    }
}
impl From<(usize, usize)> for Size<2> {
    fn from((height, width): (usize, usize)) -> Size<2> {
        Size([height, width])
    }
}

impl<const R: usize> fmt::Debug for Size<R> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many cells before and after each of `R` axes. One number stands for all of them; for two axes, `(height, width)` stands for as many
/// above as below and left as right, and `((top, bottom), (left, right))` tells all four; for one axis, it is `(before, after)`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Edges<const R: usize>(pub [(usize, usize); R]);

impl<const R: usize> From<usize> for Edges<R> {
    fn from(all: usize) -> Edges<R> {
        Edges([(all, all); R])
    }
}
impl From<(usize, usize)> for Edges<1> {
    fn from(edges: (usize, usize)) -> Edges<1> {
        Edges([edges])
    }
}
impl From<(usize, usize)> for Edges<2> {
    fn from((height, width): (usize, usize)) -> Edges<2> {
        Edges([(height, height), (width, width)])
    }
}
impl From<((usize, usize), (usize, usize))> for Edges<2> {
    fn from((height, width): ((usize, usize), (usize, usize))) -> Edges<2> {
        Edges([height, width])
    }
}

impl<const R: usize> fmt::Debug for Edges<R> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One number, or one for each place of some axes, in row-major order.
#[derive(Clone, PartialEq, Debug)]
pub struct Numbers {
    pub(super) values: Vec<f64>,
    /// Whether it was given as one number, and not as a list.
    pub(super) single: bool,
}

impl Numbers {
    /// The numbers where `like` lives and in its type: without axes, or with as many as `shape`.
    pub(super) fn tensor(&self, like: &Tensor, shape: &[usize]) -> Result<Tensor> {
        let shape = if self.single { Shape::default() } else { Shape::from(shape) };
        match like.dtype() {
            DType::F64 => Tensor::new(like.device(), shape, &self.values),
            DType::F16 | DType::F32 => Tensor::new(like.device(), shape, &self.values.iter().map(|v| *v as f32).collect::<Vec<_>>()),
            other => Err(Error::dtype("numbers of a layer", "floats", other)),
        }
    }
}

impl From<f64> for Numbers {
    fn from(number: f64) -> Numbers {
        Numbers { values: vec![number], single: true }
    }
}
impl From<Vec<f64>> for Numbers {
    fn from(values: Vec<f64>) -> Numbers {
        Numbers { values, single: false }
    }
}
impl From<&[f64]> for Numbers {
    fn from(values: &[f64]) -> Numbers {
        Numbers::from(values.to_vec())
    }
}
impl<const N: usize> From<[f64; N]> for Numbers {
    fn from(values: [f64; N]) -> Numbers {
        Numbers::from(values.to_vec())
    }
}
