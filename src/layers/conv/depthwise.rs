//! Convolution that keeps channels apart.

use crate::error::Result;
use crate::initializers::GlorotUniform;
use crate::layers::finish::{Finish, at_least_one, finish_options};
use crate::layers::images::{Window, kind, window_options};
use crate::layers::{ActivationFn, Base, Build, Call, Layer, Size, WeightOptions, check_last_axis, weight_options};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Slides `depth_multiplier` windows over each channel alone:
/// `y[n, h, w, c·m + q] = act(b[c·m + q] + Σ x[n, h·s + i·d, w·s + j·d, c] · k[i, j, c, q])`, the sum over the window `i, j`.
///
/// Inputs `[n, height, width, channels]`, outputs `[n, height', width', channels · m]`, kernel `[rows, columns, channels, m]`; heights as for
/// [`Conv2D`](super::Conv2D). Defaults: depth multiplier 1, strides 1, padding `Valid`, dilation rate 1, no activation, a bias, kernel Glorot
/// uniform, bias zeros.
pub type DepthwiseConv2D = DepthwiseConv<2>;

/// [`DepthwiseConv2D`] along one axis. Inputs `[n, steps, channels]`, outputs `[n, steps', channels · m]`, kernel `[window, channels, m]`.
/// Padding may be `"causal"`.
pub type DepthwiseConv1D = DepthwiseConv<1>;

/// [`DepthwiseConv1D`] and [`DepthwiseConv2D`].
#[derive(Clone)]
pub struct DepthwiseConv<const R: usize> {
    base: Base,
    window: Window<R>,
    depth_multiplier: usize,
    kernel: WeightOptions,
    finish: Finish,
}

impl<const R: usize> DepthwiseConv<R> {
    /// A window of this size.
    pub fn new(kernel_size: impl Into<Size<R>>) -> Self {
        DepthwiseConv {
            base: Base::new(kind::<R>(["DepthwiseConv1D", "DepthwiseConv2D"])),
            window: Window::new(kernel_size.into()),
            depth_multiplier: 1,
            kernel: WeightOptions::new(GlorotUniform),
            finish: Finish::default(),
        }
    }

    /// So many outputs for each channel. Default: 1.
    #[must_use]
    pub fn depth_multiplier(mut self, depth_multiplier: usize) -> Self {
        self.depth_multiplier = depth_multiplier;
        self
    }

    window_options!();
    weight_options!(kernel, depthwise_initializer, depthwise_regularizer, depthwise_constraint);
    finish_options!();
}

impl<const R: usize> Layer for DepthwiseConv<R> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        at_least_one(&self.base, "depth_multiplier", self.depth_multiplier)?;
        self.finish.check(&self.base)?;
        let channels = self.window.check(&self.base, input)?;
        cx.weight(&self.base, "kernel", self.window.kernel_shape([channels, self.depth_multiplier]), &self.kernel)?;
        self.finish.build(&self.base, channels * self.depth_multiplier, cx)
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let kernel = self.base.value("kernel")?;
        check_last_axis(&self.base, x, kernel.shape()[R])?;
        let y = self.window.slide(&self.base, x, &kernel, Tensor::depthwise_conv2d)?;
        self.finish.call(&self.base, &y)
    }

    fn activation(&self) -> Option<ActivationFn> {
        self.finish.activation()
    }
}
