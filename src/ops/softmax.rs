//! Softmax over the last axis: `y_i = e^{x_i} / Σ_j e^{x_j}`, and its logarithm `x_i − log Σ_j e^{x_j}`. The largest `x` is subtracted first, so
//! that nothing overflows.
//!
//! With upstream gradient `g`: `∂x = (g − Σ g·y)·y` for softmax, and `∂x = g − e^y·Σ g` for its logarithm.

use crate::device::cpu::Real;
use crate::error::{Error, Result};
use crate::ops::pointwise::map1;
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::Spec;
use crate::tensor::{Squash, Tensor};
use crate::with_real;
use rayon::prelude::*;

#[derive(Debug, Clone)]
struct Softmax {
    log: bool,
}

/// Input 0 is softmax's output, input 1 the gradient by it.
#[derive(Debug, Clone)]
struct SoftmaxDx;

impl Tensor {
    /// Softmax over the last axis: positive numbers that sum to 1. A crossentropy on it goes back to these logits.
    ///
    /// # Errors
    /// [`Error::Shape`] without axes, or when the last is empty; [`Error::DType`] if this is no float.
    #[track_caller]
    pub fn softmax(&self) -> Result<Tensor> {
        Ok(record_one(Softmax { log: false }, &[self])?.with_logits(Squash::Softmax, self))
    }

    /// The logarithm of [`Tensor::softmax`], without its underflow.
    ///
    /// # Errors
    /// As [`Tensor::softmax`].
    #[track_caller]
    pub fn log_softmax(&self) -> Result<Tensor> {
        record_one(Softmax { log: true }, &[self])
    }

    /// [`Tensor::softmax`] over any axis; a negative one counts from the back.
    ///
    /// # Errors
    /// As [`Tensor::softmax`]; [`Error::Argument`] if there is no such axis.
    #[track_caller]
    pub fn softmax_over(&self, axis: isize) -> Result<Tensor> {
        self.swap_axes(axis, -1)?.softmax()?.swap_axes(axis, -1)
    }

    /// [`Tensor::log_softmax`] over any axis; a negative one counts from the back.
    ///
    /// # Errors
    /// As [`Tensor::softmax_over`].
    #[track_caller]
    pub fn log_softmax_over(&self, axis: isize) -> Result<Tensor> {
        self.swap_axes(axis, -1)?.log_softmax()?.swap_axes(axis, -1)
    }

    /// The gradient by the logits, where this tensor is the softmax and `dy` the gradient by it.
    #[track_caller]
    pub(crate) fn softmax_dx(&self, dy: &Tensor) -> Result<Tensor> {
        record_one(SoftmaxDx, &[self, dy])
    }
}

/// The number of rows, and the length of each.
fn rows(spec: &Spec) -> (usize, usize) {
    let length = *spec.shape.last().expect("infer refuses a tensor without axes");
    (spec.shape.elements() / length.max(1), length)
}

/// Elements that are worth a task: the exponential costs more than memory does.
const TASK: usize = 1 << 12;

/// Runs `f` on every row of `y`, many rows to a task.
fn for_each_row<T: Real>(y: &mut [T], length: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if y.is_empty() {
        return;
    }
    let group = (TASK / length).max(1);
    y.par_chunks_mut(group * length).enumerate().for_each(|(task, y)| {
        y.chunks_exact_mut(length).enumerate().for_each(|(at, y)| f(task * group + at, y));
    });
}

impl Op for Softmax {
    fn name(&self) -> &'static str {
        if self.log { "log_softmax" } else { "softmax" }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        float_dtype(self.name(), inputs)?;
        match inputs[0].shape.last() {
            None => Err(Error::shape(self.name(), "at least one axis", &inputs[0].shape)),
            Some(0) => Err(Error::shape(self.name(), "at least one element along the last axis", &inputs[0].shape)),
            Some(_) => Ok(vec![inputs[0].clone()]),
        }
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (y, dy) = (&cx.outputs[0], cx.dy());
        let dx = cx.when(0, || match self.log {
            false => y.softmax_dx(dy),
            true => map1(&[y, dy, &dy.sum(&[-1], true)?], |e| &e[1] - e[0].exp() * &e[2]),
        })?;
        Ok(vec![dx])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let (_, length) = rows(args.output_spec(0));
        with_real!(args.output_spec(0).dtype, T => {
            let x = args.input::<T>(0);
            for_each_row(args.output::<T>(0), length, |row, y| self.row(&x[row * length..][..length], y));
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let (rows, length) = rows(launch.input(0));
        let mut shader = Shader::new("softmax", include_str!("../../shaders/softmax.wgsl"));
        if self.log {
            shader = shader.hook("result", "return (v - largest) - log(sum);");
        }
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &[rows as u32, length as u32], rows, 64);
        Ok(())
    }
}

impl Softmax {
    fn row<T: Real>(&self, x: &[T], y: &mut [T]) {
        // A NaN is larger than everything here: it must reach every element of its row.
        let largest = x.iter().fold(T::neg_infinity(), |a, &b| if a >= b || a.is_nan() { a } else { b });
        let mut sum = T::zero();
        for (y, &x) in y.iter_mut().zip(x) {
            *y = (x - largest).exp();
            sum += *y;
        }
        if self.log {
            let log = sum.ln();
            y.iter_mut().zip(x).for_each(|(y, &x)| *y = (x - largest) - log);
        } else {
            y.iter_mut().for_each(|y| *y = *y / sum);
        }
    }
}

