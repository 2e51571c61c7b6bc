//! Products of two inputs, summed over an axis.

use super::{list, samples};
use crate::error::{Error, Result};
use crate::layers::{Base, Build, Call, Layer, named};
use crate::ops::pointwise::map1;
use crate::shape::{Shape, axis_index};
use crate::tensor::Tensor;

/// What a vector is divided by at least: Keras's `epsilon`.
const EPSILON: f64 = 1e-7;

/// The products of two inputs, sample by sample, summed over one axis of each: `[n, a, k]` and `[n, b, k]` with axes `(2, 2)` become `[n, a, b]`.
/// The other axes of the first come first. Two vectors `[n, k]` become `[n, 1]`.
#[derive(Clone)]
pub struct Dot {
    base: Base,
    axes: DotAxes,
    normalize: bool,
}

/// The axis of the first input and that of the second; one number stands for both. The first axis of a sample is 1, negative ones count from the
/// back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DotAxes(pub isize, pub isize);

impl From<isize> for DotAxes {
    fn from(both: isize) -> DotAxes {
        DotAxes(both, both)
    }
}
impl From<(isize, isize)> for DotAxes {
    fn from((first, second): (isize, isize)) -> DotAxes {
        DotAxes(first, second)
    }
}

impl Dot {
    /// Summed over this axis, or over these of the first and the second input.
    pub fn new(axes: impl Into<DotAxes>) -> Dot {
        Dot { base: Base::new("Dot"), axes: axes.into(), normalize: false }
    }

    /// Whether both inputs are first divided by their length along the axis: the cosine of the angle between them. Default: no.
    #[must_use]
    pub fn normalize(mut self, normalize: bool) -> Dot {
        self.normalize = normalize;
        self
    }

    named!();

    /// The axes of the two batches, counted from the front.
    fn check(&self, shapes: &[Shape]) -> Result<[usize; 2]> {
        let [a, b] = shapes else {
            return Err(Error::argument(format!("{}: inputs", self.base.title()), "2", shapes.len()));
        };
        let index = |axis: isize, sample: &Shape| {
            let found = axis_index(axis, sample.rank() + 1, "").ok().filter(|index| *index > 0);
            found.ok_or_else(|| {
                let want = format!("an axis from 1 to {0}, or from -{0} to -1, for samples of shape {sample}", sample.rank());
                Error::argument(format!("{}: axes", self.base.title()), want, axis)
            })
        };
        let axes = [index(self.axes.0, a)?, index(self.axes.1, b)?];
        if a[axes[0] - 1] != b[axes[1] - 1] {
            let want = format!("samples with axis {} of the first as long as axis {} of the second", axes[0], axes[1]);
            return Err(Error::shape(self.base.title(), want, list(shapes)));
        }
        Ok(axes)
    }
}

impl Layer for Dot {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build_all(&self, inputs: &[Shape], _cx: &Build) -> Result<()> {
        self.check(inputs).map(|_| ())
    }

    fn call_all(&self, xs: &[Tensor], _cx: &Call) -> Result<Vec<Tensor>> {
        let axes = self.check(&samples(&self.base, xs)?)?;
        let rows = |i: usize| {
            let x = if self.normalize { unit(&xs[i], axes[i])? } else { xs[i].clone() };
            as_rows(&x, axes[i])
        };
        let ((a, outer_a), (b, outer_b)) = (rows(0)?, rows(1)?);
        let outer = [outer_a, outer_b].concat();
        let outer = if outer.is_empty() { vec![1] } else { outer };
        Ok(vec![a.matmul_with(&b, false, true)?.reshape([vec![xs[0].shape()[0]], outer].concat())?])
    }
}

/// Vectors of length 1 along an axis.
fn unit(x: &Tensor, axis: usize) -> Result<Tensor> {
    let squares = x.square()?.sum(&[axis as isize], true)?;
    // The limit is put on the squares, so that the gradient at a vector of zeros is a number.
    map1(&[x, &squares], |e| &e[0] * e[1].max(&e[1].number(EPSILON * EPSILON)).rsqrt())
}

/// A batch as matrices `[n, the other axes, axis]`, and the lengths of the others.
fn as_rows(x: &Tensor, axis: usize) -> Result<(Tensor, Vec<usize>)> {
    let others: Vec<usize> = (1..x.rank()).filter(|i| *i != axis).collect();
    let lengths: Vec<usize> = others.iter().map(|&i| x.shape()[i]).collect();
    let turned = x.transpose(&[&[0], &others[..], &[axis]].concat())?;
    Ok((turned.reshape([x.shape()[0], lengths.iter().product(), x.shape()[axis]])?, lengths))
}
