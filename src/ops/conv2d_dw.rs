//! The gradient of [`conv2d`](super::conv2d) by its kernel:
//!
//! `dkernel[ky, kx, c, o] = Σ_{n, oy, ox} x[n, oy·sy + ky·dy − front_y, ox·sx + kx·dx − front_x, c] · dy[n, oy, ox, o]`
//!
//! The sum over all pixels of the batch is cut into parts whose number depends on the shapes alone; the parts are added in order.

use super::columns::{Conv2dParams, Geometry, add};
use super::conv2d::{Conv2d, in_fours};
use super::conv2d_dx::Conv2dDx;
use super::gemm::{Product, Windows, constants, sum_planes};
use super::window::expect_shape;
use crate::device::cpu::Real;
use crate::device::cpu::gemm::{Matrix, gemm, with_scratch};
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, Epilogue, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;
use std::ops::Range;

/// Parts of the sum on the CPU, unless they would fill more than `PART_MEMORY` elements.
const PARTS: usize = 16;
const PART_MEMORY: usize = 4 << 20;

/// Inputs `x`, `dy`; output `dkernel`.
#[derive(Debug, Clone)]
pub(crate) struct Conv2dDw {
    params: Conv2dParams,
    /// Rows and columns of the kernel: strides leave them open.
    window: [usize; 2],
}

impl Conv2dDw {
    /// The gradient by a kernel of this shape.
    pub fn of(params: Conv2dParams, kernel: &Shape) -> Conv2dDw {
        Conv2dDw { params, window: [kernel[0], kernel[1]] }
    }

    fn geometry(&self, x: &Spec, dy: &Spec) -> Result<Geometry> {
        let ([_, _, _, cin], [.., cout]) = (x.shape.dims::<4>(self.name())?, dy.shape.dims::<4>(self.name())?);
        let kernel = Shape::from([self.window[0], self.window[1], cin, cout]);
        let geometry = Geometry::new(self.name(), &x.shape, &kernel, &self.params)?;
        expect_shape(self.name(), dy, &geometry.y_shape())?;
        Ok(geometry)
    }
}

impl Op for Conv2dDw {
    fn name(&self) -> &'static str {
        "conv2d_dw"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        Ok(vec![Spec::new(self.geometry(&inputs[0], &inputs[1])?.kernel_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (x, dy, upstream) = (&cx.inputs[0], &cx.inputs[1], cx.dy());
        Ok(vec![
            cx.when(0, || record_one(Conv2dDx::of(self.params, x.shape()), &[upstream, dy]))?,
            cx.when(1, || record_one(Conv2d(self.params), &[x, upstream]))?,
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
        let windows = Some(Windows { geometry: &g, up: [1, 1] });
        let size = [g.depth(), g.cout, g.images * g.rows.output * g.columns.output];
        let product = Product { name: self.name(), size, batch: 1, steps: [0, 0], turned: [true, false], windows };
        if product.fits_lanes(launch) {
            product.launch_lanes(launch, [Buffer::Input(0), Buffer::Input(1)]);
            return Ok(());
        }
        let threads = g.depth().div_ceil(TILE[0]) * g.cout.div_ceil(TILE[1]);
        let rows = g.images * g.rows.output;
        let (elements, software) = (g.kernel_shape().elements(), launch.adapter().software);
        let planes = planes(threads, rows, elements, software);
        let size = if software { 8 } else { 64 };
        let source = match in_fours(&g) {
            true => include_str!("../../shaders/conv2d_dw_vec4.wgsl"),
            false => include_str!("../../shaders/conv2d_dw.wgsl"),
        };
        let shader = Shader::new("conv2d_dw", source).set_all(&constants(&g));
        let shader = shader.set_all(&[("PADDED", usize::from(g.rows.padded() || g.columns.padded())), ("SIZE", size)]);
        let parts = if planes == 1 { Buffer::Output(0) } else { launch.scratch(planes * elements) };
        let buffers = [Buffer::Input(0), Buffer::Input(1), parts];
        launch.threads(shader, &buffers, &[rows as u32, rows.div_ceil(planes) as u32, planes as u32], threads * planes, size as u32);
        if planes > 1 {
            sum_planes(launch, parts, elements, planes);
        }
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Rows and columns of the gradient that one GPU thread sums.
const TILE: [usize; 2] = [8, 8];

/// Parts of the sum on the GPU: enough threads to fill the adapter, at least one row of pixels each, and no more memory than 16 MiB.
pub(super) fn planes(threads: usize, rows: usize, elements: usize, software: bool) -> usize {
    let wanted = if software { 1 << 10 } else { 1 << 14 };
    let wanted = wanted / threads.max(1);
    wanted.min(64).min(PART_MEMORY / elements.max(1)).min(rows).max(1)
}

fn backward<T: Real>(g: &Geometry, x: &[T], dy: &[T], dkernel: &mut [T], then: Epilogue) {
    let (rows, block) = (g.images * g.rows.output, g.block_rows());
    if rows * g.y_row() * dkernel.len() == 0 {
        dkernel.fill(T::zero());
        return then.apply_to_all(dkernel);
    }
    let blocks = rows.div_ceil(block);
    let parts = PARTS.min(PART_MEMORY / dkernel.len()).max(4).min(blocks);
    let range = |part: usize| part * blocks / parts * block..((part + 1) * blocks / parts * block).min(rows);
    with_scratch((parts - 1) * dkernel.len(), |others: &mut [T]| {
        let mut sums: Vec<&mut [T]> = vec![&mut *dkernel];
        sums.extend(others.chunks_exact_mut(sums[0].len()));
        sums.into_par_iter().enumerate().for_each(|(part, sum)| sum_rows(g, x, dy, range(part), block, sum));
        let length = dkernel.len();
        dkernel.par_chunks_mut(4096).enumerate().for_each(|(i, total)| {
            for part in others.chunks_exact(length) {
                add(total, &part[i * 4096..]);
            }
            then.apply(i * 4096, total);
        });
    });
}

/// One part of the sum: output rows `rows`, taken `block` at a time.
fn sum_rows<T: Real>(g: &Geometry, x: &[T], dy: &[T], rows: Range<usize>, block: usize, sum: &mut [T]) {
    for start in rows.clone().step_by(block) {
        let end = (start + block).min(rows.end);
        with_scratch(g.scratch(end - start), |scratch: &mut [T]| {
            let windows = g.gather(x, start..end, scratch).transposed();
            let dy = Matrix::rows(&dy[start * g.y_row()..end * g.y_row()], g.cout);
            gemm([g.depth(), g.cout, (end - start) * g.columns.output], sum, g.cout, windows, dy, start > rows.start);
        });
    }
}
