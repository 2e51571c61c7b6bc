//! A tensor cut into parts along an axis. Gradient: the parts' gradients, put together again.
//!
//! One operation for all parts: were each part a `slice`, its gradient would be as large as the whole, and cutting a sequence into its time
//! steps would cost the square of their number.

use super::strided::{Strided, with_element};
use crate::error::{Error, Result};
use crate::record::op::{CpuArgs, GradCx, Launch, Op};
use crate::record::record;
use crate::shape::{Shape, Spec, axis_index};
use crate::tensor::Tensor;

impl Tensor {
    /// The tensor cut into equal parts along `axis`, which counts from the back when negative. Any type on the CPU; f32, u32, i32 on a GPU.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such axis; [`Error::Shape`] if its length is no multiple of `parts`.
    #[track_caller]
    pub fn split(&self, parts: usize, axis: isize) -> Result<Vec<Tensor>> {
        let length = self.shape()[axis_index(axis, self.rank(), "split")?];
        if parts == 0 || !length.is_multiple_of(parts) {
            return Err(Error::shape("split", format!("a multiple of {parts} along axis {axis}"), self.shape()));
        }
        self.split_lengths(&vec![length / parts; parts], axis)
    }

    /// The tensor cut into parts of these lengths along `axis`, as [`Tensor::split`].
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such axis; [`Error::Shape`] if the lengths do not add up to its own.
    #[track_caller]
    pub fn split_lengths(&self, lengths: &[usize], axis: isize) -> Result<Vec<Tensor>> {
        let axis = axis_index(axis, self.rank(), "split")?;
        if lengths.iter().try_fold(0, |sum: usize, &length| sum.checked_add(length)) != Some(self.shape()[axis]) {
            return Err(Error::shape("split", format!("lengths {lengths:?} together along axis {axis}"), self.shape()));
        }
        if lengths.len() <= 1 {
            return Ok(vec![self.clone(); lengths.len()]);
        }
        record(Split { axis, lengths: lengths.to_vec() }, &[self])
    }
}

#[derive(Debug, Clone)]
struct Split {
    axis: usize,
    lengths: Vec<usize>,
}

impl Split {
    /// How each part is read from the whole.
    fn parts(&self, x: &Shape) -> Vec<Strided> {
        let strides = x.strides();
        let mut start = 0;
        let part = |&length: &usize| {
            let part = Strided::new(start * strides[self.axis], &x.with(self.axis, length), &strides);
            start += length;
            part
        };
        self.lengths.iter().map(part).collect()
    }
}

impl Op for Split {
    fn name(&self) -> &'static str {
        "split"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let x = &inputs[0];
        Ok(self.lengths.iter().map(|&length| Spec::new(x.shape.with(self.axis, length), x.dtype)).collect())
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let whole = || {
            let part = |(dy, y): (&Option<Tensor>, &Tensor)| dy.clone().map_or_else(|| y.zeros_like(), Ok);
            let parts = cx.dys.iter().zip(cx.outputs).map(part).collect::<Result<Vec<_>>>()?;
            Tensor::concat(&parts.iter().collect::<Vec<_>>(), self.axis as isize)
        };
        Ok(vec![cx.when(0, whole)?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        for (j, part) in self.parts(args.input_shape(0)).iter().enumerate() {
            with_element!(args.input_spec(0).dtype, T => part.cpu(args.input::<T>(0), args.output::<T>(j)));
        }
        Ok(())
    }

    /// One dispatch per part: any number of them fits the limit of storage buffers.
    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        self.parts(launch.input_shape(0)).iter().enumerate().try_for_each(|(j, part)| part.gpu_to(j, "split", launch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::{check, float};

    /// Every part has a weight of its own, so that parts that change places are noticed. The third has no gradient at all.
    #[test]
    fn every_axis() {
        let shape = [5, 7, 6];
        for (axis, lengths) in [(0, [2, 1, 1, 1]), (1, [3, 0, 2, 2]), (-1, [1, 2, 2, 1])] {
            let at = if axis < 0 { 2 } else { axis as usize };
            check(&format!("split {axis}"), &[float(shape)], |x| {
                let parts = x[0].split_lengths(&lengths, axis)?;
                let weighted = [parts[0].mul_scalar(2.0)?, parts[1].square()?, parts[3].mul_scalar(-3.0)?];
                Tensor::concat(&weighted.iter().rev().collect::<Vec<_>>(), axis)
            })
            .reference(|x| {
                let inner: usize = shape[at + 1..].iter().product();
                let starts = [0, lengths[0], lengths[0] + lengths[1], lengths[0] + lengths[1] + lengths[2]];
                let part = |plane: &[f64], i: usize, f: fn(f64) -> f64| -> Vec<f64> {
                    plane[starts[i] * inner..][..lengths[i] * inner].iter().map(|&v| f(v)).collect()
                };
                let planes = x[0].chunks(shape[at] * inner);
                planes.flat_map(|p| [part(p, 3, |v| v * -3.0), part(p, 1, |v| v * v), part(p, 0, |v| v * 2.0)].concat()).collect()
            })
            .run();
        }
    }

    #[test]
    fn equal_parts_and_edges() -> Result<()> {
        let x = Tensor::new(&Device::cpu(), [2, 3], &[1u8, 2, 3, 4, 5, 6])?;
        let parts = x.split(3, 1)?;
        let values = parts.iter().map(|part| part.to_vec::<u8>()).collect::<Result<Vec<_>>>()?;
        assert_eq!(values, [[1, 4], [2, 5], [3, 6]]);
        assert_eq!(parts[0].shape()[..], [2, 1]);
        assert_eq!(x.split(1, 0)?[0].id(), x.id());
        assert!(matches!(x.split(2, 1), Err(Error::Shape { .. })));
        assert!(matches!(x.split(0, 1), Err(Error::Shape { .. })));
        assert!(matches!(x.split(1, 2), Err(Error::Argument { .. })));
        assert!(matches!(x.split_lengths(&[1, 1], 1), Err(Error::Shape { .. })));
        assert!(matches!(x.split_lengths(&[usize::MAX, 4], 1), Err(Error::Shape { .. })));
        Ok(())
    }
}
