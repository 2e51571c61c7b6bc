//! Two-dimensional convolution (cross-correlation, as the field calls it), NHWC images and HWIO kernels:
//!
//! `y[n, oy, ox, o] = Σ_{ky, kx, c} x[n, oy·sy + ky·dy − front_y, ox·sx + kx·dx − front_x, c] · kernel[ky, kx, c, o]`
//!
//! where cells outside the image count as zero; sizes and `front` are those of [`super::window`]. It is linear in either input, so it and its
//! two gradients, `Conv2dDx` and `Conv2dDw`, are one another's gradients.

use super::columns::Geometry;
use super::conv2d_dw::Conv2dDw;
use super::conv2d_dx::Conv2dDx;
use super::correlate::Correlation;
use super::gemm::{Product, Windows};
use super::winograd::Winograd;
use crate::error::Result;
use crate::record::op::{Buffer, CpuArgs, GradCx, Launch, Op, float_dtype};
use crate::record::record_one;
use crate::shape::Spec;
use crate::tensor::Tensor;
use crate::with_real;

pub use super::columns::Conv2dParams;

impl Tensor {
    /// Slides `kernel` `[rows, columns, channels, filters]` over images `[batch, rows, columns, channels]`:
    /// `[batch, rows', columns', filters]`, with the sizes of [`Padding`](crate::ops::window::Padding).
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if ranks or channels do not fit, or the kernel is larger than the image with `Valid`;
    /// [`Error::DType`](crate::Error::DType) unless both are floats of one type;
    /// [`Error::Argument`](crate::Error::Argument) for a stride or dilation of zero.
    #[track_caller]
    pub fn conv2d(&self, kernel: &Tensor, params: Conv2dParams) -> Result<Tensor> {
        record_one(Conv2d(params), &[self, kernel])
    }
}

/// Inputs `x`, `kernel`; output `y`.
#[derive(Debug, Clone)]
pub(crate) struct Conv2d(pub Conv2dParams);

