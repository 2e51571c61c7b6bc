//! Shapes, element types, and the arithmetic of axes.

use crate::error::{Error, Result};
use std::fmt;
use std::ops::Deref;

/// The lengths of a tensor's axes, outermost first. A scalar has none.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(Vec<usize>);

impl Shape {
    /// The number of axes.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The number of elements: 1 for a scalar, 0 if any axis is empty.
    pub fn elements(&self) -> usize {
        self.0.iter().product()
    }

    /// Row-major strides, in elements.
    pub fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.0[axis];
        }
        strides
    }

    /// The axes as an array of known length.
    ///
    /// # Errors
    /// [`Error::Shape`] naming `op` if the rank differs.
    pub fn dims<const R: usize>(&self, op: &str) -> Result<[usize; R]> {
        <[usize; R]>::try_from(self.0.as_slice()).map_err(|_| Error::shape(op, format!("{R} axes"), self))
    }

    /// The shape that two shapes broadcast to, NumPy's rule: aligned at the last axis, an axis of 1 stretches.
    ///
    /// # Errors
    /// [`Error::Shape`] naming `op` if an axis fits neither way.
    pub fn broadcast(&self, other: &Shape, op: &str) -> Result<Shape> {
        let rank = self.rank().max(other.rank());
        let at = |s: &Shape, axis: usize| (axis + s.rank()).checked_sub(rank).map_or(1, |i| s.0[i]);
        let mut dims = Vec::with_capacity(rank);
        for axis in 0..rank {
            dims.push(match (at(self, axis), at(other, axis)) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return Err(Error::shape(op, format!("a shape that broadcasts with {self}"), other)),
            });
        }
        Ok(Shape(dims))
    }

    /// For reading a tensor of this shape as if it had the shape `to`: one stride per axis of `to`, 0 where it is stretched.
    /// `self` must broadcast to `to`.
    pub fn broadcast_strides(&self, to: &Shape) -> Vec<usize> {
        let strides = self.strides();
        let skip = to.rank() - self.rank();
        (0..to.rank())
            .map(|axis| if axis < skip || (self.0[axis - skip] == 1 && to.0[axis] != 1) { 0 } else { strides[axis - skip] })
            .collect()
    }

    /// This shape with one axis replaced.
    pub fn with(&self, axis: usize, length: usize) -> Shape {
        let mut dims = self.0.clone();
        dims[axis] = length;
        Shape(dims)
    }
}

/// An axis counted from the front, or from the back when negative.
///
/// # Errors
/// [`Error::Argument`] naming `op` if there is no such axis.
pub fn axis_index(axis: isize, rank: usize, op: &str) -> Result<usize> {
    let index = if axis < 0 { axis + rank as isize } else { axis };
    if index < 0 || index >= rank as isize {
        return Err(Error::argument(format!("{op}: axis"), format!("{}..{}", -(rank as isize), rank), axis));
    }
    Ok(index as usize)
}

/// One axis or several, counted with the batch axis, or from the back when negative.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Axes(pub(crate) Vec<isize>);

impl From<isize> for Axes {
    fn from(axis: isize) -> Axes {
        Axes(vec![axis])
    }
}
impl<const N: usize> From<[isize; N]> for Axes {
    fn from(axes: [isize; N]) -> Axes {
        Axes(axes.to_vec())
    }
}
impl From<Vec<isize>> for Axes {
    fn from(axes: Vec<isize>) -> Axes {
        Axes(axes)
    }
}

impl Deref for Shape {
    type Target = [usize];
    fn deref(&self) -> &[usize] {
        &self.0
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Shape {
        Shape(dims.to_vec())
    }
}
impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Shape {
        Shape(dims.to_vec())
    }
}
impl From<Vec<usize>> for Shape {
    fn from(dims: Vec<usize>) -> Shape {
        Shape(dims)
    }
}
impl From<&Shape> for Shape {
    fn from(shape: &Shape) -> Shape {
        shape.clone()
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// The type of a tensor's elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DType {
    /// 32-bit float: what models compute in.
    F32,
    /// 64-bit float: the CPU device only, for checks.
    F64,
    /// 16-bit float: half the memory and its traffic. A kernel computes with it in f32 and rounds what it stores.
    F16,
    /// Labels, indices, truth values (0 or 1).
    U32,
    /// Signed whole numbers.
    I32,
    /// Images at rest.
    U8,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            DType::F64 => 8,
            DType::F32 | DType::U32 | DType::I32 => 4,
            DType::F16 => 2,
            DType::U8 => 1,
        }
    }

    /// The type that kernels compute in: f32 for f16, else the type itself.
    pub fn computed(self) -> DType {
        if self == DType::F16 { DType::F32 } else { self }
    }

    /// Whether values of this type have a gradient.
    pub fn is_float(self) -> bool {
        matches!(self, DType::F16 | DType::F32 | DType::F64)
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            DType::F32 => "f32",
            DType::F64 => "f64",
            DType::F16 => "f16",
            DType::U32 => "u32",
            DType::I32 => "i32",
            DType::U8 => "u8",
        })
    }
}

/// What is known of a tensor before it has a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Spec {
    /// The lengths of its axes.
    pub shape: Shape,
    /// The type of its elements.
    pub dtype: DType,
}

impl Spec {
    /// A spec.
    pub fn new(shape: impl Into<Shape>, dtype: DType) -> Spec {
        Spec { shape: shape.into(), dtype }
    }

    /// Elements times their size. A tensor of smaller elements is padded to whole words on a GPU; that is the device's business.
    pub fn bytes(&self) -> usize {
        self.shape.elements() * self.dtype.size()
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