impl Op for SoftmaxDx {
    fn name(&self) -> &'static str {
        "softmax_dx"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        float_dtype("softmax_dx", inputs)?;
        if inputs[0] != inputs[1] {
            return Err(Error::shape("softmax_dx", inputs[0].to_string(), &inputs[1]));
        }
        Ok(vec![inputs[0].clone()])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (y, dy, g) = (&cx.inputs[0], &cx.inputs[1], cx.dy());
        // dx_i = y_i·(dy_i − Σ_j dy_j·y_j)
        let by_y = cx.when(0, || {
            let (s, t) = (dy.mul(y)?.sum(&[-1], true)?, g.mul(y)?.sum(&[-1], true)?);
            map1(&[g, dy, &s, &t], |e| &e[0] * (&e[1] - &e[2]) - &e[1] * &e[3])
        })?;
        let by_dy = cx.when(1, || y.softmax_dx(g))?;
        Ok(vec![by_y, by_dy])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let (_, length) = rows(args.output_spec(0));
        with_real!(args.output_spec(0).dtype, T => {
            let (y, dy) = (args.input::<T>(0), args.input::<T>(1));
            for_each_row(args.output::<T>(0), length, |row, dx| {
                let (y, dy) = (&y[row * length..][..length], &dy[row * length..][..length]);
                let sum: T = y.iter().zip(dy).map(|(&y, &dy)| y * dy).sum();
                dx.iter_mut().zip(y.iter().zip(dy)).for_each(|(dx, (&y, &dy))| *dx = (dy - sum) * y);
            });
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64("softmax_dx")?;
        let (rows, length) = rows(launch.input(0));
        let shader = Shader::new("softmax_dx", include_str!("../../shaders/softmax_dx.wgsl"));
        let buffers = [Buffer::Input(0), Buffer::Input(1), Buffer::Output(0)];
        launch.threads(shader, &buffers, &[rows as u32, length as u32], rows, 64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::testing::{check, float};

    fn naive(length: usize, x: &[f64], log: bool) -> Vec<f64> {
        let row = |row: &[f64]| -> Vec<f64> {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(|v| if log { v - sum.ln() } else { v.exp() / sum }).collect()
        };
        x.chunks(length).flat_map(row).collect()
    }

    #[test]
    fn softmax_and_its_logarithm() {
        for shape in [[1, 1], [3, 10], [70, 3], [2, 300]] {
            let length = shape[1];
            check("softmax", &[float(shape)], |x| x[0].softmax()).reference(move |x| naive(length, &x[0], false)).terms(length).run();
            check("log_softmax", &[float(shape)], |x| x[0].log_softmax())
                .reference(move |x| naive(length, &x[0], true))
                .terms(length)
                .run();
        }
        check("one axis", &[float([5])], |x| x[0].softmax()).reference(|x| naive(5, &x[0], false)).terms(5).run();
        check("no rows", &[float([0, 5])], |x| x[0].softmax()).reference(|_| Vec::new()).run();
    }

    #[test]
    fn other_axes() {
        let turned = |x: &[f64], log: bool| {
            let columns: Vec<f64> = (0..12).map(|i| x[i / 6 * 6 + i % 3 * 2 + i / 3 % 2]).collect();
            let y = naive(3, &columns, log);
            (0..12).map(|i| y[i / 6 * 6 + i % 2 * 3 + i / 2 % 3]).collect::<Vec<f64>>()
        };
        check("softmax_over", &[float([2, 3, 2])], |x| x[0].softmax_over(1)).reference(|x| turned(&x[0], false)).terms(3).run();
        check("log_softmax_over", &[float([2, 3, 2])], |x| x[0].log_softmax_over(-2)).reference(|x| turned(&x[0], true)).terms(3).run();
        let x = Tensor::zeros(&Device::cpu(), [2, 3]).unwrap();
        assert!(x.softmax_over(-1).unwrap().logits(Squash::Softmax).is_some());
        assert!(x.softmax_over(2).is_err());
    }

    #[test]
    fn large_logits_do_not_overflow_and_nan_stays_in_its_row() {
        let x = Tensor::new(&Device::cpu(), [3, 2], &[1e30f32, 0.0, -1e30, -1e30, f32::NAN, 1.0]).unwrap();
        let y = x.softmax().unwrap().to_vec::<f32>().unwrap();
        assert_eq!(y[..4], [1.0, 0.0, 0.5, 0.5]);
        assert!(y[4].is_nan() && y[5].is_nan(), "{y:?}");
        let log = x.log_softmax().unwrap().to_vec::<f32>().unwrap();
        assert_eq!(log[..3], [0.0, -1e30, -std::f32::consts::LN_2]);
    }

    #[test]
    fn softmax_remembers_its_logits_and_refuses_what_has_no_rows() {
        let cpu = Device::cpu();
        let x = Tensor::zeros(&cpu, [2, 3]).unwrap();
        assert_eq!(x.softmax().unwrap().logits(Squash::Softmax).map(Tensor::id), Some(x.id()));
        assert!(matches!(Tensor::zeros(&cpu, []).unwrap().softmax(), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::zeros(&cpu, [2, 0]).unwrap().softmax(), Err(Error::Shape { .. })));
        assert!(matches!(Tensor::new(&cpu, [1], &[1u32]).unwrap().softmax(), Err(Error::DType { .. })));
    }
}
