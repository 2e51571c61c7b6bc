//! Depthwise convolution, NHWC: every channel is convolved by itself, with one or more kernels of its own:
//!
//! `y[n, oy, ox, c·m + j] = Σ_{ky, kx} x[n, oy·sy + ky·dy − front_y, ox·sx + kx·dx − front_x, c] · kernel[ky, kx, c, j]`
//!
//! with `j` in `0..m`, sizes and `front` those of [`super::window`]. The op has one kernel for each channel; for more, the channels are
//! repeated first. It is linear in either input, so it and its two gradients are one another's gradients.

use super::columns::Conv2dParams;
use super::depthwise_conv2d_dw::DepthwiseConv2dDw;
use super::depthwise_conv2d_dx::DepthwiseConv2dDx;
use super::window::{Axis, Pooled, images};
use crate::device::cpu::Real;
use crate::error::{Error, Result};
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, Shader, float_dtype};
use crate::record::record_one;
use crate::shape::{Shape, Spec};
use crate::tensor::Tensor;
use crate::with_real;
use rayon::prelude::*;

impl Tensor {
    /// Slides the kernels `[rows, columns, channels, multiplier]` over images `[batch, rows, columns, channels]`, each over its own channel:
    /// `[batch, rows', columns', channels · multiplier]`, where kernel `j` of channel `c` makes channel `c · multiplier + j`.
    ///
    /// # Errors
    /// [`Error::Shape`] if ranks or channels do not fit, or the kernel is larger than the image with `Valid`; [`Error::DType`] unless both are
    /// floats of one type; [`Error::Argument`] for a stride or dilation of zero.
    #[track_caller]
    pub fn depthwise_conv2d(&self, kernel: &Tensor, params: Conv2dParams) -> Result<Tensor> {
        let op = "depthwise_conv2d";
        let [batch, height, width, channels] = images(op, self.shape())?;
        let [kh, kw, kernel_channels, multiplier] = <[usize; 4]>::try_from(&kernel.shape()[..])
            .map_err(|_| Error::shape(op, "a kernel [rows, columns, channels, multiplier]", kernel.shape()))?;
        if kernel_channels != channels {
            let want = format!("images of {kernel_channels} channels for the kernel {}", kernel.shape());
            return Err(Error::shape(op, want, self.shape()).hint("axes are [batch, rows, columns, channels]"));
        }
        let kernel = kernel.reshape([kh, kw, channels * multiplier])?;
        if multiplier == 1 {
            return record_one(DepthwiseConv2d(params), &[self, &kernel]);
        }
        let repeated = self.expand_dims(-1)?.broadcast_to([batch, height, width, channels, multiplier])?;
        let repeated = repeated.reshape([batch, height, width, channels * multiplier])?;
        record_one(DepthwiseConv2d(params), &[&repeated, &kernel])
    }
}

/// Inputs `x` `[n, rows, columns, c]`, `kernel` `[rows, columns, c]`; output `y` `[n, rows', columns', c]`.
#[derive(Debug, Clone)]
pub(super) struct DepthwiseConv2d(pub Conv2dParams);

/// The images under a window of these rows and columns.
///
/// # Errors
/// As [`Axis::new`], and [`Error::Shape`] naming `op` if `x` has not four axes.
pub(super) fn slide(op: &str, x: &Shape, window: [usize; 2], params: &Conv2dParams) -> Result<Pooled> {
    let [images, height, width, channels] = images(op, x)?;
    let Conv2dParams { strides, padding, dilation } = params;
    Ok(Pooled {
        images,
        rows: Axis::new(op, height, window[0], strides[0], dilation[0], *padding)?,
        columns: Axis::new(op, width, window[1], strides[1], dilation[1], *padding)?,
        channels,
    })
}

/// The constants that the depthwise shaders share.
pub(super) fn specialise(shader: Shader, p: &Pooled) -> Shader {
    shader.set_all(&p.constants()).set_all(&[("DY", p.rows.dilation), ("DX", p.columns.dilation)])
}

