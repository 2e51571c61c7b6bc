//! Initializers whose spread follows from the number of inputs and outputs: Glorot and Bengio 2010, He et al. 2015, LeCun et al. 1998,
//! with the constants of Keras's `VarianceScaling`.

use super::{Initializer, RandomNormal, TruncatedNormal, fans};
use crate::ops::random::host::Stream;
use crate::shape::Shape;

/// The standard deviation of a standard normal that is cut at ±2: a truncated normal is widened by it, to keep the asked variance.
const TRUNCATED_STDDEV: f64 = 0.879_625_661_034_239_8;

/// Which number the variance is divided by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FanMode {
    /// The inputs of a unit.
    In,
    /// The outputs of an input.
    Out,
    /// Half their sum.
    Average,
}

/// The shape of the distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Distribution {
    /// Between `±sqrt(3 · variance)`.
    Uniform,
    /// A normal distribution, redrawn where it falls beyond two standard deviations.
    TruncatedNormal,
    /// A normal distribution, uncut.
    UntruncatedNormal,
}

/// Values of mean 0 and variance `scale / n`, where `n` is the fan that `mode` names.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct VarianceScaling {
    /// Positive. Default: 1.
    pub scale: f64,
    /// Default: the inputs.
    pub mode: FanMode,
    /// Default: a truncated normal.
    pub distribution: Distribution,
}

impl Default for VarianceScaling {
    fn default() -> VarianceScaling {
        VarianceScaling { scale: 1.0, mode: FanMode::In, distribution: Distribution::TruncatedNormal }
    }
}

impl VarianceScaling {
    /// No value is farther from 0 than this; infinite where the distribution has no end.
    pub fn limit(&self, shape: &Shape) -> f64 {
        match self.distribution {
            Distribution::Uniform => (3.0 * self.variance(shape)).sqrt(),
            Distribution::TruncatedNormal => 2.0 * self.variance(shape).sqrt() / TRUNCATED_STDDEV,
            Distribution::UntruncatedNormal => f64::INFINITY,
        }
    }

    fn variance(&self, shape: &Shape) -> f64 {
        let (fan_in, fan_out) = fans(shape);
        let n = match self.mode {
            FanMode::In => fan_in as f64,
            FanMode::Out => fan_out as f64,
            FanMode::Average => (fan_in + fan_out) as f64 / 2.0,
        };
        self.scale / n.max(1.0)
    }
}

impl Initializer for VarianceScaling {
    fn values(&self, shape: &Shape, seed: u64, stream: u64) -> Vec<f32> {
        match self.distribution {
            Distribution::Uniform => {
                let (numbers, limit) = (Stream::new(seed, stream), self.limit(shape) as f32);
                (0..shape.elements() as u64).map(|i| (2.0 * numbers.uniform(i) - 1.0) * limit).collect()
            }
            Distribution::TruncatedNormal => {
                let stddev = (self.limit(shape) / 2.0) as f32;
                TruncatedNormal { mean: 0.0, stddev }.values(shape, seed, stream)
            }
            Distribution::UntruncatedNormal => {
                let stddev = self.variance(shape).sqrt() as f32;
                RandomNormal { mean: 0.0, stddev }.values(shape, seed, stream)
            }
        }
    }
}

