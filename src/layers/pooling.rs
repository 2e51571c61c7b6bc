//! Pooling over images, and what all layers with windows check.

use super::{Build, Call, Layer, Size2, layer_name, title};
use crate::error::{Error, Result};
use crate::ops::window::{Axis, Padding, Pool2dParams};
use crate::shape::Shape;
use crate::tensor::Tensor;

macro_rules! pooling_layer {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $op:ident) => {
        $(#[$doc])*
        pub struct $name {
            name: String,
            size: [usize; 2],
            strides: Option<[usize; 2]>,
            padding: Padding,
        }

        impl $name {
            /// Windows of this height and width, each beside the last.
            pub fn new(pool_size: impl Into<Size2>) -> $name {
                $name { name: String::new(), size: pool_size.into().0, strides: None, padding: Padding::Valid }
            }

            /// The window moves by so many cells. Default: its own size.
            #[must_use]
            pub fn strides(mut self, strides: impl Into<Size2>) -> $name {
                self.strides = Some(strides.into().0);
                self
            }

            /// Whether windows may reach over the edge. Default: `Valid`, they may not.
            #[must_use]
            pub fn padding(mut self, padding: Padding) -> $name {
                self.padding = padding;
                self
            }

            /// The name in its model. Default: the kind in snake case with a number.
            #[must_use]
            pub fn named(mut self, name: impl Into<String>) -> $name {
                self.name = name.into();
                self
            }

            fn params(&self) -> Pool2dParams {
                Pool2dParams { size: self.size, strides: self.strides.unwrap_or(self.size), padding: self.padding }
            }
        }

        impl Layer for $name {
            fn kind(&self) -> &'static str {
                $kind
            }

            layer_name!();

            fn build(&mut self, input: &Shape, _cx: &mut Build) -> Result<Shape> {
                pooled(self, input, &self.params())
            }

            fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
                x.$op(self.params())
            }
        }
    };
}

pooling_layer! {
    /// The largest value of each window and channel. Inputs `[n, height, width, channels]`, outputs `[n, height', width', channels]`.
    /// Padding is never the largest. Defaults: pool size 2, strides = pool size, padding `Valid`.
    MaxPooling2D, "MaxPooling2D", max_pool2d
}

pooling_layer! {
    /// The mean of each window and channel. Inputs `[n, height, width, channels]`, outputs `[n, height', width', channels]`. Padding is not
    /// counted. Defaults: strides = pool size, padding `Valid`.
    AveragePooling2D, "AveragePooling2D", avg_pool2d
}

impl Default for MaxPooling2D {
    fn default() -> MaxPooling2D {
        MaxPooling2D::new(2)
    }
}

fn pooled(layer: &dyn Layer, input: &Shape, params: &Pool2dParams) -> Result<Shape> {
    let [height, width, channels] = image_shape(layer, input)?;
    let rows = places(layer, height, params.size[0], params.strides[0], 1, params.padding)?;
    let columns = places(layer, width, params.size[1], params.strides[1], 1, params.padding)?;
    Ok(Shape::from([rows, columns, channels]))
}

/// Height, width and channels of the images that a layer is given.
pub(super) fn image_shape(layer: &dyn Layer, input: &Shape) -> Result<[usize; 3]> {
    <[usize; 3]>::try_from(&input[..]).map_err(|_| {
        let error = Error::shape(title(layer), "images of shape [height, width, channels]", format!("{input} per sample"));
        match input[..] {
            [height, width] => error.hint(format!("add the channel axis with `.input([{height}, {width}, 1])`, or reshape the images")),
            [_] => error.hint("put it before Flatten"),
            _ => error,
        }
    })
}

/// How often a window fits onto an axis of `n` cells.
pub(super) fn places(layer: &dyn Layer, n: usize, window: usize, stride: usize, dilation: usize, padding: Padding) -> Result<usize> {
    Ok(Axis::new(&title(layer), n, window, stride, dilation, padding)?.output)
}
