//! The gradient of [`conv2d`](super::conv2d) by its images:
//!
//! `dx[n, iy, ix, c] = Σ dy[n, oy, ox, o] · kernel[ky, kx, c, o]` over all `oy·sy + ky·dy − front_y = iy`, and so for `ix`.
//!
//! On the CPU: each output pixel's gradient times the transposed kernel, added back to the window's cells. On the GPU: a convolution of
//! `dy`, with `stride − 1` zeros put between its pixels, by the kernel turned around; a thread gathers, so that nothing is added atomically.

use super::columns::{Conv2dParams, Geometry};
use super::conv2d::{Conv2d, convolve};
use super::conv2d_dw::Conv2dDw;
use super::window::{Axis, expect_shape};
use crate::device::cpu::Real;
use crate::device::cpu::gemm::{Matrix, gemm, with_scratch};
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, Epilogue, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;

/// Tasks that there should be at least: fewer images than that are cut into bands of rows.
const TASKS: usize = 8;

/// Inputs `kernel`, `dy`; output `dx`. The batch is that of `dy`.
#[derive(Debug, Clone)]
pub(crate) struct Conv2dDx {
    params: Conv2dParams,
    /// Rows and columns of the images: strides leave them open.
    image: [usize; 2],
}

impl Conv2dDx {
    /// The gradient by images of this shape.
    pub fn of(params: Conv2dParams, x: &Shape) -> Conv2dDx {
        Conv2dDx { params, image: [x[1], x[2]] }
    }

    fn geometry(&self, kernel: &Spec, dy: &Spec) -> Result<Geometry> {
        let ([batch, ..], [_, _, cin, _]) = (dy.shape.dims::<4>(self.name())?, kernel.shape.dims::<4>(self.name())?);
        let x = Shape::from([batch, self.image[0], self.image[1], cin]);
        let geometry = Geometry::new(self.name(), &x, &kernel.shape, &self.params)?;
        expect_shape(self.name(), dy, &geometry.y_shape())?;
        Ok(geometry)
    }
}

impl Op for Conv2dDx {
    fn name(&self) -> &'static str {
        "conv2d_dx"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        Ok(vec![Spec::new(self.geometry(&inputs[0], &inputs[1])?.x_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (kernel, dy, upstream) = (&cx.inputs[0], &cx.inputs[1], cx.dy());
        Ok(vec![
            cx.when(0, || record_one(Conv2dDw::of(self.params, kernel.shape()), &[upstream, dy]))?,
            cx.when(1, || record_one(Conv2d(self.params), &[upstream, kernel]))?,
        ])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let geometry = self.geometry(args.input_spec(0), args.input_spec(1))?;
        with_real!(args.output_spec(0).dtype, T => backward::<T>(&geometry, args.input(0), args.input(1), args.output(0), args.epilogue()));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let g = self.geometry(launch.input(0), launch.input(1))?;
        let elements = g.kernel_shape().elements();
        let turned = launch.scratch(elements);
        let shader = Shader::new("conv2d_dx", include_str!("../../shaders/conv2d_dx.wgsl"));
        let shader = shader.set_all(&[("TAPS", g.rows.window * g.columns.window), ("CIN", g.cin), ("COUT", g.cout)]);
        launch.threads(shader, &[Buffer::Input(0), turned], &[], elements, 64);
        let over_dy = Geometry { images: g.images, rows: turned_axis(&g.rows), columns: turned_axis(&g.columns), cin: g.cout, cout: g.cin };
        convolve(launch, "conv2d_dx", &over_dy, [g.rows.stride, g.columns.stride], [Buffer::Input(1), turned, Buffer::Output(0)]);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// The axis of the convolution that undoes one along `axis`: from places back to cells, by the window turned around.
fn turned_axis(axis: &Axis) -> Axis {
    let front = (axis.window - 1) * axis.dilation - axis.front;
    Axis { input: axis.output, window: axis.window, stride: 1, dilation: axis.dilation, output: axis.input, front }
}

fn backward<T: Real>(g: &Geometry, kernel: &[T], dy: &[T], dx: &mut [T], then: Epilogue) {
    let row = g.columns.input * g.cin;
    if dx.is_empty() {
        return;
    }
    let transposed = Matrix::rows(kernel, g.cout).transposed();
    if g.is_pointwise() {
        let rows = g.block_rows();
        return dx.par_chunks_mut(rows * row).zip(dy.par_chunks((rows * g.y_row()).max(1))).enumerate().for_each(|(i, (dx, dy))| {
            gemm([dx.len() / g.cin, g.cin, g.cout], dx, g.cin, Matrix::rows(dy, g.cout), transposed, false);
            then.apply(i * rows * row, dx);
        });
    }
    let band = band_rows(g);
    dx.par_chunks_mut(g.image()).enumerate().for_each(|(image, dx)| {
        let dy = &dy[image * g.rows.output * g.y_row()..][..g.rows.output * g.y_row()];
        dx.par_chunks_mut(band * row).enumerate().for_each(|(i, dx)| {
            let held = i * band..i * band + dx.len() / row;
            backward_band(g, transposed, dy, dx, held);
            then.apply(image * g.image() + i * band * row, dx);
        });
    });
}

/// Image rows that one task takes. A band computes again the windows that reach over its edge, so bands are much wider than windows.
fn band_rows(g: &Geometry) -> usize {
    let bands = TASKS.div_ceil(g.images);
    let least = 4 * ((g.rows.window - 1) * g.rows.dilation + 1);
    if bands == 1 { g.rows.input } else { g.rows.input.div_ceil(bands).max(least).min(g.rows.input) }
}

/// The rows `held` of one image's gradient, from that image's `dy`.
fn backward_band<T: Real>(g: &Geometry, transposed: Matrix<T>, dy: &[T], dx: &mut [T], held: std::ops::Range<usize>) {
    dx.fill(T::zero());
    let (first, last) = (g.rows.covering(held.start), g.rows.covering(held.end - 1));
    let block = g.block_rows();
    let mut start = first.start;
    while start < last.end {
        let end = (start + block).min(last.end);
        let pixels = (end - start) * g.columns.output;
        with_scratch(g.scratch(end - start), |windows: &mut [T]| {
            let dy = Matrix::rows(&dy[start * g.y_row()..end * g.y_row()], g.cout);
            if g.cin == 1 {
                gemm([g.depth(), pixels, g.cout], windows, pixels, transposed.transposed(), dy.transposed(), false);
            } else {
                gemm([pixels, g.depth(), g.cout], windows, g.depth(), dy, transposed, false);
            }
            g.scatter(windows, start..end, dx, &held);
        });
        start = end;
    }
}
