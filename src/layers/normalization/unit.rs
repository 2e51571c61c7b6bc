//! Normalization to a length, without a mean.

use super::super::{Base, Build, Call, Layer, WeightOptions, named, without_batch};
use super::{Axes, check_axes, check_epsilon, only, signed};
use crate::error::Result;
use crate::initializers::Ones;
use crate::ops::pointwise::map1;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Brings the mean square over some axes to 1: `y = scale · x / √(mean(x²) + epsilon)`. Outputs have the inputs' shape; `scale` has the lengths
/// of the axes. Defaults: the last axis, epsilon 1e-6, scale ones. (Zhang and Sennrich 2019.)
#[derive(Clone)]
pub struct RMSNormalization {
    base: Base,
    axes: Axes,
    epsilon: f64,
}

/// Brings the length over some axes to 1: `y = x / √Σx²`; zeros stay zeros. Outputs have the inputs' shape. Default: the last axis.
#[derive(Clone)]
pub struct UnitNormalization {
    base: Base,
    axes: Axes,
}

impl Default for RMSNormalization {
    fn default() -> RMSNormalization {
        RMSNormalization::new()
    }
}

impl Default for UnitNormalization {
    fn default() -> UnitNormalization {
        UnitNormalization::new()
    }
}

impl RMSNormalization {
    /// Over the last axis.
    pub fn new() -> RMSNormalization {
        RMSNormalization { base: Base::keeping_f32("RMSNormalization"), axes: Axes::from(-1), epsilon: 1e-6 }
    }

    /// What is normalized together: `-1`, or `[1, 2]`, counted with the batch axis. Default: the last axis.
    #[must_use]
    pub fn axis(mut self, axes: impl Into<Axes>) -> RMSNormalization {
        self.axes = axes.into();
        self
    }

    /// What is added to the mean square before its root. Default: 1e-6.
    #[must_use]
    pub fn epsilon(mut self, epsilon: f64) -> RMSNormalization {
        self.epsilon = epsilon;
        self
    }

    named!();
}

impl UnitNormalization {
    /// Over the last axis.
    pub fn new() -> UnitNormalization {
        UnitNormalization { base: Base::keeping_f32("UnitNormalization"), axes: Axes::from(-1) }
    }

    /// What is normalized together: `-1`, or `[1, 2]`, counted with the batch axis. Default: the last axis.
    #[must_use]
    pub fn axis(mut self, axes: impl Into<Axes>) -> UnitNormalization {
        self.axes = axes.into();
        self
    }

    named!();
}

impl Layer for RMSNormalization {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        check_epsilon(&self.base, self.epsilon)?;
        let axes = self.axes.of(&self.base, input)?;
        let lengths: Vec<usize> = axes.iter().map(|axis| input[axis - 1]).collect();
        cx.weight(&self.base, "scale", lengths, &WeightOptions::new(Ones))
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let axes = self.axes.of(&self.base, &without_batch(&self.base, x)?)?;
        let scale = self.base.value("scale")?;
        check_axes(&self.base, x, &axes, scale.shape())?;
        let scale = scale.reshape(only(x.shape(), &axes))?;
        let square = x.square()?.mean(&signed(axes), true)?;
        map1(&[x, &square, &scale], |e| &e[0] * (&e[1] + self.epsilon).rsqrt() * &e[2])
    }
}

impl Layer for UnitNormalization {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, _cx: &Build) -> Result<()> {
        self.axes.of(&self.base, input).map(|_| ())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let axes = self.axes.of(&self.base, &without_batch(&self.base, x)?)?;
        let square = x.square()?.sum(&signed(axes), true)?;
        // Zeros have no direction; any divisor but 0 leaves them zeros.
        map1(&[x, &square], |e| &e[0] * e[1].max(&e[1].number(1e-24)).rsqrt())
    }
}
