//! Transposed convolution: the gradient of [`conv2d`](super::conv2d) by its images, as an operation of its own. It makes images larger.
//!
//! Along an axis of `n` cells, a window that covers `r = (k−1)d + 1` cells and moves by `s` makes `(n−1)s + max(r, s)` cells with `valid`
//! padding and `n·s` with `same`; with an output padding `p` it is `(n−1)s + r + p` and `(n−1)s + (r mod 2) + p`. That is Keras's rule. With
//! `same`, what a convolution over the larger image would have padded is cut off.

use super::columns::Conv2dParams;
use super::conv2d_dx::Conv2dDx;
use super::window::{Axis, Padding, images};
use crate::error::{Error, Result};
use crate::record::record_one;
use crate::shape::Shape;
use crate::tensor::Tensor;

const OP: &str = "conv2d_transpose";

impl Tensor {
    /// Adds `kernel` `[rows, columns, filters, channels]` times every pixel to the place that the pixel's window has in a larger image:
    /// `[batch, rows, columns, channels]` to `[batch, rows', columns', filters]`. Strides are those of the larger image. `output_padding` chooses
    /// among the sizes that a convolution would make this size from, along rows and columns; `None` is Keras's default.
    ///
    /// # Errors
    /// [`Error::Shape`] if ranks or channels do not fit or an axis is empty; [`Error::DType`] unless both are floats of one type;
    /// [`Error::Argument`] for a stride or dilation of zero, and for an output padding that no convolution would undo.
    #[track_caller]
    pub fn conv2d_transpose(&self, kernel: &Tensor, params: Conv2dParams, output_padding: Option<[usize; 2]>) -> Result<Tensor> {
        let [batch, height, width, channels] = images(OP, self.shape())?;
        let [kh, kw, filters, kernel_channels] = <[usize; 4]>::try_from(&kernel.shape()[..])
            .map_err(|_| Error::shape(OP, "a kernel [rows, columns, filters, channels]", kernel.shape()))?;
        if kernel_channels != channels {
            let want = format!("images of {kernel_channels} channels for the kernel {}", kernel.shape());
            return Err(Error::shape(OP, want, self.shape()).hint("axes are [batch, rows, columns, channels]"));
        }
        let rows = output_size(height, kh, &params, 0, output_padding)?;
        let columns = output_size(width, kw, &params, 1, output_padding)?;
        record_one(Conv2dDx::of(params, &Shape::from([batch, rows, columns, filters])), &[kernel, self])
    }
}

