//! Layers that bring values to mean 0 and variance 1, each over other axes.

mod batch;
mod group;
mod layer;
mod unit;

pub use batch::BatchNormalization;
pub use group::GroupNormalization;
pub use layer::LayerNormalization;
pub use unit::{RMSNormalization, UnitNormalization};

use super::{Base, Build, WeightOptions};
use crate::error::{Error, Result};
use crate::initializers::{Ones, Zeros};
use crate::ops::pointwise::map1;
use crate::shape::{Axes, Shape, axis_index};
use crate::tensor::Tensor;

impl Axes {
    /// The axes of a batch of such samples, in order.
    fn of(&self, base: &Base, sample: &Shape) -> Result<Vec<usize>> {
        let axes = self.0.iter().map(|&axis| axis_index(axis, sample.rank() + 1, &base.title()));
        let mut axes = axes.collect::<Result<Vec<_>>>()?;
        axes.sort_unstable();
        let twice = axes.windows(2).any(|pair| pair[0] == pair[1]);
        if axes.is_empty() || axes[0] == 0 || twice {
            let what = format!("{}: axis", base.title());
            return Err(Error::argument(what, "axes of a sample, each once (axis 0 counts the samples)", format!("{:?}", self.0)));
        }
        Ok(axes)
    }
}

/// What all layers do that scale by `gamma` and shift by `beta` after they have normalized.
#[derive(Clone)]
struct Affine {
    epsilon: f64,
    center: bool,
    scale: bool,
    gamma: WeightOptions,
    beta: WeightOptions,
}

impl Affine {
    fn new() -> Affine {
        Affine { epsilon: 1e-3, center: true, scale: true, gamma: WeightOptions::new(Ones), beta: WeightOptions::new(Zeros) }
    }

    fn build(&self, base: &Base, shape: impl Into<Shape>, cx: &Build) -> Result<()> {
        let shape = shape.into();
        check_epsilon(base, self.epsilon)?;
        if self.scale {
            cx.weight(base, "gamma", &shape, &self.gamma)?;
        }
        if self.center {
            cx.weight(base, "beta", &shape, &self.beta)?;
        }
        Ok(())
    }

    /// `gamma · (x - mean) / √(variance + epsilon) + beta`, the weights under the shape `aligned`, which broadcasts with `x`.
    fn apply(&self, base: &Base, x: &Tensor, [mean, variance]: [&Tensor; 2], aligned: &[usize]) -> Result<Tensor> {
        let weight = |present, name| base.value_if(present, name)?.map(|w| w.reshape(aligned)).transpose();
        let factor = match weight(self.scale, "gamma")? {
            Some(gamma) => map1(&[variance, &gamma], |e| (&e[0] + self.epsilon).rsqrt() * &e[1])?,
            None => map1(&[variance], |e| (&e[0] + self.epsilon).rsqrt())?,
        };
        match weight(self.center, "beta")? {
            Some(beta) => map1(&[x, mean, &factor, &beta], |e| (&e[0] - &e[1]) * &e[2] + &e[3]),
            None => map1(&[x, mean, &factor], |e| (&e[0] - &e[1]) * &e[2]),
        }
    }
}

fn check_epsilon(base: &Base, epsilon: f64) -> Result<()> {
    if epsilon >= 0.0 && epsilon.is_finite() {
        return Ok(());
    }
    Err(Error::argument(format!("{}: epsilon", base.title()), "a number from 0", epsilon))
}

/// Mean and biased variance over `axes`, which stay with length 1.
fn moments(x: &Tensor, axes: &[isize]) -> Result<[Tensor; 2]> {
    let mean = x.mean(axes, true)?;
    let variance = map1(&[x, &mean], |e| (&e[0] - &e[1]).square())?.mean(axes, true)?;
    Ok([mean, variance])
}

/// A shape that is 1 everywhere but on `axes`.
fn only(shape: &Shape, axes: &[usize]) -> Vec<usize> {
    shape.iter().enumerate().map(|(axis, &n)| if axes.contains(&axis) { n } else { 1 }).collect()
}

/// `axes` as reductions take them.
fn signed(axes: impl IntoIterator<Item = usize>) -> Vec<isize> {
    axes.into_iter().map(|axis| axis as isize).collect()
}

/// Checks that a batch has the lengths along `axes` that the layer was built for.
fn check_axes(base: &Base, x: &Tensor, axes: &[usize], weight: &Shape) -> Result<()> {
    let lengths: Vec<usize> = axes.iter().filter_map(|&axis| x.shape().get(axis).copied()).collect();
    if lengths == weight[..] {
        return Ok(());
    }
    Err(Error::shape(base.title(), format!("{weight} along axes {axes:?}, which it was built for"), x.shape())
        .hint("give the model inputs of the shape it was built with, or make a new model"))
}

/// The builder methods of layers with a field `affine`.
macro_rules! affine_options {
    () => {
        /// What is added to the variance before its root. Default: 0.001.
        #[must_use]
        pub fn epsilon(mut self, epsilon: f64) -> Self {
            self.affine.epsilon = epsilon;
            self
        }

        /// Whether `beta` is added. Default: yes.
        #[must_use]
        pub fn center(mut self, center: bool) -> Self {
            self.affine.center = center;
            self
        }

        /// Whether `gamma` is multiplied with. Default: yes.
        #[must_use]
        pub fn scale(mut self, scale: bool) -> Self {
            self.affine.scale = scale;
            self
        }

        crate::layers::weight_options!(gamma: affine.gamma, gamma_initializer, gamma_regularizer, gamma_constraint);
        crate::layers::weight_options!(beta: affine.beta, beta_initializer, beta_regularizer, beta_constraint);
        crate::layers::named!();
    };
}
use affine_options;

#[cfg(test)]
mod tests;
