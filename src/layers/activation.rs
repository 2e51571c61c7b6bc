//! Activation functions, as an option of layers and as a layer.

use super::{Build, Call, Layer, layer_name, title};
use crate::error::{Error, Result};
use crate::ops::pointwise::{Expr, map1};
use crate::shape::Shape;
use crate::suggest;
use crate::tensor::Tensor;
use std::f64::consts::FRAC_1_SQRT_2;
use std::str::FromStr;

/// A function of a layer's outputs, with the constants of `keras.activations`. Parses from Keras's names: `"relu"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum ActivationFn {
    /// `x`.
    #[default]
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `x` if positive, else `0.2 · x`.
    LeakyRelu,
    /// `x` if positive, else `exp(x) - 1`.
    Elu,
    /// Self-normalising: a scaled `elu` (Klambauer et al. 2017).
    Selu,
    /// `log(1 + exp(x))`.
    Softplus,
    /// `x / (1 + |x|)`.
    Softsign,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `min(max(x / 6 + 1/2, 0), 1)`.
    HardSigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `x · sigmoid(x)`, also called swish.
    Silu,
    /// `x · Φ(x)`, where Φ is the distribution function of the standard normal (Hendrycks and Gimpel 2016).
    Gelu,
    /// `exp(x)`.
    Exponential,
    /// `exp(x) / Σ exp(x)` over the last axis.
    Softmax,
    /// The logarithm of softmax over the last axis.
    LogSoftmax,
}

use ActivationFn::*;

const NAMES: [(&str, ActivationFn); 16] = [
    ("linear", Linear),
    ("relu", Relu),
    ("leaky_relu", LeakyRelu),
    ("elu", Elu),
    ("selu", Selu),
    ("softplus", Softplus),
    ("softsign", Softsign),
    ("sigmoid", Sigmoid),
    ("hard_sigmoid", HardSigmoid),
    ("tanh", Tanh),
    ("silu", Silu),
    ("swish", Silu),
    ("gelu", Gelu),
    ("exponential", Exponential),
    ("softmax", Softmax),
    ("log_softmax", LogSoftmax),
];

/// `exp(x) - 1` for `x` up to 0. What is beyond is not asked for, and must not overflow: infinity times a slope of 0 is no number.
fn exp_minus_1(x: &Expr) -> Expr {
    x.min(&x.number(0.0)).exp() - 1.0
}

/// Klambauer et al. 2017, equation 14.
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

impl ActivationFn {
    /// Keras's name: `relu`.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, function)| *function == self).map_or("linear", |(name, _)| name)
    }

    /// The function of every element, or of every row for the softmaxes. Same shape.
    ///
    /// # Errors
    /// [`Error::DType`] if `x` is not a float.
    pub fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self.of_one_element() {
            Some(f) => map1(&[x], |e| f(&e[0])),
            None => match self {
                Linear => Ok(x.clone()),
                Sigmoid => x.sigmoid(),
                LogSoftmax => x.log_softmax(),
                _ => x.softmax(),
            },
        }
    }

    /// [`ActivationFn::apply`] of `x + bias`: one pass over `x` where the function is one of single elements.
    pub(super) fn apply_biased(self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        match (bias, self.of_one_element()) {
            (Some(bias), Some(f)) => map1(&[x, bias], |e| f(&(&e[0] + &e[1]))),
            (Some(bias), None) => self.apply(&x.add(bias)?),
            (None, _) => self.apply(x),
        }
    }

    /// The function as an expression. Not for those of whole rows, nor for `Sigmoid`, which remembers its logits as `Softmax` does.
    fn of_one_element(self) -> Option<fn(&Expr) -> Expr> {
        Some(match self {
            Linear | Sigmoid | Softmax | LogSoftmax => return None,
            Relu => Expr::relu,
            Softplus => Expr::softplus,
            Tanh => Expr::tanh,
            Exponential => Expr::exp,
            LeakyRelu => |x| x.gt(&x.number(0.0)).select(x, &(x * 0.2)),
            Elu => |x| x.gt(&x.number(0.0)).select(x, &exp_minus_1(x)),
            // At 0 the slope is that of the positive part, as TensorFlow's.
            Selu => |x| x.ge(&x.number(0.0)).select(x, &(exp_minus_1(x) * SELU_ALPHA)) * SELU_SCALE,
            Softsign => |x| x / (x.abs() + 1.0),
            HardSigmoid => |x| x.number(1.0).min(&(x / 6.0 + 0.5).relu()),
            // The exact form, as `keras.activations.gelu`; `keras.ops.gelu` is the one with tanh.
            Gelu => |x| x * 0.5 * ((x * FRAC_1_SQRT_2).erf() + 1.0),
            Silu => |x| x * x.sigmoid(),
        })
    }
}

impl FromStr for ActivationFn {
    type Err = Error;

    fn from_str(name: &str) -> Result<ActivationFn> {
        suggest::find("activation", name, &NAMES)
    }
}

