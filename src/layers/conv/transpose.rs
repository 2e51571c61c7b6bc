//! Transposed convolution: makes images larger.

use crate::error::{Error, Result};
use crate::initializers::GlorotUniform;
use crate::layers::finish::{Finish, at_least_one, finish_options};
use crate::layers::images::{Window, as_image_kernel, image_shape, kind, on_images, window_options};
use crate::layers::{ActivationFn, Base, Build, Call, Layer, Size, WeightOptions, check_last_axis, weight_options};
use crate::ops::conv2d_transpose::output_size;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Adds to an image, for each pixel of the input, its channels times a window of weights; the windows stand `strides` apart. It is the gradient
/// of a [`Conv2D`](super::Conv2D) by its input, with bias and activation.
///
/// Inputs `[n, height, width, channels]`, outputs `[n, height', width', filters]`, kernel `[rows, columns, filters, channels]`. With strides `s`
/// and a window that reaches over `r = (rows - 1)·d + 1` cells, the height' is `(height - 1)·s + max(r, s)` with padding `Valid` and
/// `height·s` with `Same`; with an output padding `p` it is `(height - 1)·s + r + p` and `(height - 1)·s + (r mod 2) + p`. Defaults: strides 1,
/// padding `Valid`, no output padding, dilation rate 1, no activation, a bias, kernel Glorot uniform, bias zeros.
pub type Conv2DTranspose = ConvTranspose<2>;

/// [`Conv2DTranspose`] along one axis. Inputs `[n, steps, channels]`, outputs `[n, steps', filters]`, kernel `[window, filters, channels]`.
pub type Conv1DTranspose = ConvTranspose<1>;

/// [`Conv1DTranspose`] and [`Conv2DTranspose`].
#[derive(Clone)]
pub struct ConvTranspose<const R: usize> {
    base: Base,
    filters: usize,
    window: Window<R>,
    output_padding: Option<Size<R>>,
    kernel: WeightOptions,
    finish: Finish,
}

impl<const R: usize> ConvTranspose<R> {
    /// So many output channels, and a window of this size.
    pub fn new(filters: usize, kernel_size: impl Into<Size<R>>) -> Self {
        ConvTranspose {
            base: Base::new(kind::<R>(["Conv1DTranspose", "Conv2DTranspose"])),
            filters,
            window: Window::new(kernel_size.into()),
            output_padding: None,
            kernel: WeightOptions::new(GlorotUniform),
            finish: Finish::default(),
        }
    }

    /// Chooses among the sizes that a convolution would make the input's size from; less than the strides. Default: see [`Conv2DTranspose`].
    #[must_use]
    pub fn output_padding(mut self, output_padding: impl Into<Size<R>>) -> Self {
        self.output_padding = Some(output_padding.into());
        self
    }

    window_options!();
    weight_options!(kernel, kernel_initializer, kernel_regularizer, kernel_constraint);
    finish_options!();

    /// Along rows and columns; the one row of a sequence gets none.
    fn image_output_padding(&self) -> Option<[usize; 2]> {
        self.output_padding.map(|more| if R == 1 { [0, more.0[0]] } else { more.of_image() })
    }
}

impl<const R: usize> Layer for ConvTranspose<R> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        at_least_one(&self.base, "filters", self.filters)?;
        self.window.check_strides(&self.base)?;
        self.finish.check(&self.base)?;
        let [height, width, channels] = image_shape::<R>(&self.base, input)?;
        let more = self.output_padding.unwrap_or(Size::from(0));
        if more.0.iter().zip(&self.window.strides.0).any(|(more, stride)| more >= stride) && self.output_padding.is_some() {
            let want = format!("less than the strides {:?}", self.window.strides);
            return Err(Error::argument(format!("{}: output_padding", self.base.title()), want, format!("{more:?}")));
        }
        let (params, size) = (self.window.plain_params(&self.base)?, self.window.size.of_image());
        for (axis, n) in [height, width].into_iter().enumerate() {
            output_size(n, size[axis], &params, axis, self.image_output_padding()).map_err(|e| e.at(self.base.title()))?;
        }
        cx.weight(&self.base, "kernel", self.window.kernel_shape([self.filters, channels]), &self.kernel)?;
        self.finish.build(&self.base, self.filters, cx)
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let kernel = self.base.value("kernel")?;
        check_last_axis(&self.base, x, kernel.shape()[R + 1])?;
        let params = self.window.plain_params(&self.base)?;
        let y = on_images::<R>(x, |x| x.conv2d_transpose(&as_image_kernel::<R>(&kernel)?, params, self.image_output_padding()))?;
        self.finish.call(&self.base, &y)
    }

    fn activation(&self) -> Option<ActivationFn> {
        self.finish.activation()
    }
}
