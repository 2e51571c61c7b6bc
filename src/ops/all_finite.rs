//! Whether all elements of several tensors are finite: neither NaN nor infinite. Not differentiable.
//!
//! Loss scaling asks this of all gradients in every step, so it is one pass over several tensors, to a flag for each of [`PARTS`] parts.

use super::pointwise::map1;
use super::several::{MOST_INPUTS, reading};
use super::strided::word;
use crate::device::cpu::Real;
use crate::error::{Error, Result};
use crate::record::op::{CpuArgs, GradCx, Launch, Op, Shader};
use crate::record::record_one;
use crate::shape::{DType, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;

/// `u32` without axes: 1 if every element of every tensor is neither NaN nor infinite, else 0. There must be at least one tensor.
///
/// # Errors
/// [`Error::DType`] for tensors that are not of floats.
#[track_caller]
pub(crate) fn all_finite(tensors: &[&Tensor]) -> Result<Tensor> {
    let parts = tensors.chunks(MOST_INPUTS).map(|some| record_one(AllFinite, some)).collect::<Result<Vec<_>>>()?;
    let mut parts = parts.into_iter();
    let first = parts.next().ok_or_else(|| Error::argument("all_finite", "at least one tensor", 0))?;
    parts.try_fold(first, |all, more| map1(&[&all, &more], |e| e[0].min(&e[1])))?.min(&[0], false)
}

/// Workgroups, and as many flags.
const PARTS: usize = 256;

#[derive(Debug, Clone)]
struct AllFinite;

impl Op for AllFinite {
    fn name(&self) -> &'static str {
        "all_finite"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        match inputs.iter().find(|x| !x.dtype.is_float()) {
            Some(x) => Err(Error::dtype(self.name(), "floats", x.dtype)),
            None => Ok(vec![Spec::new([PARTS], DType::U32)]),
        }
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None; cx.inputs.len()])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let y = args.output::<u32>(0);
        y.fill(1);
        for i in 0..args.input_count() {
            with_real!(args.input_spec(i).dtype, T => check_parts(args.input::<T>(i), y));
        }
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let count = launch.input_count();
        let shader = Shader::new(self.name(), include_str!("../../shaders/all_finite.wgsl"));
        let (shader, buffers) = reading(shader, &(0..count).collect::<Vec<_>>());
        let lengths: Vec<u32> = (0..8).map(|i| if i < count { word(launch.input_shape(i).elements()) } else { 0 }).collect();
        launch.dispatch(shader, &buffers, &lengths, [PARTS as u32, 1, 1]);
        Ok(())
    }
}

/// Clears the flags of the parts of `x` that hold something not finite.
fn check_parts<T: Real>(x: &[T], flags: &mut [u32]) {
    let length = x.len().div_ceil(PARTS).max(1);
    flags.par_iter_mut().zip(x.par_chunks(length)).for_each(|(flag, part)| {
        // Without a way out in the middle, it is a loop of vectors.
        let good = part.iter().fold(true, |good, v| good & v.is_finite());
        *flag &= u32::from(good);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;

    fn asked(device: &Device, tensors: &[Vec<f32>], dtype: DType) -> f64 {
        let tensors: Vec<Tensor> = tensors.iter().map(|x| Tensor::new(device, [x.len()], x).unwrap().cast(dtype).unwrap()).collect();
        all_finite(&tensors.iter().collect::<Vec<_>>()).unwrap().item().unwrap()
    }

    #[test]
    fn one_bad_element_anywhere_is_found() {
        for device in [Some(Device::cpu()), crate::testing::gpu("all_finite")].iter().flatten() {
            for dtype in [DType::F32, DType::F16] {
                // More tensors than one dispatch binds, and more elements than it has threads.
                let lengths = [1usize, 3, 70_001, 256, 0, 5, 1000, 9, 65_536];
                let good: Vec<Vec<f32>> = lengths.iter().map(|&n| (0..n).map(|i| i as f32 % 997.0 - 400.0).collect()).collect();
                assert_eq!(asked(device, &good, dtype), 1.0, "{device}");
                for (tensor, at) in [(0, 0), (1, 2), (2, 0), (2, 70_000), (2, 65_536), (6, 500), (7, 8), (8, 65_535)] {
                    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                        let mut tensors = good.clone();
                        tensors[tensor][at] = bad;
                        assert_eq!(asked(device, &tensors, dtype), 0.0, "{device}: {bad} at {at} of tensor {tensor}");
                    }
                }
                let too_large_for_halves = asked(device, &[vec![1.0, 70_000.0]], dtype);
                assert_eq!(too_large_for_halves, if dtype == DType::F16 { 0.0 } else { 1.0 }, "{device}");
            }
            let counts = Tensor::new(device, [1], &[1u32]).unwrap();
            assert!(matches!(all_finite(&[&counts]), Err(Error::DType { .. })));
        }
    }
}