macro_rules! scaled {
    ($($(#[$doc:meta])* $name:ident = $scale:literal, $mode:ident, $distribution:ident;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name;

        impl $name {
            /// The rule behind the name.
            pub const RULE: VarianceScaling =
                VarianceScaling { scale: $scale, mode: FanMode::$mode, distribution: Distribution::$distribution };
        }

        impl Initializer for $name {
            fn values(&self, shape: &Shape, seed: u64, stream: u64) -> Vec<f32> {
                Self::RULE.values(shape, seed, stream)
            }
        }
    )* };
}

scaled! {
    /// Uniform within `±sqrt(6 / (fan_in + fan_out))`: the default of kernels.
    GlorotUniform = 1.0, Average, Uniform;
    /// Truncated normal of variance `2 / (fan_in + fan_out)`.
    GlorotNormal = 1.0, Average, TruncatedNormal;
    /// Uniform within `±sqrt(6 / fan_in)`.
    HeUniform = 2.0, In, Uniform;
    /// Truncated normal of variance `2 / fan_in`.
    HeNormal = 2.0, In, TruncatedNormal;
    /// Uniform within `±sqrt(3 / fan_in)`.
    LecunUniform = 1.0, In, Uniform;
    /// Truncated normal of variance `1 / fan_in`.
    LecunNormal = 1.0, In, TruncatedNormal;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initializers::moments;

    /// The limits of Keras's default kernels in the two models of the course.
    #[test]
    fn glorot_limits() {
        let cases: [(&[usize], f64); 8] = [
            (&[3, 3, 1, 32], 0.142_133_811),
            (&[3, 3, 32, 64], 0.083_333_333),
            (&[36_864, 128], 0.012_735_668),
            (&[128, 10], 0.208_514_414),
            (&[3, 3, 3, 16], 0.187_317_162),
            (&[3, 3, 16, 32], 0.117_851_130),
            (&[1152, 256], 0.065_279_121),
            (&[256, 100], 0.129_822_697),
        ];
        for (shape, limit) in cases {
            let got = GlorotUniform::RULE.limit(&Shape::from(shape));
            assert!((got - limit).abs() <= 1e-9, "{shape:?}: {got} instead of {limit}");
        }
    }

    #[test]
    fn uniform_fills_its_range_and_no_more() {
        let shape = Shape::from([128, 256]);
        for rule in [GlorotUniform::RULE, HeUniform::RULE, LecunUniform::RULE] {
            let values = rule.values(&shape, 3, 5);
            let limit = rule.limit(&shape);
            let largest = values.iter().fold(0.0f64, |m, &v| m.max(f64::from(v).abs()));
            assert!(largest <= limit * (1.0 + 1e-6) && largest >= 0.999 * limit, "{rule:?}: {largest} of {limit}");
            let (mean, variance) = moments(&values);
            assert!(mean.abs() <= 0.02 * limit, "{rule:?}: mean {mean}");
            assert!((variance / (limit * limit / 3.0) - 1.0).abs() <= 0.02, "{rule:?}: variance {variance}");
        }
    }

    #[test]
    fn truncated_normal_keeps_the_variance_and_the_cut() {
        let shape = Shape::from([200, 300]);
        for (rule, variance) in [(GlorotNormal::RULE, 2.0_f64 / 500.0), (HeNormal::RULE, 2.0 / 200.0), (LecunNormal::RULE, 1.0 / 200.0)] {
            let values = rule.values(&shape, 11, 0);
            let (mean, got) = moments(&values);
            assert!(mean.abs() <= 0.02 * variance.sqrt(), "{rule:?}: mean {mean}");
            assert!((got / variance - 1.0).abs() <= 0.02, "{rule:?}: variance {got} instead of {variance}");
            let cut = 2.0 * variance.sqrt() / TRUNCATED_STDDEV;
            let largest = values.iter().fold(0.0f64, |m, &v| m.max(f64::from(v).abs()));
            assert!(largest <= cut * (1.0 + 1e-6) && largest >= 0.98 * cut, "{rule:?}: {largest} of {cut}");
            // A clipped normal would put 4.6 % of its values onto the cut.
            let at_cut = values.iter().filter(|v| f64::from(v.abs()) >= 0.9999 * cut).count();
            assert!(at_cut <= 60, "{rule:?}: {at_cut} values at the cut");
        }
    }

    #[test]
    fn an_uncut_normal_keeps_the_variance() {
        let rule = VarianceScaling { scale: 2.0, mode: FanMode::Out, distribution: Distribution::UntruncatedNormal };
        let values = rule.values(&Shape::from([200, 300]), 11, 0);
        let (mean, variance) = moments(&values);
        assert!(mean.abs() <= 1e-3 && (variance * 150.0 - 1.0).abs() <= 0.02, "mean {mean}, variance {variance}");
        assert!(values.iter().any(|v| f64::from(v.abs()) > 3.5 * variance.sqrt()));
    }

    #[test]
    fn seeds_and_streams_differ_and_repeat() {
        let shape = Shape::from([4, 5]);
        let values = |seed, stream| GlorotUniform.values(&shape, seed, stream);
        assert_eq!(values(1, 2), values(1, 2));
        assert_ne!(values(1, 2), values(1, 3));
        assert_ne!(values(1, 2), values(2, 2));
    }
}
