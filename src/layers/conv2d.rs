//! Convolution over images.

use super::{ActivationArg, Build, Call, Layer, Size2, check_last_axis, kernel_and_bias_options, layer_name, not_built, pooling, title};
use crate::error::{Error, Result};
use crate::initializers::{GlorotUniform, InitializerArg, Zeros};
use crate::ops::conv2d::Conv2dParams;
use crate::ops::window::Padding;
use crate::shape::Shape;
use crate::tensor::Tensor;
use crate::variable::Variable;

/// Slides `filters` windows over images: `y[n, h, w, o] = act(b[o] + Σ x[n, h·s + i·d, w·s + j·d, c] · k[i, j, c, o])`, the sum over the
/// window `i, j` and the channels `c`.
///
/// Inputs `[n, height, width, channels]`, outputs `[n, height', width', filters]`, kernel `[rows, columns, channels, filters]`. With padding
/// `Valid` the height' is `(height - (rows - 1)·d - 1) / s + 1`, with `Same` it is `height / s` rounded up and the odd cell of padding comes
/// last. Defaults: strides 1, padding `Valid`, dilation 1, no activation, a bias, kernel Glorot uniform, bias zeros.
pub struct Conv2D {
    name: String,
    filters: usize,
    kernel_size: [usize; 2],
    params: Conv2dParams,
    activation: ActivationArg,
    use_bias: bool,
    kernel_initializer: InitializerArg,
    bias_initializer: InitializerArg,
    weights: Option<Weights>,
}

struct Weights {
    kernel: Variable,
    bias: Option<Variable>,
}

impl Conv2D {
    /// So many output channels, and a window of this height and width.
    pub fn new(filters: usize, kernel_size: impl Into<Size2>) -> Conv2D {
        Conv2D {
            name: String::new(),
            filters,
            kernel_size: kernel_size.into().0,
            params: Conv2dParams::default(),
            activation: ActivationArg::default(),
            use_bias: true,
            kernel_initializer: GlorotUniform.into(),
            bias_initializer: Zeros.into(),
            weights: None,
        }
    }

    /// The window moves by so many cells. Default: 1.
    #[must_use]
    pub fn strides(mut self, strides: impl Into<Size2>) -> Conv2D {
        self.params.strides = strides.into().0;
        self
    }

    /// Whether windows may reach over the edge. Default: `Valid`, they may not.
    #[must_use]
    pub fn padding(mut self, padding: Padding) -> Conv2D {
        self.params.padding = padding;
        self
    }

    /// The cells of a window stand so far apart. Default: 1.
    #[must_use]
    pub fn dilation(mut self, dilation: impl Into<Size2>) -> Conv2D {
        self.params.dilation = dilation.into().0;
        self
    }

    kernel_and_bias_options!();

    fn check(&self) -> Result<()> {
        if self.filters == 0 {
            return Err(Error::argument(format!("{}: filters", title(self)), "at least 1", 0));
        }
        if self.params.strides != [1, 1] && self.params.dilation != [1, 1] {
            let got = format!("strides {:?} with dilation {:?}", self.params.strides, self.params.dilation);
            return Err(Error::argument(format!("{}: strides and dilation", title(self)), "only one of them above 1", got));
        }
        self.activation.get().map(|_| ()).map_err(|e| e.at(title(self)))
    }
}

impl Layer for Conv2D {
    fn kind(&self) -> &'static str {
        "Conv2D"
    }

    layer_name!();

    fn build(&mut self, input: &Shape, cx: &mut Build) -> Result<Shape> {
        self.check()?;
        let [height, width, channels] = pooling::image_shape(self, input)?;
        let Conv2dParams { strides, padding, dilation } = self.params;
        let mut out = [0; 2];
        for (axis, n) in [height, width].into_iter().enumerate() {
            out[axis] = pooling::places(self, n, self.kernel_size[axis], strides[axis], dilation[axis], padding)?;
        }
        let shape = Shape::from([self.kernel_size[0], self.kernel_size[1], channels, self.filters]);
        match &self.weights {
            Some(weights) if *weights.kernel.shape() == shape => {}
            Some(weights) => {
                let was = format!("{}: it was built for {} channels and is now given {channels}", title(self), weights.kernel.shape()[2]);
                return Err(Error::NotReady(was));
            }
            None => {
                let kernel = self.kernel_initializer.get().map_err(|e| e.at(title(self)))?;
                let kernel = cx.weight(format!("{}/kernel", self.name), shape, kernel)?;
                let bias = self.bias_initializer.get().map_err(|e| e.at(title(self)))?;
                let bias = self.use_bias.then(|| cx.weight(format!("{}/bias", self.name), [self.filters], bias)).transpose()?;
                self.weights = Some(Weights { kernel, bias });
            }
        }
        Ok(Shape::from([out[0], out[1], self.filters]))
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let Weights { kernel, bias } = self.weights.as_ref().ok_or_else(|| not_built(self))?;
        check_last_axis(self, x, kernel.shape()[2])?;
        let y = x.conv2d(&kernel.value()?, self.params)?;
        let bias = bias.as_ref().map(Variable::value).transpose()?;
        self.activation.get()?.apply_biased(&y, bias.as_ref())
    }

    fn variables(&self) -> Vec<Variable> {
        self.weights.iter().flat_map(|w| std::iter::once(w.kernel.clone()).chain(w.bias.clone())).collect()
    }
}