/// An activation, or the name of one: what layers take. A wrong name is reported when the layer is built.
#[derive(Clone, Debug)]
pub struct ActivationArg(std::result::Result<ActivationFn, Error>);

impl ActivationArg {
    /// The activation.
    ///
    /// # Errors
    /// [`Error::Argument`] if it was named by a text that names none.
    pub fn get(&self) -> Result<ActivationFn> {
        self.0.clone()
    }
}

impl Default for ActivationArg {
    fn default() -> ActivationArg {
        ActivationArg(Ok(Linear))
    }
}
impl From<ActivationFn> for ActivationArg {
    fn from(function: ActivationFn) -> ActivationArg {
        ActivationArg(Ok(function))
    }
}
impl From<&str> for ActivationArg {
    fn from(name: &str) -> ActivationArg {
        ActivationArg(name.parse())
    }
}

/// An activation function as a layer. Outputs have the inputs' shape.
pub struct Activation {
    name: String,
    function: ActivationArg,
}

impl Activation {
    /// `Activation::new(Relu)` or `Activation::new("relu")`.
    pub fn new(function: impl Into<ActivationArg>) -> Activation {
        Activation { name: String::new(), function: function.into() }
    }
}

impl Layer for Activation {
    fn kind(&self) -> &'static str {
        "Activation"
    }

    layer_name!();

    fn build(&mut self, input: &Shape, _cx: &mut Build) -> Result<Shape> {
        self.function.get().map_err(|e| e.at(title(self)))?;
        Ok(input.clone())
    }

    fn call(&self, x: &Tensor, _cx: &Call) -> Result<Tensor> {
        self.function.get()?.apply(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;

    /// Keras's values at -3, -1, 0, 0.5 and 3.
    #[test]
    fn golden_values() -> Result<()> {
        let cases = [
            (Linear, [-3.0, -1.0, 0.0, 0.5, 3.0]),
            (Relu, [0.0, 0.0, 0.0, 0.5, 3.0]),
            (LeakyRelu, [-0.6, -0.2, 0.0, 0.5, 3.0]),
            (Elu, [-0.950_212_9, -0.632_120_6, 0.0, 0.5, 3.0]),
            (Selu, [-1.670_568_7, -1.111_330_7, 0.0, 0.525_350_5, 3.152_102_9]),
            (Silu, [-0.142_277_6, -0.268_941_4, 0.0, 0.311_229_7, 2.857_722_4]),
            (Gelu, [-0.004_049_7, -0.158_655_3, 0.0, 0.345_731_2, 2.995_950_3]),
            (Softplus, [0.048_587_4, 0.313_261_7, std::f64::consts::LN_2, 0.974_077_0, 3.048_587_4]),
            (Softsign, [-0.75, -0.5, 0.0, 0.333_333_3, 0.75]),
            (HardSigmoid, [0.0, 0.333_333_3, 0.5, 0.583_333_3, 1.0]),
            (Sigmoid, [0.047_425_9, 0.268_941_4, 0.5, 0.622_459_3, 0.952_574_1]),
            (Tanh, [-0.995_054_8, -0.761_594_2, 0.0, 0.462_117_2, 0.995_054_8]),
            (Exponential, [0.049_787_07, 0.367_879_4, 1.0, 1.648_721_3, 20.085_537]),
        ];
        let x = Tensor::new(&Device::cpu(), [5], &[-3.0f32, -1.0, 0.0, 0.5, 3.0])?;
        for (function, want) in cases {
            let got = function.apply(&x)?.to_vec::<f32>()?;
            assert_eq!(got.len(), want.len());
            for (g, w) in got.iter().zip(want) {
                let error = (f64::from(*g) - w).abs();
                assert!(error <= 1e-6 * w.abs().max(1.0), "{function:?}: {g} instead of {w}");
            }
        }
        Ok(())
    }

    /// Values that overflow the parts of a formula must not overflow the whole.
    #[test]
    fn far_from_zero() -> Result<()> {
        let x = Tensor::new(&Device::cpu(), [2], &[-1000.0f32, 1000.0])?;
        for (function, want) in
            [(Elu, [-1.0, 1000.0]), (Silu, [0.0, 1000.0]), (Softplus, [0.0, 1000.0]), (Sigmoid, [0.0, 1.0]), (Tanh, [-1.0, 1.0])]
        {
            let got = function.apply(&x)?.to_vec::<f32>()?;
            assert!(got.iter().zip(want).all(|(g, w)| (g - w).abs() <= 1e-4 * w.abs().max(1.0)), "{function:?}: {got:?}");
        }
        Ok(())
    }

    #[test]
    fn names() {
        for (name, function) in NAMES {
            assert_eq!(name.parse(), Ok(function));
        }
        assert_eq!("Swish".parse(), Ok(Silu));
        assert_eq!(Silu.name(), "silu");
        let text = "rleu".parse::<ActivationFn>().expect_err("a slip").to_string();
        assert!(text.ends_with("did you mean \"relu\"?"), "{text}");
    }
}
