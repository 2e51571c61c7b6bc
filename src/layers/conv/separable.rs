//! Convolution in two steps: each channel alone, then the channels of each pixel.

use crate::error::Result;
use crate::initializers::GlorotUniform;
use crate::layers::finish::{Finish, at_least_one, finish_options};
use crate::layers::images::{Window, as_image_kernel, kind, on_images, window_options};
use crate::layers::{ActivationFn, Base, Build, Call, Layer, Size, WeightOptions, check_last_axis, weight_options};
use crate::ops::conv2d::Conv2dParams;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// A [`DepthwiseConv2D`](super::DepthwiseConv2D) without bias and activation, then a [`Conv2D`](super::Conv2D) with a window of one cell, which
/// mixes the channels, with the bias and the activation.
///
/// Inputs `[n, height, width, channels]`, outputs `[n, height', width', filters]`; kernels `depthwise_kernel`
/// `[rows, columns, channels, depth_multiplier]` and `pointwise_kernel` `[1, 1, channels · depth_multiplier, filters]`. Defaults: depth multiplier
/// 1, strides 1, padding `Valid`, dilation rate 1, no activation, a bias, kernels Glorot uniform, bias zeros.
pub type SeparableConv2D = SeparableConv<2>;

/// [`SeparableConv2D`] along one axis. Inputs `[n, steps, channels]`, outputs `[n, steps', filters]`; kernels `[window, channels, depth_multiplier]`
/// and `[1, channels · depth_multiplier, filters]`. Padding may be `"causal"`.
pub type SeparableConv1D = SeparableConv<1>;

/// [`SeparableConv1D`] and [`SeparableConv2D`].
#[derive(Clone)]
pub struct SeparableConv<const R: usize> {
    base: Base,
    filters: usize,
    window: Window<R>,
    depth_multiplier: usize,
    depthwise: WeightOptions,
    pointwise: WeightOptions,
    finish: Finish,
}

impl<const R: usize> SeparableConv<R> {
    /// So many output channels, and a window of this size.
    pub fn new(filters: usize, kernel_size: impl Into<Size<R>>) -> Self {
        SeparableConv {
            base: Base::new(kind::<R>(["SeparableConv1D", "SeparableConv2D"])),
            filters,
            window: Window::new(kernel_size.into()),
            depth_multiplier: 1,
            depthwise: WeightOptions::new(GlorotUniform),
            pointwise: WeightOptions::new(GlorotUniform),
            finish: Finish::default(),
        }
    }

    /// The first step makes so many outputs of each channel. Default: 1.
    #[must_use]
    pub fn depth_multiplier(mut self, depth_multiplier: usize) -> Self {
        self.depth_multiplier = depth_multiplier;
        self
    }

    window_options!();
    weight_options!(depthwise, depthwise_initializer, depthwise_regularizer, depthwise_constraint);
    weight_options!(pointwise, pointwise_initializer, pointwise_regularizer, pointwise_constraint);
    finish_options!();
}

impl<const R: usize> Layer for SeparableConv<R> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        at_least_one(&self.base, "filters", self.filters)?;
        at_least_one(&self.base, "depth_multiplier", self.depth_multiplier)?;
        self.finish.check(&self.base)?;
        let channels = self.window.check(&self.base, input)?;
        cx.weight(&self.base, "depthwise_kernel", self.window.kernel_shape([channels, self.depth_multiplier]), &self.depthwise)?;
        let pointwise = [&[1; R][..], &[channels * self.depth_multiplier, self.filters]].concat();
        cx.weight(&self.base, "pointwise_kernel", pointwise, &self.pointwise)?;
        self.finish.build(&self.base, self.filters, cx)
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let (depthwise, pointwise) = (self.base.value("depthwise_kernel")?, self.base.value("pointwise_kernel")?);
        check_last_axis(&self.base, x, depthwise.shape()[R])?;
        let apart = self.window.slide(&self.base, x, &depthwise, Tensor::depthwise_conv2d)?;
        let y = on_images::<R>(&apart, |x| x.conv2d(&as_image_kernel::<R>(&pointwise)?, Conv2dParams::default()))?;
        self.finish.call(&self.base, &y)
    }

    fn activation(&self) -> Option<ActivationFn> {
        self.finish.activation()
    }
}