/// Calls `f` with the channels of an output row's pixel and of an input row's pixel, as ranges, for every pair that meets under column `kx`
/// of the window.
#[inline(always)]
pub(super) fn each_pair(p: &Pooled, kx: usize, mut f: impl FnMut(std::ops::Range<usize>, std::ops::Range<usize>)) {
    for ox in p.columns.places(kx) {
        let ix = ox * p.columns.stride + kx * p.columns.dilation - p.columns.front;
        f(ox * p.channels..(ox + 1) * p.channels, ix * p.channels..(ix + 1) * p.channels);
    }
}

/// `sum += a · b`, element by element.
#[inline(always)]
pub(super) fn add_product<T: Real>(sum: &mut [T], a: &[T], b: &[T]) {
    sum.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += *a * *b);
}

/// Runs `f` on every row of `width` elements, many short rows to a task, compiled for the vector instructions that the processor has.
pub(super) fn for_each_row<T: Real>(y: &mut [T], width: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    if !y.is_empty() {
        let row = |(row, y): (usize, &mut [T])| pulp::Arch::new().dispatch(|| f(row, y));
        y.par_chunks_mut(width).enumerate().with_min_len((4096 / width).max(1)).for_each(row);
    }
}

impl Op for DepthwiseConv2d {
    fn name(&self) -> &'static str {
        "depthwise_conv2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        Ok(vec![Spec::new(self.slide(inputs)?.output_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (x, kernel, dy) = (&cx.inputs[0], &cx.inputs[1], cx.dy());
        Ok(vec![
            cx.when(0, || record_one(DepthwiseConv2dDx::of(self.0, x.shape()), &[kernel, dy]))?,
            cx.when(1, || record_one(DepthwiseConv2dDw::of(self.0, kernel.shape()), &[x, dy]))?,
        ])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let p = self.slide(&[args.input_spec(0).clone(), args.input_spec(1).clone()])?;
        with_real!(args.output_spec(0).dtype, T => forward::<T>(&p, args.input(0), args.input(1), args.output(0)));
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let p = self.slide(&[launch.input(0).clone(), launch.input(1).clone()])?;
        let shader = specialise(Shader::new(self.name(), include_str!("../../shaders/depthwise_conv2d.wgsl")), &p);
        let threads = launch.output_shape(0).elements();
        launch.threads(shader, &[Buffer::Input(0), Buffer::Input(1), Buffer::Output(0)], &[threads as u32], threads, 64);
        Ok(())
    }
}

impl DepthwiseConv2d {
    fn slide(&self, inputs: &[Spec]) -> Result<Pooled> {
        let [kh, kw, _] = inputs[1].shape.dims(self.name())?;
        slide(self.name(), &inputs[0].shape, [kh, kw], &self.0)
    }
}

