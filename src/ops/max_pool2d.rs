//! The maximum under a window that slides over images: `y[n, oy, ox, c] = max_{ky, kx} x[n, oy·sy + ky − front_y, ox·sx + kx − front_x, c]`.
//!
//! Padding cells never win. The whole gradient goes to the winner, the first in row-major order where cells are equal. A NaN wins over
//! numbers: what is wrong must stay visible.

mod cpu;

use super::window::{Axis, Pool2dParams, Pooled, expect_shape};
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::Spec;
use crate::tensor::Tensor;
use crate::with_real;

impl Tensor {
    /// The maximum under each place of a window: `[batch, rows, columns, channels]` to `[batch, rows', columns', channels]`.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) unless there are four axes, or if the window is larger than the image with `Valid`;
    /// [`Error::DType`](crate::Error::DType) unless it is a float; [`Error::Argument`](crate::Error::Argument) for a size or stride of zero.
    #[track_caller]
    pub fn max_pool2d(&self, params: Pool2dParams) -> Result<Tensor> {
        record_one(MaxPool2d(params), &[self])
    }
}

/// Input `x`; output `y`.
#[derive(Debug, Clone)]
struct MaxPool2d(Pool2dParams);

impl Op for MaxPool2d {
    fn name(&self) -> &'static str {
        "max_pool2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        Ok(vec![Spec::new(Pooled::new(self.name(), &inputs[0].shape, &self.0)?.output_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![cx.when(0, || record_one(MaxPool2dGrad(self.0), &[&cx.inputs[0], cx.dy()]))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let pooled = Pooled::new(self.name(), args.input_shape(0), &self.0)?;
        with_real!(args.output_spec(0).dtype, T => cpu::forward::<T>(&pooled, args.input(0), args.output(0), args.epilogue()));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let pooled = Pooled::new(self.name(), launch.input_shape(0), &self.0)?;
        let (shader, lanes) = pooled.specialise(Shader::new(self.name(), include_str!("../../shaders/max_pool2d.wgsl")));
        let threads = launch.output_shape(0).elements() / lanes;
        launch.threads(shader, &[Buffer::Input(0), Buffer::Output(0)], &[threads as u32], threads, 64);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Inputs `x`, `dy`; output `dx`: each `dy` at its window's winner, zero elsewhere.
#[derive(Debug, Clone)]
struct MaxPool2dGrad(Pool2dParams);

impl Op for MaxPool2dGrad {
    fn name(&self) -> &'static str {
        "max_pool2d_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        let pooled = Pooled::new(self.name(), &inputs[0].shape, &self.0)?;
        expect_shape(self.name(), &inputs[1], &pooled.output_shape())?;
        Ok(vec![Spec::new(pooled.input_shape(), dtype)])
    }

