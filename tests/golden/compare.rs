//! Tolerances, which follow from how a number was computed and how many digits of it the file has.

use gradus::testing::close;
use gradus::{DType, Device, Result, Tensor};

/// Where the crate computes, and in which type.
#[derive(Clone)]
pub struct Backend {
    pub device: Device,
    pub dtype: DType,
}

impl Backend {
    pub fn name(&self) -> String {
        format!("{} in {}", self.device, self.dtype)
    }
}

/// The CPU in f64 and f32, and the GPU if there is one.
pub fn backends(what: &str) -> Vec<Backend> {
    let mut all = vec![Backend { device: Device::cpu(), dtype: DType::F64 }];
    all.extend(single_backends(what));
    all
}

/// The CPU and the GPU in f32.
pub fn single_backends(what: &str) -> Vec<Backend> {
    let devices = [Some(Device::cpu()), gradus::testing::gpu(what)];
    devices.into_iter().flatten().map(|device| Backend { device, dtype: DType::F32 }).collect()
}

/// How exact numbers of a file are, relative to each number.
#[derive(Clone, Copy)]
pub enum Digits {
    /// Nine digits of an f64.
    Nine,
    /// Six digits of an f64.
    Six,
    /// An f32, and the rounding of the program that made it.
    Single,
}

impl Digits {
    fn error(self) -> f64 {
        match self {
            // Half a unit in the last digit of 1.00…, with some room for the last bits of another libm.
            Digits::Nine => 1e-8,
            Digits::Six => 6e-6,
            Digits::Single => 2e-6,
        }
    }
}

/// The rounding of the crate's own computation, relative to the largest number that was added up: that of a sum grows with the root of its
/// length; 16 units in the last place are for what each term went through.
fn rounding(dtype: DType, terms: usize) -> f64 {
    let epsilon = if dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    16.0 * epsilon * (terms.max(1) as f64).sqrt()
}

/// A GPU may take numbers below this for 0.
const FLUSHED: f64 = f32::MIN_POSITIVE as f64;

/// What a result is compared with.
pub struct Want<'a> {
    pub values: &'a [f64],
    pub digits: Digits,
    /// How many numbers are added up for one result.
    pub terms: usize,
    /// Numbers of the size of those that were added up: a sum may be much smaller than its terms.
    pub beside: &'a [f64],
    /// Numbers above this are compared by their own size, smaller ones by this one. `None`: all by the size of the largest.
    pub each_above: Option<f64>,
}

impl Want<'_> {
    /// # Errors
    /// Words for the worst difference. A NaN or a difference in length is one.
    pub fn compare(&self, got: &[f64], dtype: DType) -> Result<(), String> {
        let largest = |values: &[f64]| values.iter().filter(|v| v.is_finite()).fold(0.0f64, |m, v| m.max(v.abs()));
        let tolerance = rounding(dtype, self.terms) + self.digits.error();
        // Relative to finite numbers only: a part of infinity would allow anything.
        let Some(floor) = self.each_above else {
            let scale = largest(self.values).max(largest(self.beside));
            return close(got, self.values, (scale * tolerance).max(FLUSHED), 0.0);
        };
        if got.len() != self.values.len() {
            return Err(format!("{} values, expected {}", got.len(), self.values.len()));
        }
        for (i, (got, want)) in got.iter().zip(self.values).enumerate() {
            let scale = if want.is_finite() { want.abs().max(floor) } else { 1.0 };
            close(&[*got], &[*want], (scale * tolerance).max(FLUSHED), 0.0).map_err(|e| format!("at {i}: {e}"))?;
        }
        Ok(())
    }
}

/// Any tensor's elements as f64.
pub fn read(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(match tensor.dtype() {
        DType::F32 => tensor.to_vec::<f32>()?.into_iter().map(f64::from).collect(),
        DType::F16 => tensor.to_vec::<gradus::f16>()?.into_iter().map(f64::from).collect(),
        DType::F64 => tensor.to_vec::<f64>()?,
        DType::U32 => tensor.to_vec::<u32>()?.into_iter().map(f64::from).collect(),
        DType::I32 => tensor.to_vec::<i32>()?.into_iter().map(f64::from).collect(),
        DType::U8 => tensor.to_vec::<u8>()?.into_iter().map(f64::from).collect(),
    })
}

/// Collects what failed, so that one run tells all of it.
#[derive(Default)]
pub struct Failures(Vec<String>);

impl Failures {
    pub fn note(&mut self, what: impl std::fmt::Display, outcome: Result<(), String>) {
        if let Err(message) = outcome {
            self.0.push(format!("{what}: {message}"));
        }
    }

    /// # Panics
    /// If anything failed.
    pub fn finish(self) {
        assert!(self.0.is_empty(), "{} comparisons failed:\n{}", self.0.len(), self.0.join("\n"));
    }
}

mod tests {
    use super::{Digits, Want};
    use gradus::DType;

    #[test]
    fn doubt_fails() {
        for each_above in [None, Some(1.0)] {
            let want = Want { values: &[1.0, -2.0, f64::INFINITY], digits: Digits::Nine, terms: 1, beside: &[], each_above };
            let compare = |got: &[f64]| want.compare(got, DType::F32);
            assert!(compare(&[1.0 + 1e-6, -2.0, f64::INFINITY]).is_ok());
            assert!(compare(&[1.0 + 1e-5, -2.0, f64::INFINITY]).is_err());
            assert!(compare(&[f64::NAN, -2.0, f64::INFINITY]).is_err());
            assert!(compare(&[1.0, -2.0, 1e300]).is_err());
            assert!(compare(&[1.0, -2.0, f64::NEG_INFINITY]).is_err());
            assert!(compare(&[1.0, -2.0]).is_err());
            assert!(want.compare(&[1.0 + 3e-8, -2.0, f64::INFINITY], DType::F64).is_err());
        }
    }

    #[test]
    fn small_numbers_count_by_themselves_or_beside_large_ones() {
        let want = |each_above| Want { values: &[1e-6, 1.0], digits: Digits::Nine, terms: 1, beside: &[], each_above };
        assert!(want(None).compare(&[1.5e-6, 1.0], DType::F32).is_ok());
        assert!(want(Some(1e-9)).compare(&[1.5e-6, 1.0], DType::F32).is_err());
    }
}
