//! Labels as rows of zeros with one 1: `y[i…, k] = 1` where `labels[i…] = k`, else 0. Not differentiable.

use super::strided::{TASK, word};
use crate::device::cpu::Real;
use crate::error::{Error, Result};
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, Shader};
use crate::record::record_one;
use crate::shape::{DType, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;

impl Tensor {
    /// u32 labels `[i…]` as f32 `[i…, depth]`. A label outside `0..depth` gives a row of zeros, as in Keras.
    ///
    /// # Errors
    /// [`Error::DType`] for labels that are not u32.
    #[track_caller]
    pub fn one_hot(&self, depth: usize) -> Result<Tensor> {
        self.one_hot_as(depth, DType::F32)
    }

    /// [`Tensor::one_hot`] in f32 or, on the CPU, f64.
    ///
    /// # Errors
    /// [`Error::DType`] for labels that are not u32, and for a `dtype` that is no float.
    #[track_caller]
    pub fn one_hot_as(&self, depth: usize, dtype: DType) -> Result<Tensor> {
        record_one(OneHot { depth, dtype }, &[self])
    }
}

#[derive(Debug, Clone)]
struct OneHot {
    depth: usize,
    dtype: DType,
}

impl Op for OneHot {
    fn name(&self) -> &'static str {
        "one_hot"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        if inputs[0].dtype != DType::U32 {
            return Err(Error::dtype("one_hot", "u32 labels", inputs[0].dtype));
        }
        if !self.dtype.is_float() {
            return Err(Error::dtype("one_hot", "f32 or f64 to make", self.dtype));
        }
        let mut dims = inputs[0].shape.to_vec();
        dims.push(self.depth);
        Ok(vec![Spec::new(dims, self.dtype)])
    }

    fn grad(&self, _: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        with_real!(self.dtype, T => one_hot(self.depth, args.input::<u32>(0), args.output::<T>(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64("one_hot")?;
        let elements = launch.output_shape(0).elements();
        let shader = Shader::new("one_hot", include_str!("../../shaders/one_hot.wgsl")).set("DEPTH", self.depth.max(1));
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &[word(elements)], elements, 64);
        Ok(())
    }
}

fn one_hot<T: Real>(depth: usize, labels: &[u32], y: &mut [T]) {
    if depth == 0 {
        return;
    }
    let rows_per_task = (TASK / depth).max(1);
    y.par_chunks_mut(rows_per_task * depth).zip(labels.par_chunks(rows_per_task)).for_each(|(y, labels)| {
        y.fill(T::zero());
        for (row, &label) in y.chunks_exact_mut(depth).zip(labels) {
            if let Some(one) = row.get_mut(label as usize) {
                *one = T::one();
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;

    #[test]
    fn one_where_the_label_is() {
        let expected = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let labels = |device: &Device| Tensor::new(device, [2, 2], &[2u32, 0, 3, u32::MAX]).unwrap();
        for device in [Some(Device::cpu()), crate::testing::gpu("one_hot")].iter().flatten() {
            let y = labels(device).one_hot(3).unwrap();
            assert_eq!(&y.shape()[..], [2, 2, 3]);
            assert_eq!(y.to_vec::<f32>().unwrap(), expected.map(|v| v as f32));
            assert!(labels(device).one_hot(0).unwrap().to_vec::<f32>().unwrap().is_empty());
        }
        assert_eq!(labels(&Device::cpu()).one_hot_as(3, DType::F64).unwrap().to_vec::<f64>().unwrap(), expected);
    }

    #[test]
    fn other_types_are_refused() {
        let labels = Tensor::new(&Device::cpu(), [1], &[1i32]).unwrap();
        assert!(matches!(labels.one_hot(3), Err(Error::DType { .. })));
        let labels = Tensor::new(&Device::cpu(), [1], &[1u32]).unwrap();
        assert!(matches!(labels.one_hot_as(3, DType::U8), Err(Error::DType { .. })));
    }
}