    // Moving x a little moves no winner, so there is no gradient by x.
    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None, cx.when(1, || record_one(MaxPool2dPick(self.0), &[&cx.inputs[0], cx.dy()]))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let pooled = Pooled::new(self.name(), args.input_shape(0), &self.0)?;
        with_real!(args.output_spec(0).dtype, T => cpu::spread::<T>(&pooled, args.input(0), args.input(1), args.output(0), args.epilogue()));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let pooled = Pooled::new(self.name(), launch.input_shape(0), &self.0)?;
        let buffers = [Buffer::Input(0), Buffer::Input(1), Buffer::Output(0)];
        if pooled.rows.overlaps() || pooled.columns.overlaps() {
            let (shader, lanes) = pooled.specialise(Shader::new(self.name(), include_str!("../../shaders/max_pool2d_grad.wgsl")));
            let threads = launch.output_shape(0).elements() / lanes;
            launch.threads(shader, &buffers, &[threads as u32], threads, 64);
        } else {
            let (shader, lanes) = pooled.specialise(Shader::new(self.name(), include_str!("../../shaders/max_pool2d_grad_apart.wgsl")));
            let blocks = |axis: &Axis| (axis.input + axis.front).div_ceil(axis.stride);
            let threads = pooled.images * blocks(&pooled.rows) * blocks(&pooled.columns) * pooled.channels / lanes;
            launch.threads(shader, &buffers, &[pooled.images as u32], threads, 64);
        }
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Inputs `x` and `values` of its shape; output: the values at the winners. The gradient of [`MaxPool2dGrad`] by `dy`.
#[derive(Debug, Clone)]
struct MaxPool2dPick(Pool2dParams);

impl Op for MaxPool2dPick {
    fn name(&self) -> &'static str {
        "max_pool2d_pick"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        let pooled = Pooled::new(self.name(), &inputs[0].shape, &self.0)?;
        expect_shape(self.name(), &inputs[1], &inputs[0].shape)?;
        Ok(vec![Spec::new(pooled.output_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        Ok(vec![None, cx.when(1, || record_one(MaxPool2dGrad(self.0), &[&cx.inputs[0], cx.dy()]))?])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let pooled = Pooled::new(self.name(), args.input_shape(0), &self.0)?;
        with_real!(args.output_spec(0).dtype, T => cpu::pick::<T>(&pooled, args.input(0), args.input(1), args.output(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let pooled = Pooled::new(self.name(), launch.input_shape(0), &self.0)?;
        let shader = Shader::new(self.name(), include_str!("../../shaders/max_pool2d_pick.wgsl")).set_all(&pooled.constants());
        let threads = launch.output_shape(0).elements();
        launch.threads(shader, &[Buffer::Input(0), Buffer::Input(1), Buffer::Output(0)], &[threads as u32], threads, 64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::ops::window::Padding;
    use crate::record::GradientTape;
    use crate::testing::{check, float};

    /// For each output, the cells of `x` under its window, in row-major order; shared with nothing but the definition.
    fn windows([n, h, w, c]: [usize; 4], p: Pool2dParams) -> Vec<Vec<usize>> {
        let axis = |size: usize, i: usize| match p.padding {
            Padding::Valid => (1 + (size - p.size[i]) / p.strides[i], 0),
            Padding::Same => {
                let out = size.div_ceil(p.strides[i]);
                (out, ((out - 1) * p.strides[i] + p.size[i]).saturating_sub(size) / 2)
            }
        };
        let ((oh, top), (ow, left)) = (axis(h, 0), axis(w, 1));
        let window = |i: usize| {
            let (channel, ox, oy, image) = (i % c, i / c % ow, i / (c * ow) % oh, i / (c * ow * oh));
            let rows = (0..h).filter(move |y| (oy * p.strides[0]..oy * p.strides[0] + p.size[0]).contains(&(y + top)));
            rows.flat_map(move |y| {
                let columns = (0..w).filter(move |x| (ox * p.strides[1]..ox * p.strides[1] + p.size[1]).contains(&(x + left)));
                columns.map(move |x| ((image * h + y) * w + x) * c + channel)
            })
            .collect()
        };
        (0..n * oh * ow * c).map(window).collect()
    }

    #[test]
    fn windows_strides_and_padding() {
        for (x, size, strides, padding) in [
            ([2, 4, 6, 3], [2, 2], [2, 2], Padding::Valid),
            ([2, 5, 7, 3], [2, 2], [2, 2], Padding::Same),
            ([1, 5, 7, 2], [3, 3], [2, 2], Padding::Same),
            ([1, 5, 7, 2], [3, 2], [1, 1], Padding::Same),
            ([1, 6, 9, 5], [2, 3], [3, 4], Padding::Valid),
            ([2, 2, 2, 1], [5, 5], [1, 2], Padding::Same),
            // Four channels at a time, under windows apart and not.
            ([2, 5, 7, 8], [2, 2], [2, 2], Padding::Same),
            ([1, 4, 7, 4], [3, 3], [3, 3], Padding::Same),
            ([1, 6, 9, 4], [2, 3], [3, 4], Padding::Valid),
            ([1, 5, 7, 4], [3, 2], [2, 1], Padding::Same),
            // The CPU takes 16, 4 and 1 at a time.
            ([2, 5, 4, 21], [2, 2], [2, 2], Padding::Same),
            ([1, 4, 5, 32], [3, 2], [1, 2], Padding::Valid),
        ] {
            let p = Pool2dParams { size, strides, padding };
            let inputs = [float(x)];
            check(&format!("max_pool2d {x:?} {p:?}"), &inputs, |t| t[0].max_pool2d(p))
                .reference(|v| windows(x, p).iter().map(|cells| cells.iter().map(|i| v[0][*i]).fold(f64::MIN, f64::max)).collect())
                .run();
            check(&format!("avg_pool2d {x:?} {p:?}"), &inputs, |t| t[0].avg_pool2d(p))
                .reference(|v| windows(x, p).iter().map(|cells| cells.iter().map(|i| v[0][*i]).sum::<f64>() / cells.len() as f64).collect())
                .terms(size[0] * size[1])
                .run();
        }
    }

    /// Images of one channel, or of four that are the same.
    fn images(device: &Device, [rows, columns]: [usize; 2], channels: usize, cells: &[f32]) -> Tensor {
        let data: Vec<f32> = cells.iter().flat_map(|&cell| vec![cell; channels]).collect();
        Tensor::new(device, [1, rows, columns, channels], &data).unwrap()
    }

    /// The cells of the last channel.
    fn cells(x: &Tensor) -> Vec<f32> {
        let channels = x.shape()[3];
        x.to_vec::<f32>().unwrap().chunks_exact(channels).map(|cell| cell[channels - 1]).collect()
    }

    fn devices() -> impl Iterator<Item = (Device, usize)> {
        std::iter::once(Device::cpu())
            .chain(crate::testing::gpu("max_pool2d"))
            .flat_map(|device| [1, 4, 17].map(|channels| (device.clone(), channels)))
    }

    #[test]
    fn the_first_of_equals_gets_the_whole_gradient() {
        for (device, channels) in devices() {
            let x = images(&device, [3, 3], channels, &[1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
            let dy = images(&device, [2, 2], channels, &[1.0, 2.0, 4.0, 8.0]);
            let dx = |strides: [usize; 2], padding: Padding| {
                let tape = GradientTape::new();
                tape.watch(&x);
                let y = x.max_pool2d(Pool2dParams { size: [2, 2], strides, padding }).unwrap();
                cells(tape.gradient(&y.mul(&dy).unwrap(), [&x]).unwrap().get(0).unwrap())
            };
            let overlapping = dx([1, 1], Padding::Valid);
            assert_eq!(overlapping, [1.0, 2.0, 0.0, 4.0, 8.0, 0.0, 0.0, 0.0, 0.0], "{device}, {channels} channels");
            let apart = dx([2, 2], Padding::Same);
            assert_eq!(apart, [1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 4.0, 8.0], "{device}, {channels} channels");
        }
    }

    #[test]
    fn padding_never_wins_and_nan_always_does() {
        for (device, channels) in devices() {
            let p = Pool2dParams { size: [2, 2], strides: [2, 2], padding: Padding::Same };
            let x = images(&device, [3, 3], channels, &[-5.0, -4.0, -3.0, -2.0, -9.0, f32::NAN, -7.0, -8.0, f32::NEG_INFINITY]);
            let tape = GradientTape::new();
            tape.watch(&x);
            let y = x.max_pool2d(p).unwrap();
            let dx = cells(tape.gradient(&y, [&x]).unwrap().get(0).unwrap());
            let y = cells(&y);
            assert_eq!((y[0], y[2], y[3]), (-2.0, -7.0, f32::NEG_INFINITY), "{device}, {channels} channels");
            assert!(y[1].is_nan(), "{device}, {channels} channels: {y:?}");
            assert_eq!(dx, [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0], "{device}, {channels} channels");
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_so() {
        let x = Tensor::new(&Device::cpu(), [1, 3, 3, 1], &[0.0f32; 9]).unwrap();
        let error = x.max_pool2d(Pool2dParams::new([4, 1])).unwrap_err().root().to_string();
        assert!(error.contains("max_pool2d") && error.contains("at least 4 cells"), "{error}");
        let error = x.avg_pool2d(Pool2dParams::new([0, 1])).unwrap_err().root().to_string();
        assert!(error.contains("avg_pool2d: window"), "{error}");
    }
}
