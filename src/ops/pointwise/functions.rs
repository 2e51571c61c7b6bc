//! The functions of pointwise expressions: value on the CPU, WGSL text, derivative. A new function is an arm in each.

use super::expr::Expr;
use crate::device::cpu::Real;

/// A function of one float.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unary {
    /// `-x`
    Neg,
    /// `|x|`; slope 0 at 0.
    Abs,
    /// -1, 0 or 1; no gradient.
    Sign,
    /// `eˣ`
    Exp,
    /// Natural logarithm.
    Log,
    /// Square root.
    Sqrt,
    /// `1/√x`
    Rsqrt,
    /// `1/x`
    Recip,
    /// `x²`
    Square,
    /// Sine of radians.
    Sin,
    /// Cosine of radians.
    Cos,
    /// Hyperbolic tangent.
    Tanh,
    /// `1/(1+e⁻ˣ)`
    Sigmoid,
    /// `log(1+eˣ)`
    Softplus,
    /// `max(x, 0)`, NaN stays NaN; slope 0 at 0.
    Relu,
    /// The error function.
    Erf,
    /// Round down; no gradient.
    Floor,
    /// Round up; no gradient.
    Ceil,
}

/// A function of two numbers of one type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a · b`
    Mul,
    /// `a / b`
    Div,
    /// `aᵇ`; of a negative base only with a whole exponent. Floats only.
    Pow,
    /// The larger; NaN if either is; a tie's gradient goes to `a`.
    Max,
    /// The smaller; NaN if either is; a tie's gradient goes to `a`.
    Min,
}

/// A comparison: 1 or 0, as `u32`. With a NaN only `Ne` holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compare {
    /// `a == b`
    Eq,
    /// `a != b`
    Ne,
    /// `a < b`
    Lt,
    /// `a <= b`
    Le,
    /// `a > b`
    Gt,
    /// `a >= b`
    Ge,
}

const TWO_OVER_SQRT_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI;

impl Unary {
    /// The value.
    #[inline(always)]
    pub fn of<T: Real>(self, x: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        match self {
            Unary::Neg => -x,
            Unary::Abs => x.abs(),
            Unary::Sign => {
                if x > zero {
                    one
                } else if x < zero {
                    -one
                } else {
                    x * zero
                }
            }
            Unary::Exp => x.exp(),
            Unary::Log => x.ln(),
            Unary::Sqrt => x.sqrt(),
            Unary::Rsqrt => one / x.sqrt(),
            Unary::Recip => one / x,
            Unary::Square => x * x,
            Unary::Sin => x.sin(),
            Unary::Cos => x.cos(),
            Unary::Tanh => x.tanh(),
            Unary::Sigmoid => one / (one + (-x).exp()),
            Unary::Softplus => {
                // log(1+eˣ) = max(x, 0) + log(1+e^-|x|), which overflows nowhere.
                let positive = if x > zero { x } else { zero };
                positive + (-x.abs()).exp().ln_1p()
            }
            Unary::Relu => {
                if x < zero {
                    zero
                } else {
                    x
                }
            }
            Unary::Erf => erf(x),
            Unary::Floor => x.floor(),
            Unary::Ceil => x.ceil(),
        }
    }

    /// WGSL for the value of `x`. Names beginning with `g_` are in `shaders/pointwise.wgsl`.
    pub(super) fn wgsl(self, x: &str) -> String {
        match self {
            Unary::Neg => format!("-({x})"),
            Unary::Abs => format!("abs({x})"),
            Unary::Sign => format!("sign({x})"),
            Unary::Exp => format!("exp({x})"),
            Unary::Log => format!("log({x})"),
            Unary::Sqrt => format!("sqrt({x})"),
            Unary::Rsqrt => format!("1.0 / sqrt({x})"),
            Unary::Recip => format!("1.0 / ({x})"),
            Unary::Square => format!("{x} * {x}"),
            Unary::Sin => format!("sin({x})"),
            Unary::Cos => format!("cos({x})"),
            Unary::Tanh => format!("g_tanh({x})"),
            Unary::Sigmoid => format!("g_sigmoid({x})"),
            Unary::Softplus => format!("g_softplus({x})"),
            Unary::Relu => format!("select({x}, 0.0, {x} < 0.0)"),
            Unary::Erf => format!("g_erf({x})"),
            Unary::Floor => format!("floor({x})"),
            Unary::Ceil => format!("ceil({x})"),
        }
    }

    /// `dy` times the slope at `x`, where the value is `y`; `None` where the slope is 0 everywhere.
    pub(super) fn grad(self, x: &Expr, y: &Expr, dy: &Expr) -> Option<Expr> {
        Some(match self {
            Unary::Neg => -dy,
            Unary::Abs => dy * &x.sign(),
            Unary::Exp => dy * y,
            Unary::Log => dy / x,
            Unary::Sqrt => dy * 0.5 / y,
            Unary::Rsqrt => dy * -0.5 * y * y * y,
            Unary::Recip => -(dy * y * y),
            Unary::Square => dy * 2.0 * x,
            Unary::Sin => dy * &x.cos(),
            Unary::Cos => -(dy * &x.sin()),
            Unary::Tanh => dy * &(1.0 - y * y),
            Unary::Sigmoid => dy * y * &(1.0 - y),
            Unary::Softplus => dy * &x.sigmoid(),
            // By the output, so that the input need not be kept.
            Unary::Relu => y.gt(&y.number(0.0)).select(dy, &y.number(0.0)),
            Unary::Erf => dy * TWO_OVER_SQRT_PI * &(-(x * x)).exp(),
            Unary::Sign | Unary::Floor | Unary::Ceil => return None,
        })
    }
}

