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
