//! Inputs brought to mean 0 and variance 1 by numbers that are known before training.

use crate::error::{Error, Result};
use crate::initializers::Initializer;
use crate::layers::{Base, Build, Call, Layer, Numbers, named};
use crate::ops::pointwise::map1;
use crate::shape::{Shape, axis_index};
use crate::tensor::{Tensor, lock};
use crate::train::{IntoSamples, Samples};
use std::sync::{Arc, Mutex};

/// What the square root of a variance is at least: Keras's `epsilon`.
const EPSILON: f64 = 1e-7;

/// `y = (x - mean) / max(√variance, 1e-7)`, with a mean and a variance for each place of the kept axes. Outputs have the inputs' shape. Default:
/// the last axis is kept.
///
/// Mean and variance are given, or taken from data by [`Normalization::adapt`]; until then they are 0 and 1. They are weights that are not trained:
/// `mean` and `variance`, and a `count` that Keras's layer has and does not use; given ones are no weights.
#[derive(Clone)]
pub struct Normalization {
    base: Base,
    axes: Vec<isize>,
    given: Option<[Numbers; 2]>,
    invert: bool,
    adapted: Arc<Mutex<Option<Statistics>>>,
}

impl Default for Normalization {
    fn default() -> Normalization {
        Normalization::new()
    }
}

impl Normalization {
    /// Over the last axis, to be adapted.
    pub fn new() -> Normalization {
        Normalization { base: Base::keeping_f32("Normalization"), axes: vec![-1], given: None, invert: false, adapted: Arc::default() }
    }

    /// The axes whose places have numbers of their own: the first axis of a sample is 1, negative ones count from the back; without any
    /// (`axes([])`) there is one number for all. Default: the last.
    #[must_use]
    pub fn axes(mut self, axes: impl Into<Vec<isize>>) -> Normalization {
        self.axes = axes.into();
        self
    }

    /// [`Normalization::axes`] with one.
    #[must_use]
    pub fn axis(self, axis: isize) -> Normalization {
        self.axes([axis])
    }

    /// The numbers themselves: one for all, or one for each place of the kept axes.
    #[must_use]
    pub fn mean_and_variance(mut self, mean: impl Into<Numbers>, variance: impl Into<Numbers>) -> Normalization {
        self.given = Some([mean.into(), variance.into()]);
        self
    }

    /// Whether the layer undoes it: `y = x · max(√variance, 1e-7) + mean`. Default: no.
    #[must_use]
    pub fn invert(mut self, invert: bool) -> Normalization {
        self.invert = invert;
        self
    }

    named!();

    /// Takes mean and (biased) variance from data, before or after the layer is built.
    ///
    /// # Errors
    /// [`Error::Argument`] if they were given, or for axes that the data do not have; [`Error::Shape`] without data, or if the layer is built
    /// for another shape; as [`IntoSamples::into_samples`].
    pub fn adapt(&self, data: impl IntoSamples) -> Result<()> {
        if self.given.is_some() {
            return Err(Error::argument(format!("{}: adapt", self.base.title()), "a layer without mean_and_variance", "one with them"));
        }
        let samples = data.into_samples()?;
        let kept = self.kept(&samples.sample_shape())?;
        let statistics = statistics(&self.base, &samples, &kept)?;
        for variable in self.base.variables() {
            let name = variable.name();
            if let Some(values) = statistics.of(name.rsplit('/').next().unwrap_or_default()) {
                let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
                variable.assign(&Tensor::new(variable.device(), statistics.shape.clone(), &values)?)?;
            }
        }
        *lock(&self.adapted) = Some(statistics);
        Ok(())
    }

    /// The kept axes of a sample, counted from its first as 0, in order.
    fn kept(&self, sample: &[usize]) -> Result<Vec<usize>> {
        let mut kept = Vec::new();
        for &axis in &self.axes {
            match axis_index(axis, sample.len() + 1, "").ok().and_then(|index| index.checked_sub(1)) {
                Some(index) if !kept.contains(&index) => kept.push(index),
                _ => {
                    let want = format!("axes from 1 to {0}, or from -{0} to -1, each once, for samples of shape {sample:?}", sample.len());
                    return Err(Error::argument(format!("{}: axis", self.base.title()), want, format!("{:?}", self.axes)));
                }
            }
        }
        kept.sort_unstable();
        Ok(kept)
    }
}

