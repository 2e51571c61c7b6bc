//! Layer normalization.

use super::super::{Base, Build, Call, Layer, without_batch};
use super::{Affine, Axes, affine_options, check_axes, moments, only, signed};
use crate::error::Result;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Brings each sample to mean 0 and variance 1 over some axes: `y = gamma · (x - mean) / √(variance + epsilon) + beta`. Outputs have the
/// inputs' shape; gamma and beta have the lengths of the axes. Defaults: the last axis (so each position of a sequence by itself), epsilon
/// 0.001, gamma ones, beta zeros. The variance is without Bessel's correction. (Ba, Kiros and Hinton 2016.)
#[derive(Clone)]
pub struct LayerNormalization {
    base: Base,
    axes: Axes,
    affine: Affine,
}

impl Default for LayerNormalization {
    fn default() -> LayerNormalization {
        LayerNormalization::new()
    }
}

impl LayerNormalization {
    /// Over the last axis.
    pub fn new() -> LayerNormalization {
        LayerNormalization { base: Base::keeping_f32("LayerNormalization"), axes: Axes::from(-1), affine: Affine::new() }
    }

    /// What is normalized together: `-1`, or `[1, 2]`, counted with the batch axis. Default: the last axis.
    #[must_use]
    pub fn axis(mut self, axes: impl Into<Axes>) -> LayerNormalization {
        self.axes = axes.into();
        self
    }

    affine_options!();
}

impl Layer for LayerNormalization {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        let axes = self.axes.of(&self.base, input)?;
        let lengths: Vec<usize> = axes.iter().map(|axis| input[axis - 1]).collect();
        self.affine.build(&self.base, lengths, cx)
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let axes = self.axes.of(&self.base, &without_batch(&self.base, x)?)?;
        let weights = if self.affine.scale { Some("gamma") } else { self.affine.center.then_some("beta") };
        if let Some(weight) = weights {
            check_axes(&self.base, x, &axes, self.base.value(weight)?.shape())?;
        }
        let [mean, variance] = moments(x, &signed(axes.iter().copied()))?;
        self.affine.apply(&self.base, x, [&mean, &variance], &only(x.shape(), &axes))
    }
}
