//! The mean under a window that slides over images: `y[n, oy, ox, c] = Σ x[n, oy·sy + ky − front_y, ox·sx + kx − front_x, c] / cells`, over
//! the real cells under the window. Padding cells count neither in the sum nor in `cells`, as in Keras and TensorFlow.

use super::columns::add;
use super::window::{Pool2dParams, Pooled, expect_shape};
use crate::device::cpu::Real;
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, Epilogue, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;

impl Tensor {
    /// The mean under each place of a window: `[batch, rows, columns, channels]` to `[batch, rows', columns', channels]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there are four axes, or if the window is larger than the image with `Valid`;
    /// [`Error::DType`](crate::Error::DType) unless it is a float; [`Error::Argument`](crate::Error::Argument) for a size or stride of zero.
    #[track_caller]
    pub fn avg_pool2d(&self, params: Pool2dParams) -> Result<Tensor> {
        record_one(AvgPool2d(params), &[self])
    }
}

/// Input `x`; output `y`.
#[derive(Debug, Clone)]
struct AvgPool2d(Pool2dParams);

impl Op for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        Ok(vec![Spec::new(Pooled::new(self.name(), &inputs[0].shape, &self.0)?.output_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let x = cx.inputs[0].shape();
        Ok(vec![cx.when(0, || record_one(AvgPool2dGrad { params: self.0, image: [x[1], x[2]] }, &[cx.dy()]))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let pooled = Pooled::new(self.name(), args.input_shape(0), &self.0)?;
        with_real!(args.output_spec(0).dtype, T => forward::<T>(&pooled, args.input(0), args.output(0), args.epilogue()));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let pooled = Pooled::new(self.name(), launch.input_shape(0), &self.0)?;
        let shader = Shader::new(self.name(), include_str!("../../shaders/avg_pool2d.wgsl")).set_all(&pooled.constants());
        let threads = launch.output_shape(0).elements();
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &[threads as u32], threads, 64);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Input `dy`; output `dx`: each `dy`, divided by the number of its window's real cells, at every one of them.
#[derive(Debug, Clone)]
struct AvgPool2dGrad {
    params: Pool2dParams,
    /// Rows and columns of the images: strides leave them open.
    image: [usize; 2],
}

impl AvgPool2dGrad {
    fn pooled(&self, dy: &Spec) -> Result<Pooled> {
        let [batch, _, _, channels] = dy.shape.dims(self.name())?;
        let pooled = Pooled::new(self.name(), &Shape::from([batch, self.image[0], self.image[1], channels]), &self.params)?;
        expect_shape(self.name(), dy, &pooled.output_shape())?;
        Ok(pooled)
    }
}

impl Op for AvgPool2dGrad {
    fn name(&self) -> &'static str {
        "avg_pool2d_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        Ok(vec![Spec::new(self.pooled(&inputs[0])?.input_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![cx.when(0, || record_one(AvgPool2d(self.params), &[cx.dy()]))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let pooled = self.pooled(args.input_spec(0))?;
        with_real!(args.output_spec(0).dtype, T => backward::<T>(&pooled, args.input(0), args.output(0), args.epilogue()));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let pooled = self.pooled(launch.input(0))?;
        let shader = Shader::new(self.name(), include_str!("../../shaders/avg_pool2d_grad.wgsl")).set_all(&pooled.constants());
        let threads = launch.output_shape(0).elements();
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &[threads as u32], threads, 64);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// The real cells under the window at one place.
fn cells<T: Real>(p: &Pooled, oy: usize, ox: usize) -> T {
    T::of((p.rows.taps(oy).len() * p.columns.taps(ox).len()) as f64)
}

fn forward<T: Real>(p: &Pooled, x: &[T], y: &mut [T], then: Epilogue) {
    if y.is_empty() {
        return;
    }
    y.par_chunks_mut(p.output_row()).enumerate().with_min_len(4).for_each(|(row, y)| {
        let (x, oy) = (&x[row / p.rows.output * p.image()..][..p.image()], row % p.rows.output);
        for (ox, y) in y.chunks_exact_mut(p.channels).enumerate() {
            y.fill(T::zero());
            p.each_cell(oy, ox, |at| add(y, &x[at..at + p.channels]));
            let cells = cells::<T>(p, oy, ox);
            y.iter_mut().for_each(|sum| *sum = *sum / cells);
        }
        then.apply(row * p.output_row(), y);
    });
}

fn backward<T: Real>(p: &Pooled, dy: &[T], dx: &mut [T], then: Epilogue) {
    if dx.is_empty() {
        return;
    }
    dx.par_chunks_mut(p.image()).enumerate().for_each(|(image, dx)| {
        dx.fill(T::zero());
        let dy = &dy[image * p.output_image()..][..p.output_image()];
        for (place, dy) in dy.chunks_exact(p.channels).enumerate() {
            let (oy, ox) = (place / p.columns.output, place % p.columns.output);
            let cells = cells::<T>(p, oy, ox);
            p.each_cell(oy, ox, |at| dx[at..at + p.channels].iter_mut().zip(dy).for_each(|(dx, dy)| *dx += *dy / cells));
        }
        then.apply(image * p.image(), dx);
    });
}
