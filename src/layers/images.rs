//! Layers along one axis and over two: sequences are images of one row.

use super::{Base, PaddingArg, Size};
use crate::error::{Error, Result};
use crate::ops::conv2d::Conv2dParams;
use crate::ops::window::{Axis, Padding};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// The name of a layer by the number of its axes.
pub(super) fn kind<const R: usize>(kinds: [&'static str; 2]) -> &'static str {
    kinds[R - 1]
}

/// Rows, columns and channels of the samples that a layer with `R` axes is given: `[steps, channels]` for one, and one row.
pub(super) fn image_shape<const R: usize>(base: &Base, input: &Shape) -> Result<[usize; 3]> {
    match (R, &input[..]) {
        (1, &[steps, channels]) => Ok([1, steps, channels]),
        (2, &[height, width, channels]) => Ok([height, width, channels]),
        (1, _) => {
            let error = Error::shape(base.title(), "sequences of shape [steps, channels]", format!("{input} per sample"));
            Err(match input[..] {
                [steps] => error.hint(format!("add the channel axis with `.input([{steps}, 1])`, or reshape the sequences")),
                _ => error,
            })
        }
        _ => {
            let error = Error::shape(base.title(), "images of shape [height, width, channels]", format!("{input} per sample"));
            Err(match input[..] {
                [height, width] => error.hint(format!("add the channel axis with `.input([{height}, {width}, 1])`, or reshape the images")),
                [_] => error.hint("put it before Flatten"),
                _ => error,
            })
        }
    }
}

/// Computes on a batch of images `[n, rows, columns, channels]`; a batch of sequences is given to `f` as such, and what comes is one again.
pub(super) fn on_images<const R: usize>(x: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    if R == 2 {
        return f(x);
    }
    f(&x.expand_dims(1)?)?.squeeze(1)
}

/// A window of weights that slides along `R` axes.
#[derive(Clone)]
pub(super) struct Window<const R: usize> {
    pub size: Size<R>,
    pub strides: Size<R>,
    pub dilation: Size<R>,
    pub padding: PaddingArg,
}

impl<const R: usize> Window<R> {
    pub fn new(size: Size<R>) -> Window<R> {
        Window { size, strides: Size::from(1), dilation: Size::from(1), padding: PaddingArg::default() }
    }

    /// How the window slides over images, and the cells of zeros to put in front of the columns first, for causal padding.
    fn params(&self, base: &Base) -> Result<(Conv2dParams, usize)> {
        let padding = if R == 1 { self.padding.get_or_causal(base)? } else { Some(self.padding.get(base)?) };
        let front = if padding.is_none() { self.size.0[R - 1].saturating_sub(1).saturating_mul(self.dilation.0[R - 1]) } else { 0 };
        let padding = padding.unwrap_or(Padding::Valid);
        Ok((Conv2dParams { strides: self.strides.of_image(), padding, dilation: self.dilation.of_image() }, front))
    }

    /// How the window slides over images, where there is no causal padding.
    pub fn plain_params(&self, base: &Base) -> Result<Conv2dParams> {
        let padding = self.padding.get(base)?;
        Ok(Conv2dParams { strides: self.strides.of_image(), padding, dilation: self.dilation.of_image() })
    }

    /// That the window fits onto samples of this shape; their channels.
    pub fn check(&self, base: &Base, input: &Shape) -> Result<usize> {
        let [height, width, channels] = image_shape::<R>(base, input)?;
        let (Conv2dParams { strides, padding, dilation }, front) = self.params(base)?;
        let size = self.size.of_image();
        for (axis, n) in [height, width.saturating_add(front)].into_iter().enumerate().skip(2 - R) {
            fits(base, n, size[axis], strides[axis], dilation[axis], padding)?;
        }
        Ok(channels)
    }

    /// Refuses a window that both moves by several cells and has gaps, as Keras does: the two undo one another.
    pub fn check_strides(&self, base: &Base) -> Result<()> {
        if self.strides != Size::from(1) && self.dilation != Size::from(1) {
            let got = format!("strides {:?} with dilation_rate {:?}", self.strides, self.dilation);
            return Err(Error::argument(format!("{}: strides and dilation_rate", base.title()), "only one of them above 1", got));
        }
        Ok(())
    }

    /// The shape of a kernel with these last axes.
    pub fn kernel_shape(&self, channels: [usize; 2]) -> Vec<usize> {
        [&self.size.0[..], &channels].concat()
    }

    /// Slides a kernel over a batch: `f` gets images, the kernel of images and how it slides.
    pub fn slide(
        &self,
        base: &Base,
        x: &Tensor,
        kernel: &Tensor,
        f: impl FnOnce(&Tensor, &Tensor, Conv2dParams) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (params, front) = self.params(base)?;
        let x = if front > 0 { x.pad(&[(0, 0), (front, 0)], 0.0)? } else { x.clone() };
        on_images::<R>(&x, |x| f(x, &as_image_kernel::<R>(kernel)?, params))
    }
}

/// A kernel of `R` axes as one of two.
pub(super) fn as_image_kernel<const R: usize>(kernel: &Tensor) -> Result<Tensor> {
    if R == 2 { Ok(kernel.clone()) } else { kernel.expand_dims(0) }
}

/// That a window fits onto an axis of `n` cells.
pub(super) fn fits(base: &Base, n: usize, window: usize, stride: usize, dilation: usize, padding: Padding) -> Result<()> {
    Axis::new(&base.title(), n, window, stride, dilation, padding).map(|_| ())
}

/// The builder methods of layers with a `window: Window<R>`.
macro_rules! window_options {
    () => {
        /// The window moves by so many cells. Default: 1.
        #[must_use]
        pub fn strides(mut self, strides: impl Into<crate::layers::Size<R>>) -> Self {
            self.window.strides = strides.into();
            self
        }

        /// Whether windows may reach over the edge. Default: `Valid`, they may not.
        #[must_use]
        pub fn padding(mut self, padding: impl Into<crate::layers::PaddingArg>) -> Self {
            self.window.padding = padding.into();
            self
        }

        /// The cells of a window stand so far apart. Default: 1.
        #[must_use]
        pub fn dilation_rate(mut self, dilation_rate: impl Into<crate::layers::Size<R>>) -> Self {
            self.window.dilation = dilation_rate.into();
            self
        }
    };
}
pub(super) use window_options;
