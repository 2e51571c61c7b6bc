//! The functions of `keras.activations`, with their constants and their slopes at the kinks.

use crate::error::{Error, Result};
use crate::ops::pointwise::{Expr, map1};
use crate::shape::axis_index;
use crate::suggest;
use crate::tensor::Tensor;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
use std::mem::discriminant;
use std::str::FromStr;

/// A function of a layer's outputs, with the constants of `keras.activations`. Parses from Keras's names, which mean Keras's defaults: `"relu"`.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
#[non_exhaustive]
pub enum ActivationFn {
    /// `x`.
    #[default]
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `x` above the threshold, but at most `max_value`; below it `negative_slope · (x - threshold)`. With 0, `None` and 0 it is `Relu`.
    ReluWith {
        /// The slope below the threshold.
        negative_slope: f64,
        /// The largest value.
        max_value: Option<f64>,
        /// Where the two parts meet.
        threshold: f64,
    },
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` if positive, else `negative_slope · x`.
    LeakyRelu {
        /// By name 0.2.
        negative_slope: f64,
    },
    /// `x` if positive, else `alpha · (exp(x) - 1)` (Clevert et al. 2015).
    Elu {
        /// By name 1.
        alpha: f64,
    },
    /// `x` if positive, else `alpha · (exp(x / alpha) - 1)` (Barron 2017). At 0 its slope is 2, as TensorFlow's: both parts count there.
    Celu {
        /// By name 1.
        alpha: f64,
    },
    /// Self-normalising: a scaled `elu` (Klambauer et al. 2017).
    Selu,
    /// `x · Φ(x)`, where Φ is the distribution function of the standard normal (Hendrycks and Gimpel 2016).
    Gelu {
        /// Whether Φ is approximated with `tanh`. By name it is not.
        approximate: bool,
    },
    /// `x · sigmoid(x)`, also called swish.
    Silu,
    /// `x · hard_sigmoid(x)`, also called hard swish.
    HardSilu,
    /// `x · tanh(softplus(x))` (Misra 2019).
    Mish,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `min(max(x / 6 + 1/2, 0), 1)`.
    HardSigmoid,
    /// `min(max((x + 1) / 2, 0), 1)`; slope 0 at -1 and 1.
    SparseSigmoid,
    /// `-softplus(-x)`, the logarithm of `Sigmoid`.
    LogSigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `min(max(x, -1), 1)`; slope 1 at -1 and 1.
    HardTanh,
    /// `x - tanh(x)`.
    TanhShrink,
    /// `x` moved towards 0 by the threshold, 0 within it.
    SoftShrink {
        /// By name 0.5.
        threshold: f64,
    },
    /// `x` if its size is above the threshold, else 0.
    HardShrink {
        /// By name 0.5.
        threshold: f64,
    },
    /// `x` above the threshold, else `default_value`. Has no name.
    Threshold {
        /// The largest `x` that is replaced.
        threshold: f64,
        /// What replaces it.
        default_value: f64,
    },
    /// `log(1 + exp(x))`.
    Softplus,
    /// `(x + √(x² + b)) / 2` (Barron 2021).
    Squareplus {
        /// By name 4.
        b: f64,
    },
    /// `(x + 1)² / 4` between -1 and 1, 0 below, `x` above.
    SparsePlus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `exp(x)`.
    Exponential,
    /// `exp(x) / Σ exp(x)` over the last axis.
    Softmax,
    /// [`ActivationFn::Softmax`] over another axis.
    SoftmaxOver {
        /// Counts the batch; negative from the back.
        axis: isize,
    },
    /// The logarithm of softmax.
    LogSoftmax {
        /// Counts the batch; negative from the back. By name -1.
        axis: isize,
    },
    /// The point of the probability simplex that is nearest: [`Tensor::sparsemax`].
    Sparsemax {
        /// Counts the batch; negative from the back. By name -1.
        axis: isize,
    },
    /// `a · sigmoid(b)`, where `a` and `b` are the halves of `x` (Dauphin et al. 2016). The axis becomes half as long.
    Glu {
        /// Counts the batch; negative from the back. By name -1.
        axis: isize,
    },
}

use ActivationFn::*;

const NAMES: [(&str, ActivationFn); 31] = [
    ("linear", Linear),
    ("relu", Relu),
    ("relu6", Relu6),
    ("leaky_relu", LeakyRelu { negative_slope: 0.2 }),
    ("elu", Elu { alpha: 1.0 }),
    ("celu", Celu { alpha: 1.0 }),
    ("selu", Selu),
    ("gelu", Gelu { approximate: false }),
    ("silu", Silu),
    ("swish", Silu),
    ("hard_silu", HardSilu),
    ("hard_swish", HardSilu),
    ("mish", Mish),
    ("sigmoid", Sigmoid),
    ("hard_sigmoid", HardSigmoid),
    ("sparse_sigmoid", SparseSigmoid),
    ("log_sigmoid", LogSigmoid),
    ("tanh", Tanh),
    ("hard_tanh", HardTanh),
    ("tanh_shrink", TanhShrink),
    ("soft_shrink", SoftShrink { threshold: 0.5 }),
    ("hard_shrink", HardShrink { threshold: 0.5 }),
    ("softplus", Softplus),
    ("squareplus", Squareplus { b: 4.0 }),
    ("sparse_plus", SparsePlus),
    ("softsign", Softsign),
    ("exponential", Exponential),
    ("softmax", Softmax),
    ("log_softmax", LogSoftmax { axis: -1 }),
    ("sparsemax", Sparsemax { axis: -1 }),
    ("glu", Glu { axis: -1 }),
];

/// Klambauer et al. 2017, equation 14.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

impl ActivationFn {
    /// Keras's name: `relu`.
    pub fn name(self) -> &'static str {
        match self {
            ReluWith { .. } => "relu",
            SoftmaxOver { .. } => "softmax",
            Threshold { .. } => "threshold",
            _ => NAMES.iter().find(|(_, function)| discriminant(function) == discriminant(&self)).map_or("linear", |(name, _)| name),
        }
    }

    /// The function of every element, or of every row for those with an axis. Same shape, but for `Glu`.
    ///
    /// # Errors
    /// [`Error::DType`] if `x` is not a float; [`Error::Argument`] for an axis that `x` does not have; [`Error::Shape`] for a `Glu` of an odd axis.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Linear => Ok(x.clone()),
            Sigmoid => x.sigmoid(),
            Softmax => x.softmax(),
            SoftmaxOver { axis } => x.softmax_over(axis),
            LogSoftmax { axis } => x.log_softmax_over(axis),
            Sparsemax { axis } => x.sparsemax(axis),
            Glu { axis } => glu(x, axis),
            _ => map1(&[x], |e| self.of(&e[0])),
        }
    }

    /// [`ActivationFn::apply`] of `x + bias`: one pass over `x` where the function is one of single elements.
    pub(in crate::layers) fn apply_biased(self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        match bias {
            Some(bias) if self.is_expression() => map1(&[x, bias], |e| self.of(&(&e[0] + &e[1]))),
            Some(bias) => self.apply(&x.add(bias)?),
            None => self.apply(x),
        }
    }

    /// Whether the end of a layer is one expression with it. Not for `Sigmoid`, which remembers its logits there, as `Softmax` does.
    fn is_expression(self) -> bool {
        self.is_elementwise() && self != Sigmoid
    }

    /// Whether each result depends on one element, and `of` is defined.
    pub(in crate::layers) fn is_elementwise(self) -> bool {
        !matches!(self, Softmax | SoftmaxOver { .. } | LogSoftmax { .. } | Sparsemax { .. } | Glu { .. })
    }

    /// The function of one element, as part of a larger expression.
    pub(in crate::layers) fn of(self, x: &Expr) -> Expr {
        let zero = x.number(0.0);
        match self {
            Linear => x.clone(),
            Relu => x.relu(),
            ReluWith { negative_slope, max_value, threshold } => relu_with(x, negative_slope, max_value, threshold),
            Relu6 => relu6(x),
            LeakyRelu { negative_slope } => x.gt(&zero).select(x, &(x * negative_slope)),
            Elu { alpha } => x.gt(&zero).select(x, &(exp_minus_1(x) * alpha)),
            Celu { alpha } => x.max(&zero) + ((x.min(&zero) / alpha).exp() - 1.0) * alpha,
            // At 0 the slope is that of the positive part, as TensorFlow's.
            Selu => x.ge(&zero).select(x, &(exp_minus_1(x) * SELU_ALPHA)) * SELU_SCALE,
            // The exact form is the default of `keras.activations.gelu`; that of `keras.ops.gelu` is the one with tanh.
            Gelu { approximate: false } => x * 0.5 * ((x * FRAC_1_SQRT_2).erf() + 1.0),
            Gelu { approximate: true } => x * 0.5 * (((x + x * x * x * 0.044_715) * (FRAC_2_SQRT_PI * FRAC_1_SQRT_2)).tanh() + 1.0),
            Silu => x * x.sigmoid(),
            HardSilu => x * (relu6(&(x + 3.0)) / 6.0),
            Mish => x * x.softplus().tanh(),
            HardSigmoid => relu6(&(x + 3.0)) / 6.0,
            SparseSigmoid => x.le(&x.number(-1.0)).select(&zero, &x.ge(&x.number(1.0)).select(&x.number(1.0), &((x + 1.0) * 0.5))),
            LogSigmoid => -(-x).softplus(),
            Tanh => x.tanh(),
            HardTanh => x.max(&x.number(-1.0)).min(&x.number(1.0)),
            TanhShrink => x - x.tanh(),
            SoftShrink { threshold } => {
                let below = x.lt(&x.number(-threshold)).select(&(x + threshold), &zero);
                x.gt(&x.number(threshold)).select(&(x - threshold), &below)
            }
            HardShrink { threshold } => x.abs().gt(&x.number(threshold)).select(x, &zero),
            Threshold { threshold, default_value } => x.gt(&x.number(threshold)).select(x, &x.number(default_value)),
            Softplus => x.softplus(),
            Squareplus { b } => (x + (x * x + b).sqrt()) * 0.5,
            SparsePlus => x.le(&x.number(-1.0)).select(&zero, &x.lt(&x.number(1.0)).select(&((x + 1.0).square() * 0.25), x)),
            Softsign => x / (x.abs() + 1.0),
            Exponential => x.exp(),
            Sigmoid => x.sigmoid(),
            Softmax | SoftmaxOver { .. } | LogSoftmax { .. } | Sparsemax { .. } | Glu { .. } => {
                unreachable!("no expression: `apply` has an operation for it")
            }
        }
    }
}

/// `exp(x) - 1` for `x` up to 0. What is beyond is not asked for, and must not overflow: infinity times a slope of 0 is no number.
fn exp_minus_1(x: &Expr) -> Expr {
    x.min(&x.number(0.0)).exp() - 1.0
}

/// Slope 0 at 0 and at 6.
fn relu6(x: &Expr) -> Expr {
    x.number(6.0).min(&x.relu())
}

/// The steps of Keras's own `relu`, so that the slopes at the threshold and at the largest value are its too.
fn relu_with(x: &Expr, negative_slope: f64, max_value: Option<f64>, threshold: f64) -> Expr {
    let zero = x.number(0.0);
    if max_value.is_none() && threshold == 0.0 && negative_slope != 0.0 {
        return LeakyRelu { negative_slope }.of(x);
    }
    let above = if threshold == 0.0 { x.relu() } else { x.gt(&x.number(threshold)).select(x, &zero) };
    let above = match max_value {
        None => above,
        Some(6.0) if threshold == 0.0 => relu6(x),
        Some(most) => above.max(&zero).min(&x.number(most)),
    };
    if negative_slope == 0.0 { above } else { above - (x.number(threshold) - x).relu() * negative_slope }
}

fn glu(x: &Tensor, axis: isize) -> Result<Tensor> {
    let length = x.shape()[axis_index(axis, x.rank(), "glu")?];
    if !length.is_multiple_of(2) {
        return Err(Error::shape("glu", format!("an even length of axis {axis}"), x.shape()));
    }
    let (a, b) = (x.narrow(axis, 0, length / 2)?, x.narrow(axis, length / 2, length / 2)?);
    map1(&[&a, &b], |e| &e[0] * e[1].sigmoid())
}

impl FromStr for ActivationFn {
    type Err = Error;

    fn from_str(name: &str) -> Result<ActivationFn> {
        suggest::find("activation", name, &NAMES)
    }
}

#[cfg(test)]
mod tests;