/// The shape of a sample's statistics: 1 where an axis is not kept.
fn stretched(sample: &[usize], kept: &[usize]) -> Vec<usize> {
    sample.iter().enumerate().map(|(axis, &n)| if kept.contains(&axis) { n } else { 1 }).collect()
}

/// Mean and variance for each place of the kept axes.
#[derive(Debug)]
struct Statistics {
    shape: Shape,
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Statistics {
    fn of(&self, weight: &str) -> Option<&[f64]> {
        match weight {
            "mean" => Some(&self.mean),
            "variance" => Some(&self.variance),
            _ => None,
        }
    }
}

/// In f64 and in two passes, so that no digits are lost where the mean is large.
fn statistics(base: &Base, samples: &Samples, kept: &[usize]) -> Result<Statistics> {
    let sample = samples.sample_shape();
    let shape: Shape = kept.iter().map(|&axis| sample[axis]).collect::<Vec<_>>().into();
    let places = shape.elements();
    let count = (samples.count() * sample.elements()).checked_div(places).unwrap_or(0);
    if count == 0 {
        return Err(Error::shape(format!("{}: adapt", base.title()), "at least one number for each place", &samples.spec().shape));
    }
    // Where each number of a sample belongs.
    let strides = Shape::from(stretched(&sample, kept)).broadcast_strides(&sample);
    let place = |i: usize| sample.strides().iter().zip(&sample[..]).zip(&strides).map(|((s, n), to)| i / s % n * to).sum::<usize>();
    let places_of_sample: Vec<usize> = (0..sample.elements()).map(place).collect();
    let average = |of: &dyn Fn(f64, usize) -> f64| {
        let mut sums = vec![0.0; places];
        for (number, &place) in samples.numbers().zip(places_of_sample.iter().cycle()) {
            sums[place] += of(number, place);
        }
        sums.into_iter().map(|sum| sum / count as f64).collect::<Vec<f64>>()
    };
    let mean = average(&|number, _| number);
    let variance = average(&|number, place| (number - mean[place]).powi(2));
    Ok(Statistics { shape, mean, variance })
}

/// A weight that starts as these numbers.
#[derive(Debug)]
struct Values(Vec<f32>);

impl Initializer for Values {
    fn values(&self, _shape: &Shape, _seed: u64, _stream: u64) -> Vec<f32> {
        self.0.clone()
    }
}

impl Layer for Normalization {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        let kept = self.kept(input)?;
        let shape: Shape = kept.iter().map(|&axis| input[axis]).collect::<Vec<_>>().into();
        if let Some(given) = &self.given {
            for (what, numbers) in ["mean", "variance"].into_iter().zip(given) {
                if !numbers.single && numbers.values.len() != shape.elements() {
                    let want = format!("one number, or one for each place of {shape}");
                    return Err(Error::argument(
                        format!("{}: {what}", self.base.title()),
                        want,
                        format!("{} numbers", numbers.values.len()),
                    ));
                }
            }
            return Ok(());
        }
        let adapted = lock(&self.adapted);
        for (name, start) in [("mean", 0.0), ("variance", 1.0)] {
            let values = match adapted.as_ref().and_then(|s| s.of(name).filter(|_| s.shape == shape)) {
                Some(values) => values.iter().map(|v| *v as f32).collect(),
                None if adapted.is_some() => {
                    let was = adapted.as_ref().map_or_else(String::new, |s| s.shape.to_string());
                    return Err(Error::shape(self.base.title(), format!("statistics of shape {shape}"), was).hint("adapt it to such data"));
                }
                None => vec![start; shape.elements()],
            };
            cx.state(&self.base, name, shape.clone(), Values(values))?;
        }
        cx.state(&self.base, "count", [], "zeros")
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        let sample = x.shape().get(1..).unwrap_or(&[]);
        let shape = stretched(sample, &self.kept(sample)?);
        let [mean, variance] = match &self.given {
            Some([mean, variance]) => [mean.tensor(x, &shape)?, variance.tensor(x, &shape)?],
            None => [self.base.value("mean")?.reshape(shape.clone())?, self.base.value("variance")?.reshape(shape)?],
        };
        map1(&[x, &mean, &variance], |e| {
            let deviation = e[2].sqrt().max(&e[2].number(EPSILON));
            if self.invert { &e[0] * deviation + &e[1] } else { (&e[0] - &e[1]) / deviation }
        })
    }
}
