//! Convolution.

use crate::error::{Error, Result};
use crate::initializers::GlorotUniform;
use crate::layers::finish::{Finish, at_least_one, finish_options};
use crate::layers::images::{Window, kind, window_options};
use crate::layers::{ActivationFn, Base, Build, Call, Layer, Size, WeightOptions, check_last_axis, weight_options};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Slides `filters` windows over images: `y[n, h, w, o] = act(b[o] + Σ x[n, h·s + i·d, w·s + j·d, c] · k[i, j, c, o])`, the sum over the
/// window `i, j` and the channels `c`.
///
/// Inputs `[n, height, width, channels]`, outputs `[n, height', width', filters]`, kernel `[rows, columns, channels / groups, filters]`. With
/// padding `Valid` the height' is `(height - (rows - 1)·d - 1) / s + 1`, with `Same` it is `height / s` rounded up and the odd cell of padding
/// comes last. Defaults: strides 1, padding `Valid`, dilation rate 1, groups 1, no activation, a bias, kernel Glorot uniform, bias zeros.
pub type Conv2D = Conv<2>;

/// [`Conv2D`] along one axis. Inputs `[n, steps, channels]`, outputs `[n, steps', filters]`, kernel `[window, channels / groups, filters]`.
/// Padding `"causal"` puts `(window - 1) · dilation_rate` zeros in front, so that no output sees a later input.
pub type Conv1D = Conv<1>;

/// [`Conv1D`] and [`Conv2D`].
#[derive(Clone)]
pub struct Conv<const R: usize> {
    base: Base,
    filters: usize,
    window: Window<R>,
    groups: usize,
    kernel: WeightOptions,
    finish: Finish,
}

impl<const R: usize> Conv<R> {
    /// So many output channels, and a window of this size.
    pub fn new(filters: usize, kernel_size: impl Into<Size<R>>) -> Self {
        Conv {
            base: Base::new(kind::<R>(["Conv1D", "Conv2D"])),
            filters,
            window: Window::new(kernel_size.into()),
            groups: 1,
            kernel: WeightOptions::new(GlorotUniform),
            finish: Finish::default(),
        }
    }

    /// The channels and the filters are cut into so many runs, each run of filters sees one run of channels. Default: 1.
    #[must_use]
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    window_options!();
    weight_options!(kernel, kernel_initializer, kernel_regularizer, kernel_constraint);
    finish_options!();
}

impl<const R: usize> Layer for Conv<R> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        at_least_one(&self.base, "filters", self.filters)?;
        self.window.check_strides(&self.base)?;
        self.finish.check(&self.base)?;
        let channels = self.window.check(&self.base, input)?;
        if self.groups == 0 || !channels.is_multiple_of(self.groups) || !self.filters.is_multiple_of(self.groups) {
            let want = format!("a number that divides {channels} channels and {} filters", self.filters);
            return Err(Error::argument(format!("{}: groups", self.base.title()), want, self.groups));
        }
        cx.weight(&self.base, "kernel", self.window.kernel_shape([channels / self.groups, self.filters]), &self.kernel)?;
        self.finish.build(&self.base, self.filters, cx)
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let kernel = self.base.value("kernel")?;
        check_last_axis(&self.base, x, kernel.shape()[R] * self.groups)?;
        let y = self.window.slide(&self.base, x, &kernel, |x, kernel, params| x.grouped_conv2d(kernel, params, self.groups))?;
        self.finish.call(&self.base, &y)
    }

    fn activation(&self) -> Option<ActivationFn> {
        self.finish.activation()
    }
}