/// The cells that axis `axis` (0 rows, 1 columns) of `input` cells grows to under a window of `window` cells.
///
/// # Errors
/// As [`Tensor::conv2d_transpose`].
pub(crate) fn output_size(
    input: usize,
    window: usize,
    params: &Conv2dParams,
    axis: usize,
    output_padding: Option<[usize; 2]>,
) -> Result<usize> {
    let (stride, dilation, padding) = (params.strides[axis], params.dilation[axis], params.padding);
    if input == 0 {
        return Err(Error::shape(OP, "images of at least one row and column", input));
    }
    let too_large =
        || Error::argument(format!("{OP}: window, strides, dilation, output_padding"), "an image of less than 2^32 cells", "more");
    let reach = window.saturating_sub(1).checked_mul(dilation).and_then(|reach| reach.checked_add(1)).ok_or_else(too_large)?;
    let last = match (padding, output_padding) {
        (Padding::Valid, None) => Some(reach.max(stride)),
        (Padding::Valid, Some(more)) => reach.checked_add(more[axis]),
        (Padding::Same, None) => Some(stride),
        (Padding::Same, Some(more)) => more[axis].checked_add(reach % 2),
    };
    let output = (input - 1).checked_mul(stride).and_then(|first| first.checked_add(last?)).filter(|n| u32::try_from(*n).is_ok());
    let output = output.ok_or_else(too_large)?;
    // The convolution that this one undoes must make `input` cells of `output`; that it can be made refuses zeros among the arguments.
    if Axis::new(OP, output, window, stride, dilation, padding)?.output != input {
        let odd = if padding == Padding::Same { reach % 2 } else { 1 };
        let want = format!("{}..{} for a stride of {stride} and a window over {reach} cells", 1 - odd, stride + 1 - odd);
        return Err(Error::argument(format!("{OP}: output_padding"), want, output_padding.map_or(0, |more| more[axis])));
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::Padding::{Same, Valid};
    use super::*;
    use crate::device::Device;
    use crate::testing::{check, close, float};

    fn params(strides: [usize; 2], padding: Padding, dilation: [usize; 2]) -> Conv2dParams {
        Conv2dParams { strides, padding, dilation }
    }

    /// The definition: every pixel's window is added to an image with room for all of them, and `out` rows and columns of it are kept, with what
    /// is cut off split evenly.
    fn naive(x: &[f64], [n, h, w, c]: [usize; 4], k: &[f64], [kh, kw, f]: [usize; 3], p: Conv2dParams, out: [usize; 2]) -> Vec<f64> {
        let whole = |n: usize, k: usize, i: usize| (n - 1) * p.strides[i] + (k - 1) * p.dilation[i] + 1;
        let front = |whole: usize, i: usize| if p.padding == Same { whole.saturating_sub(out[i]) / 2 } else { 0 };
        let (top, left) = (front(whole(h, kh, 0), 0), front(whole(w, kw, 1), 1));
        let mut y = vec![0.0; n * out[0] * out[1] * f];
        for i in 0..n * h * w * c {
            let (ch, ix, iy, image) = (i % c, i / c % w, i / (c * w) % h, i / (c * w * h));
            for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                let (oy, ox) = (iy * p.strides[0] + ky * p.dilation[0], ix * p.strides[1] + kx * p.dilation[1]);
                if oy >= top && ox >= left && oy - top < out[0] && ox - left < out[1] {
                    for filter in 0..f {
                        let at = ((image * out[0] + oy - top) * out[1] + ox - left) * f + filter;
                        y[at] += x[i] * k[((ky * kw + kx) * f + filter) * c + ch];
                    }
                }
            }
        }
        y
    }

    fn run(x: [usize; 4], kernel: [usize; 3], p: Conv2dParams, output_padding: Option<[usize; 2]>, out: [usize; 2]) {
        let [kh, kw, filters] = kernel;
        let name = format!("conv2d_transpose {x:?} {kernel:?} {p:?} {output_padding:?}");
        check(&name, &[float(x), float([kh, kw, filters, x[3]])], |t| {
            let y = t[0].conv2d_transpose(&t[1], p, output_padding)?;
            assert_eq!(y.shape()[..], [x[0], out[0], out[1], filters], "{name}");
            Ok(y)
        })
        .reference(|v| naive(&v[0], x, &v[1], kernel, p, out))
        .terms(kh * kw * x[3].max(filters))
        .run();
    }

    /// Sizes from Keras's `_get_output_shape_given_tf_padding`, worked out by hand.
    #[test]
    fn sizes_are_those_of_keras() {
        run([1, 3, 2, 3], [3, 3, 2], params([2, 2], Valid, [1, 1]), None, [7, 5]);
        run([2, 3, 2, 3], [3, 3, 2], params([2, 2], Same, [1, 1]), None, [6, 4]);
        run([1, 2, 3, 2], [2, 3, 1], params([3, 2], Valid, [1, 1]), None, [6, 7]);
        run([1, 2, 3, 2], [2, 3, 1], params([3, 1], Same, [1, 1]), None, [6, 3]);
        run([1, 2, 2, 1], [3, 3, 2], params([2, 2], Same, [1, 1]), Some([0, 1]), [3, 4]);
        run([1, 2, 2, 1], [3, 2, 1], params([2, 3], Valid, [1, 1]), Some([1, 2]), [6, 7]);
        run([1, 2, 3, 1], [2, 2, 2], params([2, 3], Same, [1, 1]), Some([1, 3]), [3, 9]);
        run([1, 4, 3, 1], [3, 2, 2], params([1, 1], Valid, [2, 3]), None, [8, 6]);
        run([1, 4, 3, 2], [3, 3, 1], params([1, 1], Same, [2, 1]), None, [4, 3]);
    }

    /// Keras with TensorFlow, for images `sin(0.37 i)` and kernels `sin(0.73 i)`, `i` from 1.
    #[test]
    fn golden_values() -> Result<()> {
        let wave = |shape: [usize; 4], step: f64| {
            let data: Vec<f32> = (1..=shape.iter().product()).map(|i: usize| (step * i as f64).sin() as f32).collect();
            Tensor::new(&Device::cpu(), shape, &data)
        };
        let y = wave([1, 2, 2, 1], 0.37)?.conv2d_transpose(&wave([3, 3, 2, 1], 0.73)?, params([2, 2], Same, [1, 1]), Some([0, 0]))?;
        assert_eq!(y.shape()[..], [1, 3, 3, 2]);
        let want = [
            0.1023005,
            0.307531,
            -0.2656578,
            -0.0660727,
            0.190755,
            0.5734391,
            0.3681641,
            -0.08331332,
            0.1278454,
            -0.1421101,
            0.1373987,
            -0.303548,
            0.2533918,
            0.761735,
            -0.03633183,
            0.1254897,
            0.2817332,
            0.8469335,
        ];
        let got: Vec<f64> = y.to_vec::<f32>()?.into_iter().map(f64::from).collect();
        close(&got, &want, 1e-6, 1e-6).unwrap();
        let y = wave([1, 2, 2, 1], 0.37)?.conv2d_transpose(&wave([3, 2, 1, 1], 0.73)?, params([2, 3], Valid, [1, 1]), Some([1, 2]))?;
        let got: Vec<f64> = y.to_vec::<f32>()?.into_iter().map(f64::from).collect();
        let mut want = vec![0.0; 42];
        for (at, value) in
            [(0, 0.2411503), (1, 0.3593981), (3, 0.4496621), (4, 0.6701534), (7, 0.2944782), (8, 0.07947715), (10, 0.5491002)]
                .into_iter()
                .chain([
                    (11, 0.1481974),
                    (14, 0.4212847),
                    (15, 0.548384),
                    (17, 0.3358883),
                    (18, 0.3523933),
                    (21, 0.729404),
                    (22, 0.1968599),
                ])
                .chain([(24, 0.8109865), (25, 0.2188783), (28, -0.4360142), (29, -0.8466731), (31, -0.4847815), (32, -0.9413719)])
        {
            want[at] = value;
        }
        close(&got, &want, 1e-6, 1e-6).unwrap();
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_an_error_that_says_so() {
        let of = |shape: &[usize]| Tensor::zeros(&Device::cpu(), shape).unwrap();
        let message = |x: &[usize], k: &[usize], p, more| of(x).conv2d_transpose(&of(k), p, more).unwrap_err().root().to_string();
        let (default, two) = (Conv2dParams::default(), params([2, 2], Same, [1, 1]));
        assert!(message(&[8, 8, 1], &[3, 3, 2, 1], default, None).contains("add the missing axis"));
        assert!(message(&[1, 8, 8, 3], &[3, 3, 3, 2], default, None).contains("images of 2 channels"));
        assert!(message(&[1, 8, 8, 1], &[3, 3, 1], default, None).contains("filters, channels]"));
        assert!(message(&[1, 0, 8, 1], &[3, 3, 1, 1], default, None).contains("at least one row"));
        assert!(message(&[1, 8, 8, 1], &[3, 3, 1, 1], params([0, 1], Valid, [1, 1]), None).contains("strides"));
        assert!(message(&[1, 8, 8, 1], &[3, 3, 1, 1], params([1, 1], Same, [1, 0]), None).contains("dilation"));
        for (kernel, p, more, range) in [
            ([2, 2, 1, 1], two, [0, 1], "1..3"),
            ([3, 3, 1, 1], two, [1, 2], "0..2"),
            ([3, 3, 1, 1], params([2, 2], Valid, [1, 1]), [2, 0], "0..2"),
            ([2, 2, 1, 1], params([1, 1], Same, [1, 1]), [2, 1], "1..2"),
        ] {
            let text = message(&[1, 4, 4, 1], &kernel, p, Some(more));
            assert!(text.contains("output_padding") && text.contains(range), "{text}");
        }
        let text = message(&[1, 4, 4, 1], &[3, 3, 1, 1], default, Some([usize::MAX, 0]));
        assert!(text.contains("2^32"), "{text}");
    }
}
