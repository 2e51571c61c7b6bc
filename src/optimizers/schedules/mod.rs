//! Learning rates that follow the iteration count. They are computed on the device, in the step itself, so a replayed step follows them too.
//!
//! The count is a whole number, and whole-number arithmetic on it is exact on every device. Fractions are formed last.

mod cosine_decay;
mod cosine_decay_restarts;
mod exponential_decay;
mod inverse_time_decay;
mod piecewise_constant_decay;
mod polynomial_decay;

pub use cosine_decay::CosineDecay;
pub use cosine_decay_restarts::CosineDecayRestarts;
pub use exponential_decay::ExponentialDecay;
pub use inverse_time_decay::InverseTimeDecay;
pub use piecewise_constant_decay::PiecewiseConstantDecay;
pub use polynomial_decay::PolynomialDecay;

use crate::error::{Error, Result};
use crate::ops::pointwise::Expr;
use crate::shape::DType;

/// A learning rate as a function of the iteration count. Wherever an optimizer takes a number for its rate, it takes a schedule.
///
/// ```
/// use gradus::DType;
/// use gradus::ops::pointwise::Expr;
/// use gradus::optimizers::{Adam, schedules::LearningRateSchedule};
///
/// /// `rate / √(count + 1)`
/// struct InverseRoot(f64);
///
/// impl LearningRateSchedule for InverseRoot {
///     fn rate(&self, count: &Expr) -> Expr {
///         (count + 1.0).cast(DType::F32).rsqrt() * self.0
///     }
/// }
///
/// assert!((InverseRoot(0.1).at(3)? - 0.05).abs() < 1e-8);
/// let optimizer = Adam::new(InverseRoot(0.1));
/// # Ok::<(), gradus::Error>(())
/// ```
pub trait LearningRateSchedule: Send + Sync {
    /// The rate, an f32 of at least 0, after so many steps (`u32`; 0 in the first one). With gradient accumulation, every call of `apply` counts.
    fn rate(&self, count: &Expr) -> Expr;

    /// Whether the arguments are in their ranges; asked when an optimizer is built. Default: they are.
    ///
    /// # Errors
    /// [`Error::Argument`] for one that is not.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// The rate after so many steps, computed on the CPU.
    ///
    /// # Errors
    /// What [`LearningRateSchedule::check`] returns.
    #[cfg(not(target_arch = "wasm32"))]
    fn at(&self, count: u32) -> Result<f64> {
        self.check()?;
        let count = crate::Tensor::scalar(&crate::Device::cpu(), count)?;
        crate::ops::pointwise::map1(&[&count], |e| self.rate(&e[0]))?.item()
    }
}

impl LearningRateSchedule for Box<dyn LearningRateSchedule> {
    fn rate(&self, count: &Expr) -> Expr {
        (**self).rate(count)
    }
    fn check(&self) -> Result<()> {
        (**self).check()
    }
}

/// `count` whole periods of `steps` steps: how many are over.
fn periods(count: &Expr, steps: u32) -> Expr {
    // A step count of 0 is refused before anything runs.
    count / f64::from(steps.max(1))
}

/// `count / steps` as an f32; with `staircase` rounded down.
fn progress(count: &Expr, steps: u32, staircase: bool) -> Expr {
    let whole = periods(count, steps);
    if staircase {
        return whole.cast(DType::F32);
    }
    // The remainder first: a count of many digits would round.
    let rest = count - &whole * f64::from(steps.max(1));
    whole.cast(DType::F32) + rest.cast(DType::F32) / f64::from(steps.max(1))
}

/// `½(1 + cos(π · done))` for a part that is done, from 0 to 1, and the part that is left, `1 - done`.
///
/// By the series of the sine below π/4, for the cosine of a GPU may be wrong in its fourth digit.
fn half_cosine(done: &Expr, left: &Expr) -> Expr {
    let x = done.min(left) * std::f64::consts::FRAC_PI_2;
    let square = x.square();
    let term = |k: u32| f64::from(2 * k) * f64::from(2 * k + 1);
    let series = (1..=6).rev().fold(x.number(1.0), |sum, k| 1.0 - sum * &square / term(k));
    let sine = (x * series).square();
    done.le(left).select(&(1.0 - &sine), &sine)
}

fn some_steps(schedule: &str, what: &str, steps: u32) -> Result<()> {
    if steps > 0 { Ok(()) } else { Err(Error::argument(format!("{schedule}: {what}"), "at least 1", steps)) }
}

fn at_least_0(schedule: &str, what: &str, value: f64) -> Result<()> {
    if value >= 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::argument(format!("{schedule}: {what}"), "a number of at least 0", value))
}

#[cfg(test)]
mod tests;