impl Conv2d {
    fn geometry(&self, x: &Spec, kernel: &Spec) -> Result<Geometry> {
        Geometry::new("conv2d", &x.shape, &kernel.shape, &self.0)
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>> {
        let dtype = float_dtype(self.name(), inputs)?;
        Ok(vec![Spec::new(self.geometry(&inputs[0], &inputs[1])?.y_shape(), dtype)])
    }

    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>> {
        let (x, kernel, dy) = (&cx.inputs[0], &cx.inputs[1], cx.dy());
        Ok(vec![
            cx.when(0, || record_one(Conv2dDx::of(self.0, x.shape()), &[kernel, dy]))?,
            cx.when(1, || record_one(Conv2dDw::of(self.0, kernel.shape()), &[x, dy]))?,
        ])
    }

    fn cpu(&self, args: &mut CpuArgs) -> Result<()> {
        let geometry = self.geometry(args.input_spec(0), args.input_spec(1))?;
        with_real!(args.output_spec(0).dtype, T => {
            match Winograd::forward(&geometry) {
                Some(winograd) => winograd.run::<T>(args.input(0), args.input(1), args.output(0), args.epilogue()),
                None => Correlation::forward(&geometry).run::<T>(args.input(0), args.input(1), args.output(0), args.epilogue()),
            }
        });
        Ok(())
    }

    fn gpu(&self, launch: &mut Launch) -> Result<()> {
        launch.no_f64(self.name())?;
        let geometry = self.geometry(launch.input(0), launch.input(1))?;
        convolve(launch, "conv2d", &geometry, [1, 1], [Buffer::Input(0), Buffer::Input(1)]);
        Ok(())
    }

    fn takes_epilogue(&self) -> bool {
        true
    }
}

/// Adds the dispatches of a convolution of images by a kernel, the two factors, into output 0. With `up` above one, the kernel slides over the
/// images with `up - 1` zeros put between their pixels: the input gradient of a convolution with strides.
pub(super) fn convolve(launch: &mut Launch, name: &'static str, g: &Geometry, up: [usize; 2], factors: [Buffer; 2]) {
    let pixels = g.images * g.rows.output * g.columns.output;
    let windows = Some(Windows { geometry: g, up });
    let product = Product { name, size: [pixels, g.cout, g.depth()], batch: 1, steps: [0, 0], turned: [false, false], taps: 1, windows };
    product.launch(launch, factors);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::device::cpu::Real;
    use crate::error::Error;
    use crate::ops::random::host;
    use crate::ops::window::Padding;
    use crate::record::GradientTape;
    use crate::testing::{check, float};

    fn params(strides: [usize; 2], padding: Padding, dilation: [usize; 2]) -> Conv2dParams {
        Conv2dParams { strides, padding, dilation }
    }

    /// The definition, cell by cell, over an image that is padded by hand.
    fn naive(x: &[f64], [n, h, w, cin]: [usize; 4], k: &[f64], [kh, kw, _, cout]: [usize; 4], p: Conv2dParams) -> Vec<f64> {
        let axis = |size: usize, window: usize, i: usize| {
            let reach = (window - 1) * p.dilation[i] + 1;
            match p.padding {
                Padding::Valid => (1 + (size - reach) / p.strides[i], 0),
                Padding::Same => {
                    let out = size.div_ceil(p.strides[i]);
                    (out, ((out - 1) * p.strides[i] + reach).saturating_sub(size) / 2)
                }
            }
        };
        let ((oh, top), (ow, left)) = (axis(h, kh, 0), axis(w, kw, 1));
        let cell = |image: usize, y: usize, x_: usize, c: usize| match (y.checked_sub(top), x_.checked_sub(left)) {
            (Some(y), Some(x_)) if y < h && x_ < w => x[((image * h + y) * w + x_) * cin + c],
            _ => 0.0,
        };
        let mut out = Vec::new();
        for i in 0..n * oh * ow * cout {
            let (o, ox, oy, image) = (i % cout, i / cout % ow, i / (cout * ow) % oh, i / (cout * ow * oh));
            let mut sum = 0.0;
            for j in 0..kh * kw * cin {
                let (c, kx, ky) = (j % cin, j / cin % kw, j / (cin * kw));
                let v = cell(image, oy * p.strides[0] + ky * p.dilation[0], ox * p.strides[1] + kx * p.dilation[1], c);
                sum += v * k[j * cout + o];
            }
            out.push(sum);
        }
        out
    }

    fn run(x: [usize; 4], kernel: [usize; 4], p: Conv2dParams) {
        check(&format!("conv2d {x:?} {kernel:?} {p:?}"), &[float(x), float(kernel)], |t| t[0].conv2d(&t[1], p))
            .reference(|v| naive(&v[0], x, &v[1], kernel, p))
            .terms(kernel[0] * kernel[1] * kernel[2].max(kernel[3]))
            .with_hardware_kernels()
            .run();
    }

    #[test]
    fn windows_strides_and_padding() {
        use Padding::{Same, Valid};
        run([2, 5, 6, 1], [3, 3, 1, 2], params([1, 1], Valid, [1, 1]));
        run([2, 5, 4, 3], [3, 3, 3, 2], params([1, 1], Same, [1, 1]));
        run([1, 7, 5, 3], [3, 3, 3, 2], params([2, 2], Valid, [1, 1]));
        run([1, 7, 6, 1], [3, 2, 1, 5], params([2, 3], Same, [1, 1]));
        run([1, 6, 4, 4], [2, 5, 4, 4], params([3, 1], Same, [1, 1]));
        run([2, 2, 2, 4], [3, 3, 4, 8], params([1, 1], Same, [1, 1]));
        run([1, 7, 8, 4], [3, 3, 4, 12], params([1, 1], Valid, [1, 1]));
        run([1, 7, 6, 4], [3, 3, 4, 4], params([2, 2], Same, [1, 1]));
        run([1, 9, 8, 5], [3, 3, 5, 7], params([1, 1], Same, [2, 1]));
        run([2, 9, 8, 1], [3, 3, 1, 9], params([2, 1], Valid, [2, 3]));
        // More than one tile of pixels and of channels, either way.
        run([2, 7, 8, 12], [3, 2, 12, 36], params([1, 1], Valid, [1, 1]));
        run([2, 7, 8, 36], [2, 3, 36, 12], params([2, 1], Same, [1, 2]));
        run([2, 6, 5, 5], [2, 3, 5, 40], params([1, 2], Same, [1, 1]));
        run([2, 7, 6, 3], [3, 3, 3, 16], params([1, 1], Same, [1, 1]));
        run([2, 7, 6, 8], [3, 2, 8, 5], params([2, 2], Same, [1, 1]));
    }

    #[test]
    fn kernels_of_nine_cells_and_whole_vectors_of_channels() {
        run([1, 7, 6, 32], [3, 3, 32, 32], params([1, 1], Padding::Same, [1, 1]));
        run([2, 6, 7, 16], [3, 3, 16, 64], params([1, 1], Padding::Valid, [1, 1]));
    }

    #[test]
    fn kernels_of_one_cell() {
        run([3, 4, 5, 3], [1, 1, 3, 4], Conv2dParams::default());
        run([3, 4, 5, 8], [1, 1, 8, 12], params([2, 2], Padding::Same, [1, 1]));
        run([2, 3, 3, 1], [1, 1, 1, 1], Conv2dParams::default());
    }

    #[test]
    fn many_small_images_and_one_tall_one() {
        run([20, 4, 4, 2], [3, 3, 2, 3], Conv2dParams::default());
        run([20, 4, 4, 1], [3, 3, 1, 4], params([1, 1], Padding::Same, [1, 1]));
        run([1, 40, 3, 2], [3, 3, 2, 2], params([1, 1], Padding::Same, [1, 1]));
        run([1, 41, 3, 1], [3, 2, 1, 2], params([2, 1], Padding::Same, [1, 1]));
    }

    /// `y`, `dx` and `dkernel` of a convolution that is large enough to be cut into many tasks.
    fn bits(x: [usize; 4], kernel: [usize; 4]) -> Vec<u32> {
        let device = Device::cpu();
        let wave = |shape: [usize; 4], step: f32| {
            let data: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i as f32 * step).sin()).collect();
            Tensor::new(&device, shape, &data).unwrap()
        };
        let (x, kernel) = (wave(x, 0.37), wave(kernel, 0.73));
        let tape = GradientTape::new();
        tape.watch(&x);
        tape.watch(&kernel);
        let y = x.conv2d(&kernel, params([1, 1], Padding::Same, [1, 1])).unwrap();
        let gradients = tape.gradient(&y, [&x, &kernel]).unwrap();
        let all = [&y, gradients.get(0).unwrap(), gradients.get(1).unwrap()];
        all.iter().flat_map(|t| t.to_vec::<f32>().unwrap()).map(f32::to_bits).collect()
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        for (x, kernel) in [
            ([24, 12, 12, 8], [3, 3, 8, 16]),
            ([24, 20, 20, 1], [5, 5, 1, 8]),
            ([24, 12, 13, 32], [3, 3, 32, 48]),
            ([1, 90, 40, 16], [3, 3, 16, 8]),
        ] {
            let with = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| bits(x, kernel));
            let one = with(1);
            assert!(one == with(2) && one == with(5), "{x:?} {kernel:?}");
        }
    }

    /// `y`, `dx` and `dkernel`, computed in one type.
    fn all_three<T: Real>(x: [usize; 4], kernel: [usize; 4], p: Conv2dParams) -> Vec<Vec<f64>> {
        let device = Device::cpu();
        let tensor = |shape: &[usize], seed: u64| {
            let uniform = |i: usize| T::of(f64::from(host::uniform(seed, 0, i as u64)) - 0.5);
            Tensor::new(&device, shape, &(0..shape.iter().product()).map(uniform).collect::<Vec<T>>()).unwrap()
        };
        let (x, kernel) = (tensor(&x, 1), tensor(&kernel, 2));
        let tape = GradientTape::new();
        tape.watch(&x);
        tape.watch(&kernel);
        let y = x.conv2d(&kernel, p).unwrap();
        let gradients = tape.gradient(&y.mul(&tensor(y.shape(), 3)).unwrap(), [&x, &kernel]).unwrap();
        let all = [&y, gradients.get(0).unwrap(), gradients.get(1).unwrap()];
        all.iter().map(|t| t.to_vec::<T>().unwrap().into_iter().map(T::as_f64).collect()).collect()
    }

    /// Vectors, and with them panels and tiles, are of another width in each type: what is cut wrongly in one is not in the other.
    #[test]
    fn both_types_agree_where_channels_and_kernels_are_cut() {
        use Padding::{Same, Valid};
        for (x, kernel, p) in [
            ([2, 5, 16, 100], [3, 3, 100, 41], params([1, 1], Same, [1, 1])),
            ([1, 9, 15, 33], [5, 5, 33, 70], params([2, 3], Same, [1, 1])),
            ([2, 4, 9, 40], [3, 3, 40, 35], params([1, 1], Valid, [1, 2])),
            ([2, 3, 3, 180], [3, 3, 180, 170], params([1, 1], Same, [1, 1])),
        ] {
            let (single, double) = (all_three::<f32>(x, kernel, p), all_three::<f64>(x, kernel, p));
            for (which, (single, double)) in ["y", "dx", "dkernel"].iter().zip(single.iter().zip(&double)) {
                let size = double.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
                let worst = single.iter().zip(double).map(|(s, d)| (s - d).abs()).fold(0.0, |a, b| if a >= b { a } else { b });
                assert!(worst <= 1e-5 * size, "{which} of {x:?} {kernel:?} {p:?}: off by {worst} of {size}");
            }
        }
    }

    #[test]
    fn nothing_in_gives_nothing_or_zeros_out() {
        let device = Device::cpu();
        let of = |shape: [usize; 4]| Tensor::new(&device, shape, &vec![1.0f32; shape.iter().product()]).unwrap();
        let (x, kernel) = (of([0, 5, 5, 2]), of([3, 3, 2, 4]));
        let tape = GradientTape::new();
        tape.watch(&kernel);
        let y = x.conv2d(&kernel, Conv2dParams::default()).unwrap();
        assert_eq!(y.shape()[..], [0, 3, 3, 4]);
        assert_eq!(tape.gradient(&y, [&kernel]).unwrap().get(0).unwrap().to_vec::<f32>().unwrap(), vec![0.0; 72]);
        let y = of([1, 3, 3, 0]).conv2d(&of([3, 3, 0, 2]), Conv2dParams::default()).unwrap();
        assert_eq!(y.to_vec::<f32>().unwrap(), vec![0.0; 2]);
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_so() {
        let device = Device::cpu();
        let of = |shape: &[usize]| Tensor::new(&device, shape, &vec![1.0f32; shape.iter().product()]).unwrap();
        let message = |x: &[usize], k: &[usize], p: Conv2dParams| of(x).conv2d(&of(k), p).unwrap_err().root().to_string();
        let default = Conv2dParams::default();
        assert!(message(&[28, 28, 1], &[3, 3, 1, 2], default).contains("add the missing axis"));
        assert!(message(&[1, 8, 8, 3], &[3, 3, 1, 2], default).contains("images of 1 channels"));
        assert!(message(&[1, 8, 8, 1], &[3, 3, 1], default).contains("a kernel [rows, columns,"));
        assert!(message(&[1, 2, 8, 1], &[3, 3, 1, 2], default).contains("at least 3 cells"));
        assert!(message(&[1, 8, 8, 1], &[3, 3, 1, 2], params([0, 1], Padding::Valid, [1, 1])).contains("strides"));
        let labels = Tensor::new(&device, [1, 8, 8, 1], &[0u32; 64]).unwrap();
        assert!(matches!(labels.conv2d(&of(&[3, 3, 1, 2]), default).unwrap_err().root(), Error::DType { .. }));
    }
}
