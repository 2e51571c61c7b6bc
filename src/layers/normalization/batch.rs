//! Batch normalization.

use super::super::{Base, Build, Call, Layer, without_batch};
use super::{Affine, Axes, affine_options, check_axes, moments, only, signed};
use crate::error::{Error, Result};
use crate::initializers::{InitializerArg, Ones, Zeros};
use crate::ops::pointwise::{map, map1};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Brings each channel to mean 0 and variance 1: `y = gamma · (x - mean) / √(variance + epsilon) + beta`. Outputs have the inputs' shape.
///
/// In training, mean and variance are those of the channel in this batch, the variance without Bessel's correction; rows that only fill up the
/// last batch do not count. Each batch moves `moving = moving · momentum + batch · (1 - momentum)`. At inference, and in training when the
/// layer is frozen, the moving ones are used. Weights, each of the channels' length: gamma, beta, moving mean, moving variance. Defaults: the
/// last axis, momentum 0.99, epsilon 0.001, gamma ones, beta zeros, moving mean zeros, moving variance ones. (Ioffe and Szegedy 2015; the
/// moving variance is as biased as Keras's.)
#[derive(Clone)]
pub struct BatchNormalization {
    base: Base,
    axis: Axes,
    momentum: f64,
    affine: Affine,
    moving_mean: InitializerArg,
    moving_variance: InitializerArg,
}

impl Default for BatchNormalization {
    fn default() -> BatchNormalization {
        BatchNormalization::new()
    }
}

impl BatchNormalization {
    /// Over all axes but the last, the channels.
    pub fn new() -> BatchNormalization {
        BatchNormalization {
            base: Base::keeping_f32("BatchNormalization"),
            axis: Axes::from(-1),
            momentum: 0.99,
            affine: Affine::new(),
            moving_mean: InitializerArg::from(Zeros),
            moving_variance: InitializerArg::from(Ones),
        }
    }

    /// The axis of the channels. Default: the last.
    #[must_use]
    pub fn axis(mut self, axis: isize) -> BatchNormalization {
        self.axis = Axes::from(axis);
        self
    }

    /// How much of the moving mean and variance a batch leaves. Default: 0.99.
    #[must_use]
    pub fn momentum(mut self, momentum: f64) -> BatchNormalization {
        self.momentum = momentum;
        self
    }

    /// What the moving mean starts as. Default: zeros.
    #[must_use]
    pub fn moving_mean_initializer(mut self, initializer: impl Into<InitializerArg>) -> BatchNormalization {
        self.moving_mean = initializer.into();
        self
    }

    /// What the moving variance starts as. Default: ones.
    #[must_use]
    pub fn moving_variance_initializer(mut self, initializer: impl Into<InitializerArg>) -> BatchNormalization {
        self.moving_variance = initializer.into();
        self
    }

    affine_options!();

    /// Moves the moving statistics towards those of a batch.
    fn track(&self, [mean, variance]: [&Tensor; 2]) -> Result<()> {
        let names = ["moving_mean", "moving_variance"];
        let [old_mean, old_variance] = [self.base.value(names[0])?, self.base.value(names[1])?];
        let (mean, variance) = (mean.reshape(old_mean.shape())?, variance.reshape(old_mean.shape())?);
        let moved = map(&[&old_mean, &old_variance, &mean, &variance], |e| {
            let moved = |old: usize, new: usize| &e[old] * self.momentum + &e[new] * (1.0 - self.momentum);
            vec![moved(0, 2), moved(1, 3)]
        })?;
        names.iter().zip(&moved).try_for_each(|(name, value)| self.base.assign(name, value))
    }
}

impl Layer for BatchNormalization {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::argument(format!("{}: momentum", self.base.title()), "a number from 0 to 1", self.momentum));
        }
        let axis = self.axis.of(&self.base, input)?[0];
        let channels = [input[axis - 1]];
        self.affine.build(&self.base, channels, cx)?;
        cx.state(&self.base, "moving_mean", channels, self.moving_mean.clone())?;
        cx.state(&self.base, "moving_variance", channels, self.moving_variance.clone())
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        let axes = self.axis.of(&self.base, &without_batch(&self.base, x)?)?;
        let [moving_mean, moving_variance] = [self.base.value("moving_mean")?, self.base.value("moving_variance")?];
        check_axes(&self.base, x, &axes, moving_mean.shape())?;
        let aligned = only(x.shape(), &axes);
        if !cx.training || !self.base.trainable() {
            let (mean, variance) = (moving_mean.reshape(&aligned[..])?, moving_variance.reshape(&aligned[..])?);
            return self.affine.apply(&self.base, x, [&mean, &variance], &aligned);
        }
        let others = signed((0..x.rank()).filter(|axis| !axes.contains(axis)));
        let [mean, variance] = match cx.valid() {
            Some(valid) => moments_of_valid(x, valid, &others)?,
            None => moments(x, &others)?,
        };
        self.track([&mean, &variance])?;
        self.affine.apply(&self.base, x, [&mean, &variance], &aligned)
    }
}

/// [`moments`] of the samples that `valid` (`[n]`) does not call filling. `axes` begin with the batch.
fn moments_of_valid(x: &Tensor, valid: &Tensor, axes: &[isize]) -> Result<[Tensor; 2]> {
    let valid = valid.reshape(only(x.shape(), &[0]))?;
    let cells: usize = axes[1..].iter().map(|&axis| x.shape()[axis as usize]).product();
    let samples = valid.sum_all()?;
    // What fills is left out by a choice, not by a factor of 0, which would not stop an infinity.
    let mean_of = |kept: Tensor| {
        let sum = kept.sum(axes, true)?;
        map1(&[&sum, &samples], |e| &e[0] / (&e[1] * cells as f64).max(&e[1].number(1.0)))
    };
    let mean = mean_of(map1(&[x, &valid], |e| e[1].ne(&e[1].number(0.0)).select(&e[0], &e[0].number(0.0)))?)?;
    let squares = map1(&[x, &mean, &valid], |e| {
        let square = (&e[0] - &e[1]).square();
        e[2].ne(&e[2].number(0.0)).select(&square, &square.number(0.0))
    })?;
    let variance = mean_of(squares)?;
    Ok([mean, variance])
}
