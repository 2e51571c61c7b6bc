//! Matrix product: `y[.., m, n] = Σ_k a[.., m, k] · b[.., k, n]`, each factor as it stands or transposed. Leading axes are a batch.
//!
//! With `y = a·b`, `∂a = ∂y·bᵀ` and `∂b = aᵀ·∂y`: products again, so nothing is ever transposed in memory.

use super::gemm::Product;
use crate::device::cpu::Real;
use crate::device::cpu::gemm::{Matrix, gemm, gemm_parallel};
use crate::error::{Error, Result};
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, float_dtype};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;

#[derive(Debug, Clone)]
pub(super) struct Matmul {
    pub(super) transpose_a: bool,
    pub(super) transpose_b: bool,
}

impl Tensor {
    /// The matrix product of the last two axes; the axes before them broadcast. `[.., m, k]` times `[.., k, n]` gives `[.., m, n]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two axes, or lengths that do not meet; [`Error::DType`] unless both are floats of one type.
    #[track_caller]
    pub fn matmul(&self, b: &Tensor) -> Result<Tensor> {
        self.matmul_with(b, false, false)
    }

    /// [`Tensor::matmul`] of factors that may be read transposed: with `transpose_a` this tensor is `[.., k, m]`, with `transpose_b` the
    /// other is `[.., n, k]`.
    ///
    /// # Errors
    /// As [`Tensor::matmul`].
    #[track_caller]
    pub fn matmul_with(&self, b: &Tensor, transpose_a: bool, transpose_b: bool) -> Result<Tensor> {
        let op = Matmul { transpose_a, transpose_b };
        let [m, n, k] = op.size(self.shape(), b.shape())?;
        let (batch_a, batch_b) = (batch(self.shape()), batch(b.shape()));
        if batch_b.elements() == 1 && b.rank() <= self.rank() && self.rank() > 2 && !transpose_a {
            // One second factor for all: the batch is only more rows, and its gradient is one product, not one for each.
            let rows = self.reshape([batch_a.elements() * m, k])?;
            let y = record_one(op, &[&rows, &b.reshape(&b.shape()[b.rank() - 2..])?])?;
            return y.reshape(joined(&batch_a, [m, n]));
        }
        let common = batch_a.broadcast(&batch_b, "matmul")?;
        let stretch = |x: &Tensor, own: &Shape| {
            let whole = own.elements() == 1 || *own == common;
            if whole { Ok(x.clone()) } else { x.broadcast_to(joined(&common, x.shape()[x.rank() - 2..].iter().copied())) }
        };
        record_one(op, &[&stretch(self, &batch_a)?, &stretch(b, &batch_b)?])
    }
}

/// The axes before the last two.
fn batch(shape: &Shape) -> Shape {
    Shape::from(&shape[..shape.rank() - 2])
}

fn joined(batch: &Shape, matrix: impl IntoIterator<Item = usize>) -> Shape {
    Shape::from(batch.iter().copied().chain(matrix).collect::<Vec<usize>>())
}

impl Matmul {
    /// `[m, n, k]`.
    fn size(&self, a: &Shape, b: &Shape) -> Result<[usize; 3]> {
        for shape in [a, b] {
            if shape.rank() < 2 {
                return Err(Error::shape("matmul", "at least two axes", shape).hint("add one with `reshape`"));
            }
        }
        let last_two = |s: &Shape, swap: bool| {
            let (row, column) = (s[s.rank() - 2], s[s.rank() - 1]);
            if swap { (column, row) } else { (row, column) }
        };
        let ((m, k), (k_b, n)) = (last_two(a, self.transpose_a), last_two(b, self.transpose_b));
        if k != k_b {
            let (read_a, read_b) =
                (if self.transpose_a { ", transposed" } else { "" }, if self.transpose_b { " when transposed" } else { "" });
            let want = format!("a second factor with {k} rows{read_b} for a first of shape {a}{read_a}");
            return Err(Error::shape("matmul", want, b));
        }
        Ok([m, n, k])
    }

