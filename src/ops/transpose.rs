//! Axes in another order: `y[c] = x[d]` where `d[axes[k]] = c[k]`. Gradient: the inverse order.

use super::strided::{Strided, with_element};
use crate::error::{Error, Result};
use crate::record::op::{CpuArgs, GradCx, Launch, Op};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;

impl Tensor {
    /// The axes in another order: axis `k` of the result is axis `axes[k]` of the tensor. Any type on the CPU; f32, u32, i32 on a GPU.
    ///
    /// # Errors
    /// [`Error::Argument`] if `axes` does not name every axis once.
    #[track_caller]
    pub fn transpose(&self, axes: &[usize]) -> Result<Tensor> {
        if axes.iter().copied().eq(0..self.rank()) {
            return Ok(self.clone());
        }
        record_one(Transpose { axes: axes.to_vec() }, &[self])
    }
}

#[derive(Debug, Clone)]
struct Transpose {
    axes: Vec<usize>,
}

impl Transpose {
    fn strided(&self, x: &Shape) -> Strided {
        let strides = x.strides();
        let counts: Vec<usize> = self.axes.iter().map(|&axis| x[axis]).collect();
        let strides: Vec<usize> = self.axes.iter().map(|&axis| strides[axis]).collect();
        Strided::new(0, &counts, &strides)
    }
}

impl Op for Transpose {
    fn name(&self) -> &'static str {
        "transpose"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let x = &inputs[0];
        let mut sorted = self.axes.clone();
        sorted.sort_unstable();
        if !sorted.iter().copied().eq(0..x.shape.rank()) {
            let want = format!("each of the {} axes of {} once", x.shape.rank(), x.shape);
            return Err(Error::argument("transpose: axes", want, format!("{:?}", self.axes)));
        }
        let dims: Vec<usize> = self.axes.iter().map(|&axis| x.shape[axis]).collect();
        Ok(vec![Spec::new(dims, x.dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let mut inverse = vec![0; self.axes.len()];
        self.axes.iter().enumerate().for_each(|(k, &axis)| inverse[axis] = k);
        Ok(vec![cx.when(0, || cx.dy().transpose(&inverse))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let strided = self.strided(args.input_shape(0));
        with_element!(args.input_spec(0).dtype, T => strided.cpu(args.input::<T>(0), args.output::<T>(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        self.strided(launch.input_shape(0)).gpu("transpose", launch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::{check, float};

    /// Every element is looked up by its coordinates, axis by axis.
    fn naive(dims: &[usize], axes: &[usize], x: &[f64]) -> Vec<f64> {
        let out: Vec<usize> = axes.iter().map(|&a| dims[a]).collect();
        (0..x.len())
            .map(|mut i| {
                let mut at = vec![0; dims.len()];
                for k in (0..out.len()).rev() {
                    at[axes[k]] = i % out[k];
                    i /= out[k];
                }
                x[at.iter().zip(dims).fold(0, |index, (a, d)| index * d + a)]
            })
            .collect()
    }

    #[test]
    fn every_order_of_axes() {
        let cases: [(&[usize], &[usize]); 9] = [
            (&[5, 7], &[1, 0]),
            (&[2, 3, 4], &[0, 2, 1]),
            (&[2, 3, 4], &[2, 1, 0]),
            (&[2, 3, 4], &[1, 2, 0]),
            (&[2, 5, 3, 4], &[0, 2, 1, 3]),
            (&[2, 3, 3, 2], &[0, 3, 1, 2]),
            (&[1, 3, 1, 2], &[3, 2, 1, 0]),
            (&[2, 1, 2, 3, 2, 2], &[5, 3, 1, 4, 2, 0]),
            (&[6], &[0]),
        ];
        for (dims, axes) in cases {
            check(&format!("transpose {dims:?} {axes:?}"), &[float(dims)], |x| x[0].transpose(axes))
                .reference(|x| naive(dims, axes, &x[0]))
                .run();
        }
    }

    #[test]
    fn whole_numbers_and_large_and_empty_tensors() {
        let devices = [Some(Device::cpu()), crate::testing::gpu("transpose of whole numbers")];
        for device in devices.iter().flatten() {
            // Beyond one task and beyond 65 535 workgroups of 64.
            let (rows, columns) = (2053, 2048);
            let data: Vec<u32> = (0..rows * columns).collect();
            let x = Tensor::new(device, [rows as usize, columns as usize], &data).unwrap();
            let y = x.transpose(&[1, 0]).unwrap().to_vec::<u32>().unwrap();
            let wrong = (0..y.len() as u32).find(|&i| y[i as usize] != i % rows * columns + i / rows);
            assert_eq!((y.len(), wrong), (data.len(), None));
            let none = Tensor::new::<i32>(device, [3, 0, 2], &[]).unwrap().transpose(&[2, 0, 1]).unwrap();
            assert_eq!((&none.shape()[..], none.to_vec::<i32>().unwrap()), (&[2, 3, 0][..], vec![]));
        }
        let bytes = Tensor::new(&Device::cpu(), [2, 2], &[1u8, 2, 3, 4]).unwrap();
        assert_eq!(bytes.transpose(&[1, 0]).unwrap().to_vec::<u8>().unwrap(), [1, 3, 2, 4]);
    }

    #[test]
    fn axes_must_be_an_order() {
        let x = Tensor::new(&Device::cpu(), [1, 2], &[1f32, 2.0]).unwrap();
        for axes in [&[0, 0][..], &[0], &[1, 2], &[0, 1, 2]] {
            assert!(matches!(x.transpose(axes), Err(Error::Argument { .. })), "{axes:?}");
        }
    }
}
