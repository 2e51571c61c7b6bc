//! The gradient of [`conv2d`](super::conv2d) by its images:
//!
//! `dx[n, iy, ix, c] = Σ dy[n, oy, ox, o] · kernel[ky, kx, c, o]` over all `oy·sy + ky·dy − front_y = iy`, and so for `ix`.
//!
//! It is a convolution of `dy`, with `stride − 1` zeros put between its pixels, by the kernel turned around, which a GPU reads as it lies or lays
//! out first: it gathers, so that nothing is added atomically. The CPU leaves out what meets those zeros.

use super::columns::{Conv2dParams, Geometry};
use super::conv2d::{Conv2d, convolve};
use super::conv2d_dw::Conv2dDw;
use super::correlate::Correlation;
use super::gemm::{Product, Windows};
use super::window::{Axis, expect_shape};
use super::winograd::Winograd;
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;

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
        with_real!(args.output_spec(0).dtype, T => {
            match Winograd::backward(&geometry) {
                Some(winograd) => winograd.run::<T>(args.input(1), args.input(0), args.output(0), args.epilogue()),
                None => Correlation::backward(&geometry).run::<T>(args.input(1), args.input(0), args.output(0), args.epilogue()),
            }
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let g = self.geometry(launch.input(0), launch.input(1))?;
        let over_dy = Geometry { images: g.images, rows: turned_axis(&g.rows), columns: turned_axis(&g.columns), cin: g.cout, cout: g.cin };
        let (up, taps) = ([g.rows.stride, g.columns.stride], g.rows.window * g.columns.window);
        let size = [g.images * g.rows.input * g.columns.input, g.cin, over_dy.depth()];
        let windows = Some(Windows { geometry: &over_dy, up });
        let product = Product { name: self.name(), size, batch: 1, steps: [0, 0], turned: [false, true], taps, windows };
        if product.fits_lanes(launch) {
            product.launch(launch, [Buffer::Input(1), Buffer::Input(0)]);
            return Ok(());
        }
        let elements = g.kernel_shape().elements();
        let turned = launch.scratch(elements);
        let shader = Shader::new("conv2d_dx", include_str!("../../shaders/conv2d_dx.wgsl"));
        let shader = shader.set_all(&[("TAPS", taps), ("CIN", g.cin), ("COUT", g.cout)]);
        launch.threads(shader, &[Buffer::Input(0), turned], &[], elements, 64);
        convolve(launch, "conv2d_dx", &over_dy, up, [Buffer::Input(1), turned]);
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