    /// Products in the batch, and from one to the next the distance in each factor: 0 where all share one.
    fn batch(&self, a: &Shape, b: &Shape, y: &Shape) -> (usize, usize, usize) {
        let count = batch(y).elements();
        let step = |s: &Shape| if batch(s).elements() == 1 { 0 } else { s[s.rank() - 2] * s[s.rank() - 1] };
        (count, step(a), step(b))
    }
}

impl Op for Matmul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype("matmul", inputs)?;
        let (a, b) = (&inputs[0].shape, &inputs[1].shape);
        let [m, n, _] = self.size(a, b)?;
        Ok(vec![Spec::new(joined(&batch(a).broadcast(&batch(b), "matmul")?, [m, n]), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let Matmul { transpose_a: ta, transpose_b: tb } = *self;
        let (a, b, dy) = (&cx.inputs[0], &cx.inputs[1], cx.dy());
        let da = cx.when(0, || if ta { b.matmul_with(dy, tb, true) } else { dy.matmul_with(b, false, !tb) }?.sum_to(a.shape()))?;
        let db = cx.when(1, || if tb { dy.matmul_with(a, true, ta) } else { a.matmul_with(dy, !ta, false) }?.sum_to(b.shape()))?;
        Ok(vec![da, db])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        with_real!(args.output_spec(0).dtype, T => self.run::<T>(args))
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64("matmul")?;
        let (a, b, y) = (launch.input_shape(0), launch.input_shape(1), launch.output_shape(0));
        let [m, n, k] = self.size(a, b)?;
        let (count, a_step, b_step) = self.batch(a, b, y);
        let turned = [self.transpose_a, self.transpose_b];
        let product = Product { name: "matmul", size: [m, n, k], batch: count, steps: [a_step, b_step], turned, taps: 1, windows: None };
        product.launch(launch, [Buffer::Input(0), Buffer::Input(1)]);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

impl Matmul {
    fn run<T: Real>(&self, args: &CpuArgs) -> Result<()> {
        let (a, b, y) = (args.input_shape(0), args.input_shape(1), args.output_shape(0));
        let size @ [m, n, k] = self.size(a, b)?;
        let (count, a_step, b_step) = self.batch(a, b, y);
        let (a, b, y, then) = (args.input::<T>(0), args.input::<T>(1), args.output::<T>(0), args.epilogue());
        let factors = |i: usize| {
            let (a, b) = (&a[i * a_step..], &b[i * b_step..]);
            let a = if self.transpose_a { Matrix::rows(a, m).transposed() } else { Matrix::rows(a, k) };
            let b = if self.transpose_b { Matrix::rows(b, k).transposed() } else { Matrix::rows(b, n) };
            (a, b)
        };
        if y.is_empty() {
            return Ok(());
        }
        if count < BATCH {
            for (i, y) in y.chunks_exact_mut(m * n).enumerate() {
                let (a, b) = factors(i);
                gemm_parallel(size, y, a, b, (then, i * m * n));
            }
            return Ok(());
        }
        // Products that are too small to be worth a task go together.
        let group = (TASK / (m * n * k).max(1)).max(1);
        y.par_chunks_mut(group * m * n).enumerate().for_each(|(task, y)| {
            for (at, y) in y.chunks_exact_mut(m * n).enumerate() {
                let (a, b) = factors(task * group + at);
                gemm(size, y, n, a, b, false);
            }
            then.apply(task * group * m * n, y);
        });
        Ok(())
    }
}

/// From so many products on, each runs on one thread.
const BATCH: usize = 8;
/// Multiplications that are worth a task.
const TASK: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Device;
    use crate::testing::{check, float};

    /// One product by three loops, each factor read through its transposition.
    fn naive([m, n, k]: [usize; 3], a: &[f64], b: &[f64], ta: bool, tb: bool) -> Vec<f64> {
        let a_at = |i: usize, l: usize| if ta { a[l * m + i] } else { a[i * k + l] };
        let b_at = |l: usize, j: usize| if tb { b[j * k + l] } else { b[l * n + j] };
        (0..m * n).map(|y| (0..k).map(|l| a_at(y / n, l) * b_at(l, y % n)).sum()).collect()
    }

    #[test]
    fn every_transposition() {
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            // Odd lengths, and lengths of whole vectors with tiles that are cut off at either end.
            for [m, n, k] in [[1, 1, 1], [3, 5, 7], [9, 4, 6], [4, 12, 8], [2, 3, 0]] {
                let a = if ta { [k, m] } else { [m, k] };
                let b = if tb { [n, k] } else { [k, n] };
                check(&format!("{m}x{n}x{k} {ta} {tb}"), &[float(a), float(b)], move |x| x[0].matmul_with(&x[1], ta, tb))
                    .reference(move |x| naive([m, n, k], &x[0], &x[1], ta, tb))
                    .terms(k.max(1))
                    .with_hardware_kernels()
                    .run();
            }
        }
    }

    #[test]
    fn batches_broadcast() {
        let each = |size: [usize; 3], a: &[f64], b: &[f64], pairs: &[(usize, usize)]| -> Vec<f64> {
            let [m, n, k] = size;
            pairs.iter().flat_map(|(i, j)| naive(size, &a[i * m * k..][..m * k], &b[j * k * n..][..k * n], false, false)).collect()
        };
        let same: Vec<(usize, usize)> = (0..9).map(|i| (i, i)).collect();
        check("same", &[float([9, 2, 3]), float([9, 3, 4])], |x| x[0].matmul(&x[1]))
            .reference(move |x| each([2, 4, 3], &x[0], &x[1], &same))
            .terms(3)
            .run();
        check("tiles", &[float([2, 33, 8]), float([2, 8, 44])], |x| x[0].matmul(&x[1]))
            .reference(move |x| each([33, 44, 8], &x[0], &x[1], &[(0, 0), (1, 1)]))
            .terms(44)
            .with_hardware_kernels()
            .run();
        let one_b: Vec<(usize, usize)> = (0..4).map(|i| (i, 0)).collect();
        check("one second", &[float([2, 2, 2, 3]), float([3, 4])], |x| x[0].matmul(&x[1]))
            .reference(move |x| each([2, 4, 3], &x[0], &x[1], &one_b))
            .terms(8)
            .run();
        let one_a: Vec<(usize, usize)> = (0..3).map(|j| (0, j)).collect();
        check("one first", &[float([2, 3]), float([3, 3, 4])], |x| x[0].matmul(&x[1]))
            .reference(move |x| each([2, 4, 3], &x[0], &x[1], &one_a))
            .terms(6)
            .run();
        let cross = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)];
        check("both", &[float([2, 1, 2, 2]), float([3, 2, 2])], |x| x[0].matmul(&x[1]))
            .reference(move |x| each([2, 2, 2], &x[0], &x[1], &cross))
            .terms(6)
            .run();
    }

    #[test]
    fn large_products_are_cut_and_still_right() {
        // Sections of k, several tiles with odd ends, and both.
        for [m, n, k] in [[3, 5, 5000], [70, 131, 33], [130, 70, 1027], [68, 132, 1028], [36, 40, 37], [45, 96, 260]] {
            for (ta, tb) in [(false, false), (false, true), (true, false)] {
                let (a, b) = (if ta { [k, m] } else { [m, k] }, if tb { [n, k] } else { [k, n] });
                check(&format!("{m}x{n}x{k} {ta} {tb}"), &[float(a), float(b)], move |x| x[0].matmul_with(&x[1], ta, tb))
                    .reference(move |x| naive([m, n, k], &x[0], &x[1], ta, tb))
                    .terms(k)
                    .not_differentiable()
                    .with_hardware_kernels()
                    .run();
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let zeros = |shape: &[usize]| Tensor::zeros(&Device::cpu(), shape).unwrap();
        let error = zeros(&[2, 3]).matmul(&zeros(&[4, 5])).unwrap_err().to_string();
        assert!(error.contains("3 rows") && error.contains("[4, 5]"), "{error}");
        assert!(matches!(zeros(&[3]).matmul(&zeros(&[3, 2])), Err(Error::Shape { .. })));
        assert!(matches!(zeros(&[2, 2, 3]).matmul(&zeros(&[3, 3, 2])), Err(Error::Shape { .. })));
        let counts = Tensor::new(&Device::cpu(), [1, 1], &[1u32]).unwrap();
        assert!(matches!(counts.matmul(&counts), Err(Error::DType { .. })));
    }
}