fn forward<T: Real>(p: &Pooled, x: &[T], kernel: &[T], y: &mut [T]) {
    let (width, taps) = (p.columns.input * p.channels, p.columns.window * p.channels);
    for_each_row(
        y,
        p.output_row(),
        #[inline(always)]
        |row, y| {
            let (image, oy) = (row / p.rows.output, row % p.rows.output);
            y.fill(T::zero());
            for ky in 0..p.rows.window {
                let Some(iy) = p.rows.cell(oy, ky) else { continue };
                let x = &x[image * p.image() + iy * width..][..width];
                for kx in 0..p.columns.window {
                    let kernel = &kernel[ky * taps + kx * p.channels..][..p.channels];
                    each_pair(
                        p,
                        kx,
                        #[inline(always)]
                        |out, cell| add_product(&mut y[out], &x[cell], kernel),
                    );
                }
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::ops::window::Padding::{self, Same, Valid};
    use crate::testing::{check, float};

    fn params(strides: [usize; 2], padding: Padding, dilation: [usize; 2]) -> Conv2dParams {
        Conv2dParams { strides, padding, dilation }
    }

    /// The definition, cell by cell.
    fn naive(x: &[f64], [n, h, w, c]: [usize; 4], k: &[f64], [kh, kw, m]: [usize; 3], p: Conv2dParams) -> Vec<f64> {
        let axis = |size: usize, window: usize, i: usize| {
            let reach = (window - 1) * p.dilation[i] + 1;
            match p.padding {
                Valid => ((size - reach) / p.strides[i] + 1, 0),
                Same => {
                    let out = size.div_ceil(p.strides[i]);
                    (out, ((out - 1) * p.strides[i] + reach).saturating_sub(size) / 2)
                }
            }
        };
        let ((oh, top), (ow, left)) = (axis(h, kh, 0), axis(w, kw, 1));
        let mut out = Vec::new();
        for i in 0..n * oh * ow * c * m {
            let (j, ch, ox, oy, image) = (i % m, i / m % c, i / (m * c) % ow, i / (m * c * ow) % oh, i / (m * c * ow * oh));
            let mut sum = 0.0;
            for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                let (iy, ix) = (oy * p.strides[0] + ky * p.dilation[0], ox * p.strides[1] + kx * p.dilation[1]);
                let inside = iy >= top && ix >= left && iy - top < h && ix - left < w;
                if inside {
                    sum += x[((image * h + iy - top) * w + ix - left) * c + ch] * k[((ky * kw + kx) * c + ch) * m + j];
                }
            }
            out.push(sum);
        }
        out
    }

    fn run(x: [usize; 4], kernel: [usize; 3], p: Conv2dParams) {
        let [kh, kw, m] = kernel;
        check(&format!("depthwise_conv2d {x:?} {kernel:?} {p:?}"), &[float(x), float([kh, kw, x[3], m])], |t| {
            t[0].depthwise_conv2d(&t[1], p)
        })
        .reference(|v| naive(&v[0], x, &v[1], kernel, p))
        .terms(kh * kw)
        .run();
    }

    #[test]
    fn windows_strides_padding_and_multipliers() {
        run([2, 5, 6, 3], [3, 3, 1], params([1, 1], Valid, [1, 1]));
        run([2, 5, 4, 2], [3, 3, 2], params([1, 1], Same, [1, 1]));
        run([1, 7, 6, 4], [3, 2, 1], params([2, 2], Same, [1, 1]));
        run([1, 7, 6, 1], [2, 3, 3], params([2, 3], Valid, [1, 1]));
        run([1, 9, 8, 2], [3, 3, 1], params([1, 1], Same, [2, 3]));
        run([2, 8, 9, 1], [2, 3, 1], params([2, 1], Valid, [3, 2]));
        run([1, 2, 2, 5], [5, 4, 1], params([1, 1], Same, [1, 1]));
        run([2, 4, 4, 3], [1, 1, 2], params([3, 3], Valid, [1, 1]));
    }

    #[test]
    fn many_rows_are_cut_into_parts() {
        run([40, 3, 3, 2], [3, 3, 1], params([1, 1], Same, [1, 1]));
        run([1, 45, 2, 1], [3, 1, 1], params([1, 1], Valid, [1, 1]));
    }

    #[test]
    fn nothing_in_gives_nothing_out() -> Result<()> {
        let of = |shape: [usize; 4]| Tensor::zeros(&Device::cpu(), shape);
        let y = of([0, 5, 5, 2])?.depthwise_conv2d(&of([3, 3, 2, 4])?, Conv2dParams::default())?;
        assert_eq!(y.shape()[..], [0, 3, 3, 8]);
        assert!(y.to_vec::<f32>()?.is_empty());
        let y = of([1, 5, 5, 0])?.depthwise_conv2d(&of([3, 3, 0, 1])?, Conv2dParams::default())?;
        assert_eq!(y.shape()[..], [1, 3, 3, 0]);
        assert!(y.to_vec::<f32>()?.is_empty());
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_so() {
        let of = |shape: &[usize]| Tensor::zeros(&Device::cpu(), shape).unwrap();
        let message = |x: &[usize], k: &[usize], p| of(x).depthwise_conv2d(&of(k), p).unwrap_err().root().to_string();
        let default = Conv2dParams::default();
        assert!(message(&[28, 28, 1], &[3, 3, 1, 2], default).contains("add the missing axis"));
        assert!(message(&[1, 8, 8, 3], &[3, 3, 2, 1], default).contains("images of 2 channels"));
        assert!(message(&[1, 8, 8, 1], &[3, 3, 1], default).contains("multiplier]"));
        assert!(message(&[1, 2, 8, 1], &[3, 3, 1, 1], default).contains("at least 3 cells"));
        assert!(message(&[1, 8, 8, 1], &[3, 3, 1, 1], params([1, 0], Valid, [1, 1])).contains("strides"));
    }
}
