//! A tensor with one axis the other way around: `y[…, i, …] = x[…, n − 1 − i, …]`. Gradient: the same flip.

use super::strided::{Strided, with_element};
use crate::error::Result;
use crate::record::op::{CpuArgs, GradCx, Launch, Op};
use crate::record::record_one;
use crate::shape::{Shape, Spec, axis_index};
use crate::tensor::Tensor;

impl Tensor {
    /// The elements along `axis` in reverse order; a negative axis counts from the back. Any type on the CPU; f32, u32, i32 on a GPU.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if there is no such axis; [`Error::DType`](crate::Error::DType) for f64 and u8 on a GPU.
    #[track_caller]
    pub fn flip(&self, axis: isize) -> Result<Tensor> {
        let axis = axis_index(axis, self.rank(), "flip")?;
        if self.shape()[axis] <= 1 {
            return Ok(self.clone());
        }
        record_one(Flip { axis }, &[self])
    }
}

#[derive(Debug, Clone)]
struct Flip {
    axis: usize,
}

impl Flip {
    fn strided(&self, x: &Shape) -> Strided {
        let mut strides = x.strides();
        let start = x[self.axis].saturating_sub(1) * strides[self.axis];
        strides[self.axis] = strides[self.axis].wrapping_neg();
        Strided::new(start, x, &strides)
    }
}

impl Op for Flip {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![cx.when(0, || cx.dy().flip(self.axis as isize))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let strided = self.strided(args.input_shape(0));
        with_element!(args.input_spec(0).dtype, T => strided.cpu(args.input::<T>(0), args.output::<T>(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        self.strided(launch.input_shape(0)).gpu("flip", launch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::error::Error;
    use crate::testing::{check, float};

    #[test]
    fn every_axis() {
        let shape = [3, 70, 5, 2];
        for axis in [0, 1, 2, 3, -1, -4] {
            let at = if axis < 0 { axis + 4 } else { axis } as usize;
            check(&format!("flip {axis}"), &[float(shape)], |x| x[0].flip(axis))
                .reference(|x| {
                    let inner: usize = shape[at + 1..].iter().product();
                    let planes = x[0].chunks(shape[at] * inner);
                    planes.flat_map(|plane| plane.chunks(inner).rev().flatten().copied().collect::<Vec<f64>>()).collect()
                })
                .run();
        }
    }

    #[test]
    fn whole_numbers_and_edges() -> Result<()> {
        let x = Tensor::new(&Device::cpu(), [1, 3], &[1u8, 2, 3])?;
        assert_eq!(x.flip(1)?.to_vec::<u8>()?, [3, 2, 1]);
        assert_eq!(x.flip(0)?.id(), x.id());
        assert!(Tensor::zeros(&Device::cpu(), [2, 0])?.flip(0)?.to_vec::<f32>()?.is_empty());
        assert!(matches!(x.flip(2), Err(Error::Argument { .. })));
        Ok(())
    }
}
