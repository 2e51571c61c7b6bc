//! The gradient of [`depthwise_conv2d`](super::depthwise_conv2d) by its kernels:
//!
//! `dkernel[ky, kx, c] = Σ_{n, oy, ox} x[n, oy·sy + ky·dy − front_y, ox·sx + kx·dx − front_x, c] · dy[n, oy, ox, c]`
//!
//! The sum over all rows of the batch is cut into parts whose number depends on the shapes alone; the parts are added in order. Within a part
//! every row is summed by itself first, so that rounding errors stay small.

use super::columns::{Conv2dParams, add};
use super::depthwise_conv2d::{DepthwiseConv2d, add_product, each_pair, slide, specialise};
use super::depthwise_conv2d_dx::DepthwiseConv2dDx;
use super::gemm::sum_planes;
use super::window::{Pooled, expect_shape};
use crate::device::cpu::Real;
use crate::device::cpu::gemm::with_scratch;
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;
use std::ops::Range;

/// Parts of the sum on a GPU: enough threads to fill the adapter, each of which sums one element over at least one row of pixels, and no more
/// memory than 16 MiB.
fn planes(elements: usize, rows: usize, software: bool) -> usize {
    let wanted = if software { 1 << 10 } else { 1 << 14 };
    let elements = elements.max(1);
    (wanted / elements).min(64).min((4 << 20) / elements).min(rows).max(1)
}

/// Parts of the sum on the CPU.
const PARTS: usize = 32;

/// Inputs `x`, `dy`; output `dkernel` `[rows, columns, c]`.
#[derive(Debug, Clone)]
pub(super) struct DepthwiseConv2dDw {
    params: Conv2dParams,
    /// Rows and columns of the kernels: strides leave them open.
    window: [usize; 2],
}

impl DepthwiseConv2dDw {
    /// The gradient by kernels of this shape.
    pub fn of(params: Conv2dParams, kernel: &Shape) -> DepthwiseConv2dDw {
        DepthwiseConv2dDw { params, window: [kernel[0], kernel[1]] }
    }

    fn slide(&self, x: &Spec, dy: &Spec) -> Result<Pooled> {
        let p = slide(self.name(), &x.shape, self.window, &self.params)?;
        expect_shape(self.name(), dy, &p.output_shape())?;
        Ok(p)
    }
}

impl Op for DepthwiseConv2dDw {
    fn name(&self) -> &'static str {
        "depthwise_conv2d_dw"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        let p = self.slide(&inputs[0], &inputs[1])?;
        Ok(vec![Spec::new([p.rows.window, p.columns.window, p.channels], dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (x, dy, upstream) = (&cx.inputs[0], &cx.inputs[1], cx.dy());
        Ok(vec![
            cx.when(0, || record_one(DepthwiseConv2dDx::of(self.params, x.shape()), &[upstream, dy]))?,
            cx.when(1, || record_one(DepthwiseConv2d(self.params), &[x, upstream]))?,
        ])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let p = self.slide(args.input_spec(0), args.input_spec(1))?;
        with_real!(args.output_spec(0).dtype, T => backward::<T>(&p, args.input(0), args.input(1), args.output(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let p = self.slide(launch.input(0), launch.input(1))?;
        let (elements, rows) = (launch.output_shape(0).elements(), p.images * p.rows.output);
        let planes = planes(elements, rows, launch.adapter().software);
        let shader = specialise(Shader::new(self.name(), include_str!("../../shaders/depthwise_conv2d_dw.wgsl")), &p);
        let parts = if planes == 1 { Buffer::Output(0) } else { launch.scratch(planes * elements) };
        let params = [rows as u32, rows.div_ceil(planes) as u32, planes as u32];
        launch.threads(shader, &[Buffer::Input(0), Buffer::Input(1), parts], &params, elements * planes, 64);
        if planes > 1 {
            sum_planes(launch, parts, elements, planes);
        }
        Ok(())
    }
}

fn backward<T: Real>(p: &Pooled, x: &[T], dy: &[T], dkernel: &mut [T]) {
    let (rows, length) = (p.images * p.rows.output, dkernel.len());
    if rows == 0 || length == 0 {
        return dkernel.fill(T::zero());
    }
    let parts = PARTS.min(rows);
    let range = |part: usize| part * rows / parts..(part + 1) * rows / parts;
    with_scratch(parts * length, |sums: &mut [T]| {
        sums.par_chunks_mut(length).enumerate().for_each(|(part, sum)| {
            with_scratch(p.channels, |line: &mut [T]| pulp::Arch::new().dispatch(|| sum_rows(p, x, dy, range(part), line, sum)));
        });
        dkernel.fill(T::zero());
        sums.chunks_exact(length).for_each(|part| add(dkernel, part));
    });
}

/// One part of the sum: output rows `rows`, counted through all images. `line` has room for one pixel.
#[inline(always)]
fn sum_rows<T: Real>(p: &Pooled, x: &[T], dy: &[T], rows: Range<usize>, line: &mut [T], sum: &mut [T]) {
    let width = p.columns.input * p.channels;
    sum.fill(T::zero());
    for row in rows {
        let (image, oy) = (row / p.rows.output, row % p.rows.output);
        let dy = &dy[row * p.output_row()..][..p.output_row()];
        for ky in 0..p.rows.window {
            let Some(iy) = p.rows.cell(oy, ky) else { continue };
            let x = &x[image * p.image() + iy * width..][..width];
            for kx in 0..p.columns.window {
                line.fill(T::zero());
                each_pair(
                    p,
                    kx,
                    #[inline(always)]
                    |out, cell| add_product(line, &x[cell], &dy[out]),
                );
                add(&mut sum[(ky * p.columns.window + kx) * p.channels..][..p.channels], line);
            }
        }
    }
}
