//! Where the largest element along an axis is: `y[o, i] = min { l : x[o, l, i] = maxₖ x[o, k, i] }`. Not differentiable.

use super::strided::{TASK, word};
use crate::device::cpu::Real;
use crate::error::{Error, Result};
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::{DType, Spec, axis_index};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;

impl Tensor {
    /// The position (u32) of the largest element along `axis`, which the result lacks; negative counts from the back. Of equal elements the
    /// first counts; a NaN counts as larger than everything, as in NumPy.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such axis; [`Error::Shape`] if it is empty; [`Error::DType`] for whole numbers.
    #[track_caller]
    pub fn argmax(&self, axis: isize) -> Result<Tensor> {
        let axis = axis_index(axis, self.rank(), "argmax")?;
        record_one(ArgMax { axis, last: axis + 1 == self.rank() }, &[self])
    }
}

#[derive(Debug, Clone)]
pub(crate) struct ArgMax {
    axis: usize,
    last: bool,
}

impl ArgMax {
    /// Whether there is no axis after that one.
    pub fn is_over_last(&self) -> bool {
        self.last
    }

    /// Elements along the axis, and within one step of it.
    fn sizes(&self, x: &[usize]) -> (usize, usize) {
        (x[self.axis], x[self.axis + 1..].iter().product())
    }
}

impl Op for ArgMax {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        float_dtype("argmax", inputs)?;
        let mut dims = inputs[0].shape.to_vec();
        if dims.remove(self.axis) == 0 {
            return Err(Error::shape("argmax", format!("at least one element along axis {}", self.axis), &inputs[0].shape));
        }
        Ok(vec![Spec::new(dims, DType::U32)])
    }

    fn grad(&self, _: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let (length, inner) = self.sizes(args.input_shape(0));
        with_real!(args.input_spec(0).dtype, T => argmax(length, inner, args.input::<T>(0), args.output::<u32>(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64("argmax")?;
        let (length, inner) = self.sizes(launch.input_shape(0));
        let elements = launch.output_shape(0).elements();
        let shader = Shader::new("argmax", include_str!("../../shaders/argmax.wgsl"));
        let params = [word(elements), word(length), word(inner)];
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &params, elements, 64);
        Ok(())
    }
}

fn argmax<T: Real>(length: usize, inner: usize, x: &[T], y: &mut [u32]) {
    let per_task = (TASK / length).max(1);
    y.par_chunks_mut(per_task).enumerate().for_each(|(task, y)| {
        for (i, y) in y.iter_mut().enumerate() {
            let (outer, column) = ((task * per_task + i) / inner, (task * per_task + i) % inner);
            let element = |l: usize| x[(outer * length + l) * inner + column];
            let mut best = 0;
            for l in 1..length {
                let (found, largest) = (element(l), element(best));
                if found > largest || (found.is_nan() && !largest.is_nan()) {
                    best = l;
                }
            }
            *y = best as u32;
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;

    fn of(shape: impl Into<crate::Shape>, data: &[f32], axis: isize) -> Vec<u32> {
        let shape = shape.into();
        let on = |device: &Device| Tensor::new(device, shape.clone(), data).unwrap().argmax(axis).unwrap().to_vec::<u32>().unwrap();
        let found = on(&Device::cpu());
        if let Some(gpu) = crate::testing::gpu("argmax") {
            assert_eq!(on(&gpu), found, "GPU against CPU");
        }
        found
    }

    #[test]
    fn along_any_axis() {
        let x = [1.0, 5.0, 2.0, 7.0, 0.0, -1.0, 3.0, 4.0, 3.0, 8.0, 9.0, -2.0];
        assert_eq!(of([2, 3, 2], &x, -1), [1, 1, 0, 1, 1, 0]);
        assert_eq!(of([2, 3, 2], &x, 1), [1, 1, 2, 1]);
        assert_eq!(of([2, 3, 2], &x, 0), [1, 0, 1, 1, 1, 0]);
        assert_eq!(of([12], &x, 0), [10]);
    }

    #[test]
    fn the_first_of_equals_and_nan_above_all() {
        assert_eq!(of([3], &[2.0, 2.0, 1.0], 0), [0]);
        assert_eq!(of([2], &[-0.0, 0.0], 0), [0]);
        assert_eq!(of([4], &[1.0, f32::NAN, f32::INFINITY, f32::NAN], 0), [1]);
        assert_eq!(of([3], &[f32::NAN, f32::INFINITY, f32::NAN], 0), [0]);
        assert_eq!(of([2], &[f32::NEG_INFINITY, f32::NEG_INFINITY], 0), [0]);
    }

    #[test]
    fn what_has_no_largest_is_refused() {
        let cpu = Device::cpu();
        assert!(matches!(Tensor::new::<f32>(&cpu, [2, 0], &[]).unwrap().argmax(1), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::new(&cpu, [2], &[1u32, 2]).unwrap().argmax(0), Err(Error::DType { .. })));
        assert!(Tensor::new::<f32>(&cpu, [0, 2], &[]).unwrap().argmax(1).unwrap().to_vec::<u32>().unwrap().is_empty());
    }
}
