//! Group normalization.

use super::super::{Base, Build, Call, Layer, without_batch};
use super::{Affine, Axes, affine_options, moments, only, signed};
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Cuts the channels of each sample into groups and brings each group to mean 0 and variance 1 over its channels and all positions:
/// `y = gamma · (x - mean) / √(variance + epsilon) + beta`. Outputs have the inputs' shape; gamma and beta have the channels' length.
/// Defaults: 32 groups, channels last, epsilon 0.001, gamma ones, beta zeros. The variance is without Bessel's correction. (Wu and He 2018.)
#[derive(Clone)]
pub struct GroupNormalization {
    base: Base,
    groups: Option<usize>,
    axis: Axes,
    affine: Affine,
}

impl Default for GroupNormalization {
    fn default() -> GroupNormalization {
        GroupNormalization::new(32)
    }
}

impl GroupNormalization {
    /// So many groups, which the number of channels is a multiple of.
    pub fn new(groups: usize) -> GroupNormalization {
        GroupNormalization { groups: Some(groups), ..GroupNormalization::each_channel() }
    }

    /// Every channel is a group of its own (instance normalization; Keras's `groups=-1`).
    pub fn each_channel() -> GroupNormalization {
        GroupNormalization { base: Base::keeping_f32("GroupNormalization"), groups: None, axis: Axes::from(-1), affine: Affine::new() }
    }

    /// The axis of the channels. Default: the last.
    #[must_use]
    pub fn axis(mut self, axis: isize) -> GroupNormalization {
        self.axis = Axes::from(axis);
        self
    }

    affine_options!();

    /// The axis of the channels in a batch, and the number of groups and of channels in each.
    fn groups(&self, sample: &Shape) -> Result<(usize, [usize; 2])> {
        let axis = self.axis.of(&self.base, sample)?[0];
        let channels = sample[axis - 1];
        let groups = self.groups.unwrap_or(channels);
        if groups == 0 || !channels.is_multiple_of(groups) {
            let want = format!("a number that {channels} channels are a multiple of");
            return Err(Error::argument(format!("{}: groups", self.base.title()), want, groups));
        }
        Ok((axis, [groups, channels / groups]))
    }
}

impl Layer for GroupNormalization {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        let (axis, _) = self.groups(input)?;
        self.affine.build(&self.base, [input[axis - 1]], cx)
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let (axis, grouping) = self.groups(&without_batch(&self.base, x)?)?;
        let shape = Shape::from([&x.shape()[..axis], &grouping, &x.shape()[axis + 1..]].concat());
        let cut = x.reshape(&shape)?;
        let [mean, variance] = moments(&cut, &signed((1..shape.rank()).filter(|a| *a != axis)))?;
        self.affine.apply(&self.base, &cut, [&mean, &variance], &only(&shape, &[axis, axis + 1]))?.reshape(x.shape())
    }
}
