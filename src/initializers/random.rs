//! Initializers that draw every value from one distribution, whatever the shape.

use super::Initializer;
use crate::ops::random::host::Stream;
use crate::shape::Shape;

/// A normal distribution. Defaults: mean 0, standard deviation 0.05.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RandomNormal {
    /// The centre.
    pub mean: f32,
    /// The standard deviation.
    pub stddev: f32,
}

/// A uniform distribution over `minval..maxval`. Defaults: -0.05 and 0.05.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RandomUniform {
    /// The smallest value.
    pub minval: f32,
    /// What all values stay below.
    pub maxval: f32,
}

/// A normal distribution, redrawn where it falls beyond two standard deviations; what is left spreads 0.88 times as wide. Defaults: mean 0,
/// standard deviation 0.05.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TruncatedNormal {
    /// The centre.
    pub mean: f32,
    /// The standard deviation before the cut.
    pub stddev: f32,
}

impl Default for RandomNormal {
    fn default() -> RandomNormal {
        RandomNormal { mean: 0.0, stddev: 0.05 }
    }
}
impl Default for RandomUniform {
    fn default() -> RandomUniform {
        RandomUniform { minval: -0.05, maxval: 0.05 }
    }
}
impl Default for TruncatedNormal {
    fn default() -> TruncatedNormal {
        TruncatedNormal { mean: 0.0, stddev: 0.05 }
    }
}

impl Initializer for RandomNormal {
    fn values(&self, shape: &Shape, seed: u64, stream: u64) -> Vec<f32> {
        normals(shape.elements(), seed, stream).map(|z| self.mean + z * self.stddev).collect()
    }
}

impl Initializer for RandomUniform {
    fn values(&self, shape: &Shape, seed: u64, stream: u64) -> Vec<f32> {
        let numbers = Stream::new(seed, stream);
        let [low, high] = [f64::from(self.minval), f64::from(self.maxval)];
        let value = |i| (low + (high - low) * f64::from(numbers.uniform(i))) as f32;
        // Rounding may lift a value onto the end of the range, which does not belong to it.
        let last = self.maxval.next_down().max(self.minval);
        (0..shape.elements() as u64).map(|i| value(i).min(last)).collect()
    }
}

impl Initializer for TruncatedNormal {
    fn values(&self, shape: &Shape, seed: u64, stream: u64) -> Vec<f32> {
        let draws = draws(seed, stream);
        (0..shape.elements() as u64).map(|i| self.mean + truncated_normal(&draws, i) * self.stddev).collect()
    }
}

/// So many values of a standard normal distribution.
pub(super) fn normals(count: usize, seed: u64, stream: u64) -> impl Iterator<Item = f32> {
    let numbers = Stream::new(seed, stream);
    (0..count as u64).map(move |i| numbers.normal(i))
}

/// The first draw of every element, and those for elements that were rejected. One draw in 22 is: more than these are never needed.
fn draws(seed: u64, stream: u64) -> [Stream; 32] {
    // No model has 2³² weights tensors, so the upper half of the number is free.
    std::array::from_fn(|k| Stream::new(seed, stream | (k as u64) << 32))
}

/// Element `i` of a standard normal distribution cut at ±2.
fn truncated_normal(draws: &[Stream], i: u64) -> f32 {
    draws.iter().map(|draw| draw.normal(i)).find(|z| z.abs() <= 2.0).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initializers::moments;

    #[test]
    fn spread_and_ends() {
        let shape = Shape::from([300, 200]);
        // The standard deviation of a normal distribution cut at two of them is 0.8796 of it.
        let cases: [(&dyn Initializer, f64, f64, f64); 3] = [
            (&RandomNormal { mean: 1.0, stddev: 0.5 }, 1.0, 0.25, f64::INFINITY),
            (&TruncatedNormal { mean: -1.0, stddev: 0.5 }, -1.0, (0.5 * 0.879_625_661_f64).powi(2), 1.0),
            (&RandomUniform { minval: 2.0, maxval: 4.0 }, 3.0, 4.0 / 12.0, 1.0),
        ];
        for (rule, mean, variance, farthest) in cases {
            let values = rule.values(&shape, 5, 6);
            let (got_mean, got_variance) = moments(&values);
            assert!((got_mean - mean).abs() <= 0.01, "{rule:?}: mean {got_mean}");
            assert!((got_variance / variance - 1.0).abs() <= 0.02, "{rule:?}: variance {got_variance}");
            let far = values.iter().fold(0.0f64, |m, v| m.max((f64::from(*v) - mean).abs()));
            assert!(far <= farthest && far >= 0.98 * farthest.min(1.0), "{rule:?}: {far} from the mean");
        }
        // In f32, the largest draw of 1 and 2 rounds to 2.
        let values = RandomUniform { minval: 1.0, maxval: 1.0f32.next_up() }.values(&shape, 1, 1);
        assert!(values.iter().all(|v| *v == 1.0));
        assert_eq!(RandomNormal::default().stddev, 0.05);
        assert_eq!(RandomUniform::default(), RandomUniform { minval: -0.05, maxval: 0.05 });
    }
}
