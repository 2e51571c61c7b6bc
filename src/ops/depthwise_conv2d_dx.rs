//! The gradient of [`depthwise_conv2d`](super::depthwise_conv2d) by its images:
//!
//! `dx[n, iy, ix, c] = Σ dy[n, oy, ox, c] · kernel[ky, kx, c]` over all `oy·sy + ky·dy − front_y = iy`, and so for `ix`.
//!
//! Every cell gathers from the places whose window lies over it, so that nothing is added atomically.

use super::columns::Conv2dParams;
use super::depthwise_conv2d::{DepthwiseConv2d, add_product, each_pair, for_each_row, slide, specialise};
use super::depthwise_conv2d_dw::DepthwiseConv2dDw;
use super::window::{Pooled, expect_shape};
use crate::device::cpu::Real;
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;

/// Inputs `kernel` `[rows, columns, c]`, `dy`; output `dx`. The batch is that of `dy`.
#[derive(Debug, Clone)]
pub(super) struct DepthwiseConv2dDx {
    params: Conv2dParams,
    /// Rows and columns of the images: strides leave them open.
    image: [usize; 2],
}

impl DepthwiseConv2dDx {
    /// The gradient by images of this shape.
    pub fn of(params: Conv2dParams, x: &Shape) -> DepthwiseConv2dDx {
        DepthwiseConv2dDx { params, image: [x[1], x[2]] }
    }

    fn slide(&self, kernel: &Spec, dy: &Spec) -> Result<Pooled> {
        let ([batch, ..], [kh, kw, channels]) = (dy.shape.dims::<4>(self.name())?, kernel.shape.dims::<3>(self.name())?);
        let x = Shape::from([batch, self.image[0], self.image[1], channels]);
        let p = slide(self.name(), &x, [kh, kw], &self.params)?;
        expect_shape(self.name(), dy, &p.output_shape())?;
        Ok(p)
    }
}

impl Op for DepthwiseConv2dDx {
    fn name(&self) -> &'static str {
        "depthwise_conv2d_dx"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        Ok(vec![Spec::new(self.slide(&inputs[0], &inputs[1])?.input_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (kernel, dy, upstream) = (&cx.inputs[0], &cx.inputs[1], cx.dy());
        Ok(vec![
            cx.when(0, || record_one(DepthwiseConv2dDw::of(self.params, kernel.shape()), &[upstream, dy]))?,
            cx.when(1, || record_one(DepthwiseConv2d(self.params), &[upstream, kernel]))?,
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
        let shader = specialise(Shader::new(self.name(), include_str!("../../shaders/depthwise_conv2d_dx.wgsl")), &p);
        let threads = launch.output_shape(0).elements();
        launch.threads(shader, &[Buffer::Input(0), Buffer::Input(1), Buffer::Output(0)], &[threads as u32], threads, 64);
        Ok(())
    }
}

fn backward<T: Real>(p: &Pooled, kernel: &[T], dy: &[T], dx: &mut [T]) {
    let taps = p.columns.window * p.channels;
    for_each_row(
        dx,
        p.columns.input * p.channels,
        #[inline(always)]
        |row, dx| {
            let (image, iy) = (row / p.rows.input, row % p.rows.input);
            dx.fill(T::zero());
            for ky in 0..p.rows.window {
                let Some(oy) = p.rows.place(iy, ky) else { continue };
                let dy = &dy[image * p.output_image() + oy * p.output_row()..][..p.output_row()];
                for kx in 0..p.columns.window {
                    let kernel = &kernel[ky * taps + kx * p.channels..][..p.channels];
                    each_pair(
                        p,
                        kx,
                        #[inline(always)]
                        |out, cell| add_product(&mut dx[cell], &dy[out], kernel),
                    );
                }
            }
        },
    );
}
