//! A box of a tensor: `y[c] = x[c + start]`. Gradient: the box in a tensor of zeros.

use super::strided::{Strided, with_element};
use crate::error::{Error, Result};
use crate::record::op::{CpuArgs, GradCx, Launch, Op};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use std::ops::Range;

impl Tensor {
    /// The part of the tensor within one range per axis; axes beyond the given ranges stay whole. Any type on the CPU; f32, u32, i32 on a GPU.
    ///
    /// # Errors
    /// [`Error::Argument`] for a range that passes the axis's end or runs backwards, and for more ranges than axes.
    #[track_caller]
    pub fn slice(&self, ranges: &[Range<usize>]) -> Result<Tensor> {
        if ranges.len() <= self.rank() && ranges.iter().zip(self.shape().iter()).all(|(range, &length)| *range == (0..length)) {
            return Ok(self.clone());
        }
        record_one(Slice { ranges: ranges.to_vec() }, &[self])
    }
}

#[derive(Debug, Clone)]
struct Slice {
    ranges: Vec<Range<usize>>,
}

impl Slice {
    fn strided(&self, x: &Shape, y: &Shape) -> Strided {
        let strides = x.strides();
        let start = self.ranges.iter().zip(&strides).map(|(range, stride)| range.start * stride).sum();
        Strided::new(start, y, &strides)
    }
}

impl Op for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let x = &inputs[0];
        if self.ranges.len() > x.shape.rank() {
            let want = format!("at most {} ranges for {}", x.shape.rank(), x.shape);
            return Err(Error::argument("slice: ranges", want, self.ranges.len()));
        }
        let mut dims = x.shape.to_vec();
        for (axis, range) in self.ranges.iter().enumerate() {
            if range.start > range.end || range.end > dims[axis] {
                let want = format!("start ≤ end ≤ {} for {}", dims[axis], x.shape);
                return Err(Error::argument(format!("slice: range of axis {axis}"), want, format!("{range:?}")));
            }
            dims[axis] = range.len();
        }
        Ok(vec![Spec::new(dims, x.dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let around: Vec<(usize, usize)> =
            self.ranges.iter().zip(cx.inputs[0].shape().iter()).map(|(range, length)| (range.start, length - range.end)).collect();
        Ok(vec![cx.when(0, || cx.dy().pad(&around, 0.0))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let strided = self.strided(args.input_shape(0), args.output_shape(0));
        with_element!(args.input_spec(0).dtype, T => strided.cpu(args.input::<T>(0), args.output::<T>(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        self.strided(launch.input_shape(0), launch.output_shape(0)).gpu("slice", launch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::{check, float};

    #[test]
    fn boxes_of_three_axes() {
        let cases: [&[Range<usize>]; 6] = [&[1..3], &[0..4, 2..3], &[1..2, 0..5, 1..3], &[0..4, 1..4, 0..3], &[2..2], &[0..4, 0..5, 2..3]];
        for ranges in cases {
            check(&format!("slice {ranges:?}"), &[float([4, 5, 3])], |x| x[0].slice(ranges))
                .reference(|x| {
                    let of = |axis: usize, length: usize| ranges.get(axis).cloned().unwrap_or(0..length);
                    let mut y = Vec::new();
                    for i in of(0, 4) {
                        for j in of(1, 5) {
                            y.extend(of(2, 3).map(|k| x[0][(i * 5 + j) * 3 + k]));
                        }
                    }
                    y
                })
                .run();
        }
    }

    #[test]
    fn whole_numbers() {
        for device in [Some(Device::cpu()), crate::testing::gpu("slice of whole numbers")].iter().flatten() {
            let x = Tensor::new(device, [2, 3], &[1i32, -2, 3, 4, 5, -6]).unwrap();
            assert_eq!(x.slice(&[0..2, 1..3]).unwrap().to_vec::<i32>().unwrap(), [-2, 3, 5, -6]);
            assert_eq!(x.slice(&[]).unwrap().id(), x.id());
        }
        let x = Tensor::new(&Device::cpu(), [5], &[1u8, 2, 3, 4, 5]).unwrap();
        assert_eq!(x.slice(&[1..4]).unwrap().to_vec::<u8>().unwrap(), [2, 3, 4]);
    }

    #[test]
    #[expect(clippy::reversed_empty_ranges, reason = "it must be refused")]
    fn ranges_outside_are_refused() {
        let x = Tensor::new(&Device::cpu(), [2, 3], &[0f32; 6]).unwrap();
        for ranges in [&[0..3][..], &[0..2, 2..1], &[0..2, 0..3, 0..1]] {
            assert!(matches!(x.slice(ranges), Err(Error::Argument { .. })), "{ranges:?}");
        }
    }
}
