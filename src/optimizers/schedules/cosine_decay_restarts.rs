//! Cosine decay that begins again.

use super::{LearningRateSchedule, at_least_0, half_cosine, periods, some_steps};
use crate::error::{Error, Result};
use crate::ops::pointwise::Expr;
use crate::optimizers::options::setters;
use crate::shape::DType;

/// [`CosineDecay`](super::CosineDecay) that begins again whenever it has ended (Loshchilov and Hutter 2017), each time `t_mul` times as long and from
/// `m_mul` times as high: `initial · ((1 - alpha) · ½ m_mulⁱ (1 + cos(π · part of period i)) + alpha)`. Defaults: t_mul 2, m_mul 1, alpha 0.
pub struct CosineDecayRestarts {
    initial: f64,
    first_decay_steps: u32,
    t_mul: f64,
    m_mul: f64,
    alpha: f64,
}

/// A period has a place in the expression: more of them would make it slow.
const MOST_PERIODS: usize = 200;

/// Counts to which periods are laid out; an f32 tells no more apart.
const LAST_COUNT: f64 = 16_777_216.0;

impl CosineDecayRestarts {
    /// From this rate, with a first period of so many steps.
    pub fn new(initial_learning_rate: f64, first_decay_steps: u32) -> CosineDecayRestarts {
        CosineDecayRestarts { initial: initial_learning_rate, first_decay_steps, t_mul: 2.0, m_mul: 1.0, alpha: 0.0 }
    }

    setters! {
        /// How much longer each period is than the one before; at least 1. Default: 2.
        t_mul = t_mul: f64;
        /// How much higher each period begins than the one before. Default: 1.
        m_mul = m_mul: f64;
        /// The part of the rate that is left at the end of a period. Default: 0.
        alpha = alpha: f64;
    }

    /// Where each period starts, and its length.
    fn periods(&self) -> Vec<(f64, f64)> {
        let mut periods = vec![(0.0, f64::from(self.first_decay_steps.max(1)))];
        while let Some(&(start, length)) = periods.last()
            && start + length < LAST_COUNT
            && periods.len() <= MOST_PERIODS
        {
            periods.push((start + length, length * self.t_mul));
        }
        periods
    }

    /// The number of the present period and the parts of it that are done and left, all f32.
    fn place(&self, count: &Expr) -> [Expr; 3] {
        if self.t_mul == 1.0 {
            let number = periods(count, self.first_decay_steps);
            let done = count - &number * f64::from(self.first_decay_steps.max(1));
            let left = done.number(f64::from(self.first_decay_steps)) - &done;
            let part = |steps: Expr| steps.cast(DType::F32) / f64::from(self.first_decay_steps.max(1));
            return [number.cast(DType::F32), part(done), part(left)];
        }
        let periods = self.periods();
        let float = |value: f64| count.number(value).cast(DType::F32);
        let [mut number, mut start, mut length] = [float(0.0), float(0.0), float(periods[0].1)];
        for (i, &(from, steps)) in periods.iter().enumerate().skip(1) {
            let here = count.ge(&count.number(from.ceil()));
            let put = |new: f64, old: &Expr| here.select(&float(new), old);
            [number, start, length] = [put(i as f64, &number), put(from, &start), put(steps, &length)];
        }
        let done = count.cast(DType::F32) - start;
        [number, (&done / &length).min(&float(1.0)), ((&length - &done) / &length).max(&float(0.0))]
    }
}

impl LearningRateSchedule for CosineDecayRestarts {
    fn rate(&self, count: &Expr) -> Expr {
        let [number, done, left] = self.place(count);
        let wave = half_cosine(&done, &left);
        let wave = if self.m_mul == 1.0 { wave } else { wave * (number * self.m_mul.ln()).exp() };
        (wave * (1.0 - self.alpha) + self.alpha) * self.initial
    }

    fn check(&self) -> Result<()> {
        at_least_0("CosineDecayRestarts", "initial_learning_rate", self.initial)?;
        at_least_0("CosineDecayRestarts", "alpha", self.alpha)?;
        some_steps("CosineDecayRestarts", "first_decay_steps", self.first_decay_steps)?;
        if !(self.m_mul > 0.0 && self.m_mul.is_finite()) {
            return Err(Error::argument("CosineDecayRestarts: m_mul", "a number above 0", self.m_mul));
        }
        let grows = self.t_mul == 1.0 || (self.t_mul > 1.0 && self.t_mul.is_finite() && self.periods().len() <= MOST_PERIODS);
        if grows {
            return Ok(());
        }
        let want = format!("1, or so much more that {MOST_PERIODS} periods last for 16,777,216 steps");
        Err(Error::argument("CosineDecayRestarts: t_mul", want, self.t_mul))
    }
}