impl Binary {
    /// The value for floats.
    #[inline(always)]
    pub fn of<T: Real>(self, a: T, b: T) -> T {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            Binary::Pow => a.powf(b),
            Binary::Max => {
                if a >= b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
            Binary::Min => {
                if a <= b || a.is_nan() {
                    a
                } else {
                    b
                }
            }
        }
    }

    /// The value for whole numbers: arithmetic wraps, as on a GPU; a division by zero gives 0.
    #[inline(always)]
    pub(super) fn of_u32(self, a: u32, b: u32) -> u32 {
        match self {
            Binary::Add => a.wrapping_add(b),
            Binary::Sub => a.wrapping_sub(b),
            Binary::Mul => a.wrapping_mul(b),
            Binary::Div => a.checked_div(b).unwrap_or(0),
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
            Binary::Pow => unreachable!("infer refuses a power of whole numbers"),
        }
    }

    /// As [`Binary::of_u32`], for signed numbers.
    #[inline(always)]
    pub(super) fn of_i32(self, a: i32, b: i32) -> i32 {
        match self {
            Binary::Add => a.wrapping_add(b),
            Binary::Sub => a.wrapping_sub(b),
            Binary::Mul => a.wrapping_mul(b),
            Binary::Div => a.checked_div(b).unwrap_or(0),
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
            Binary::Pow => unreachable!("infer refuses a power of whole numbers"),
        }
    }

    /// WGSL for the value.
    pub(super) fn wgsl(self, a: &str, b: &str, float: bool) -> String {
        match self {
            Binary::Add => format!("{a} + {b}"),
            Binary::Sub => format!("{a} - {b}"),
            Binary::Mul => format!("{a} * {b}"),
            Binary::Div if float => format!("{a} / {b}"),
            Binary::Div => format!("select({a} / max({b}, 1), 0, {b} == 0)"),
            Binary::Pow => format!("g_pow({a}, {b})"),
            Binary::Max if float => format!("g_max({a}, {b})"),
            Binary::Min if float => format!("g_min({a}, {b})"),
            Binary::Max => format!("max({a}, {b})"),
            Binary::Min => format!("min({a}, {b})"),
        }
    }

    /// The gradients by `a` and `b`.
    pub(super) fn grad(self, a: &Expr, b: &Expr, y: &Expr, dy: &Expr) -> [Expr; 2] {
        let zero = dy.number(0.0);
        match self {
            Binary::Add => [dy.clone(), dy.clone()],
            Binary::Sub => [dy.clone(), -dy],
            Binary::Mul => [dy * b, dy * a],
            Binary::Div => [dy / b, -(dy * y / b)],
            Binary::Pow => {
                let positive = a.gt(&zero);
                let log = positive.select(a, &dy.number(1.0)).log();
                [dy * b * &a.pow(&(b - 1.0)), positive.select(&(dy * y * &log), &zero)]
            }
            Binary::Max => {
                let first = a.ge(b);
                [first.select(dy, &zero), first.select(&zero, dy)]
            }
            Binary::Min => {
                let first = a.le(b);
                [first.select(dy, &zero), first.select(&zero, dy)]
            }
        }
    }
}

impl Compare {
    /// Whether it holds.
    #[inline(always)]
    pub fn of<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Compare::Eq => a == b,
            Compare::Ne => a != b,
            Compare::Lt => a < b,
            Compare::Le => a <= b,
            Compare::Gt => a > b,
            Compare::Ge => a >= b,
        }
    }

    pub(super) fn wgsl(self, a: &str, b: &str) -> String {
        let sign = match self {
            Compare::Eq => "==",
            Compare::Ne => "!=",
            Compare::Lt => "<",
            Compare::Le => "<=",
            Compare::Gt => ">",
            Compare::Ge => ">=",
        };
        format!("select(0u, 1u, {a} {sign} {b})")
    }
}

/// The error function in the precision of f64: the Maclaurin series where it converges fast, the continued fraction of erfc beyond
/// (Abramowitz and Stegun, 7.1.5 and 7.1.14).
fn erf<T: Real>(x: T) -> T {
    let value = x.as_f64();
    let a = value.abs();
    let magnitude = if value.is_nan() {
        return x;
    } else if a < 2.5 {
        let (mut term, mut sum) = (a, a);
        for n in 1..60 {
            let n = f64::from(n);
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        TWO_OVER_SQRT_PI * sum
    } else if a < 6.0 {
        let fraction = (1..80).rev().fold(a, |tail, n| a + 0.5 * f64::from(n) / tail);
        1.0 - (-a * a).exp() / (std::f64::consts::PI.sqrt() * fraction)
    } else {
        1.0
    };
    T::of(magnitude.copysign(value))
}
