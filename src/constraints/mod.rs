//! Where weights are kept: rules that are applied after every update.

use crate::error::Result;
use crate::named::Named;
use crate::ops::pointwise::{Expr, map1};
use crate::shape::Axes;
use crate::suggest;
use crate::tensor::Tensor;
use std::fmt;
use std::sync::Arc;

/// Keras's `epsilon()`, which keeps the divisor above 0.
const EPSILON: f64 = 1e-7;

/// A rule that moves a weight to where it is allowed.
pub trait Constraint: fmt::Debug + Send + Sync {
    /// The weight that is allowed, of the same shape.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) for an axis that the weight does not have.
    fn apply(&self, weight: &Tensor) -> Result<Tensor>;
}

/// A constraint, the name of one (`"non_neg"`), or nothing.
pub type ConstraintArg = Named<dyn Constraint>;

impl<C: Constraint + 'static> From<C> for ConstraintArg {
    fn from(constraint: C) -> ConstraintArg {
        Named::of(Arc::new(constraint))
    }
}

impl From<&str> for ConstraintArg {
    fn from(name: &str) -> ConstraintArg {
        Named::found(from_name(name))
    }
}

/// Scales vectors along an axis, or over several, down to at most this length.
#[derive(Clone, Debug)]
pub struct MaxNorm {
    /// The greatest length. Default: 2.
    pub max_value: f64,
    /// The axes over which the length is taken. Default: 0, the inputs of each unit of a dense layer; `[0, 1, 2].into()` are those of each
    /// filter of a two-dimensional convolution.
    pub axis: Axes,
}

/// Scales vectors along an axis, or over several, to a length between two bounds, or a part of the way there.
#[derive(Clone, Debug)]
pub struct MinMaxNorm {
    /// The least length. Default: 0.
    pub min_value: f64,
    /// The greatest length. Default: 1.
    pub max_value: f64,
    /// How much of the way is gone. Default: 1, all.
    pub rate: f64,
    /// The axes over which the length is taken. Default: 0.
    pub axis: Axes,
}

/// Sets what is below 0 to 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct NonNeg;

/// Scales vectors along an axis, or over several, to length 1.
#[derive(Clone, Debug)]
pub struct UnitNorm {
    /// The axes over which the length is taken. Default: 0.
    pub axis: Axes,
}

impl Default for MaxNorm {
    fn default() -> MaxNorm {
        MaxNorm { max_value: 2.0, axis: 0.into() }
    }
}
impl Default for MinMaxNorm {
    fn default() -> MinMaxNorm {
        MinMaxNorm { min_value: 0.0, max_value: 1.0, rate: 1.0, axis: 0.into() }
    }
}
impl Default for UnitNorm {
    fn default() -> UnitNorm {
        UnitNorm { axis: 0.into() }
    }
}

/// `w · wanted(‖w‖) / (‖w‖ + ε)`.
fn scaled(weight: &Tensor, axes: &Axes, wanted: impl FnOnce(&Expr) -> Expr) -> Result<Tensor> {
    let squares = weight.square()?.sum(&axes.0, true)?;
    map1(&[weight, &squares], |e| {
        let norm = e[1].sqrt();
        &e[0] * (wanted(&norm) / (norm + EPSILON))
    })
}

fn clipped(norm: &Expr, low: f64, high: f64) -> Expr {
    norm.max(&norm.number(low)).min(&norm.number(high))
}

impl Constraint for MaxNorm {
    fn apply(&self, weight: &Tensor) -> Result<Tensor> {
        scaled(weight, &self.axis, |norm| clipped(norm, 0.0, self.max_value))
    }
}

impl Constraint for MinMaxNorm {
    fn apply(&self, weight: &Tensor) -> Result<Tensor> {
        scaled(weight, &self.axis, |norm| clipped(norm, self.min_value, self.max_value) * self.rate + norm * (1.0 - self.rate))
    }
}

impl Constraint for NonNeg {
    fn apply(&self, weight: &Tensor) -> Result<Tensor> {
        map1(&[weight], |e| e[0].max(&e[0].number(0.0)))
    }
}

impl Constraint for UnitNorm {
    fn apply(&self, weight: &Tensor) -> Result<Tensor> {
        scaled(weight, &self.axis, |norm| norm.number(1.0))
    }
}

/// The constraint of a Keras name, with its defaults: `"max_norm"`, `"min_max_norm"`, `"non_neg"`, `"unit_norm"`.
///
/// # Errors
/// [`Error::Argument`](crate::Error::Argument) with the nearest name.
pub fn from_name(name: &str) -> Result<Arc<dyn Constraint>> {
    let known: [(&str, Arc<dyn Constraint>); 4] = [
        ("max_norm", Arc::new(MaxNorm::default())),
        ("min_max_norm", Arc::new(MinMaxNorm::default())),
        ("non_neg", Arc::new(NonNeg)),
        ("unit_norm", Arc::new(UnitNorm::default())),
    ];
    suggest::find("constraint", name, &known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;

    #[test]
    fn where_weights_go() -> Result<()> {
        // The columns have lengths 5, 0.5 and 0.
        let w = Tensor::new(&Device::cpu(), [2, 3], &[3.0f32, -0.3, 0.0, 4.0, 0.4, 0.0])?;
        let rules: [(&str, [f32; 6]); 4] = [
            ("max_norm", [1.2, -0.3, 0.0, 1.6, 0.4, 0.0]),
            ("min_max_norm", [0.6, -0.3, 0.0, 0.8, 0.4, 0.0]),
            ("non_neg", [3.0, 0.0, 0.0, 4.0, 0.4, 0.0]),
            ("unit_norm", [0.6, -0.6, 0.0, 0.8, 0.8, 0.0]),
        ];
        for (name, want) in rules {
            let got = from_name(name)?.apply(&w)?.to_vec::<f32>()?;
            assert_eq!(got.len(), want.len());
            assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() <= 1e-6), "{name}: {got:?}");
        }
        let half = MinMaxNorm { rate: 0.5, ..MinMaxNorm::default() }.apply(&w)?.to_vec::<f32>()?;
        assert!((half[0] - 1.8).abs() <= 1e-6, "{half:?}");
        Ok(())
    }
}
