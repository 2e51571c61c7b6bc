//! What recurrent layers differ in: the formula of one time step.

use super::super::{ActivationFn, WeightOptions};
use crate::error::Result;
use crate::ops::pointwise::{Expr, map1};
use crate::tensor::Tensor;

/// The formula of a recurrent layer: what one time step makes of its input and of the states before it.
pub trait Cell: Clone + Send + Sync + 'static {
    /// The layer's kind: `"LSTM"`.
    const KIND: &'static str;

    /// How many times `units` columns the kernels have: one for every gate.
    const GATES: usize;

    /// How many tensors `[n, units]` go from one step to the next. The first of them is also the output.
    const STATES: usize;

    /// Rows of the bias. A second one is added to what the states give, beside the first for the inputs. Default: one.
    fn bias_rows(&self) -> usize {
        1
    }

    /// What the bias starts as. Default: what the layer was given.
    fn bias(&self, given: &WeightOptions) -> WeightOptions {
        given.clone()
    }

    /// The formula. Called once for a sequence, so that weights are cut up once and not at every step.
    ///
    /// # Errors
    /// What tensor operations return.
    fn formula(&self, weights: CellWeights) -> Result<impl Fn(TimeStep) -> Result<Vec<Tensor>>>;
}

/// A cell with gates, which have an activation of their own.
pub trait Gated: Cell {}

/// What a formula is made with.
pub struct CellWeights {
    /// `[units, gates · units]`.
    pub recurrent_kernel: Tensor,
    /// The bias's second row, `[gates · units]`, if it has one.
    pub recurrent_bias: Option<Tensor>,
    /// For the output.
    pub activation: ActivationFn,
    /// For the gates.
    pub recurrent_activation: ActivationFn,
}

/// One time step.
pub struct TimeStep<'a> {
    /// The inputs times the kernel, plus the bias: `[n, gates · units]`.
    pub x: &'a Tensor,
    /// The output of the step before, `[n, units]`, as the recurrent kernel is to see it: with dropout.
    pub seen: &'a Tensor,
    /// The states after the step before, `[n, units]` each.
    pub states: &'a [Tensor],
}

/// `f` of an expression over `inputs`, in one pass if `f` is a function of single elements.
pub(super) fn activate(f: ActivationFn, inputs: &[&Tensor], of: impl Fn(&[Expr]) -> Expr) -> Result<Tensor> {
    if f.is_elementwise() { map1(inputs, |e| f.of(&of(e))) } else { f.apply(&map1(inputs, of)?) }
}

/// `x`, and the function to use on it inside an expression: `f`, or nothing more where `f` looks at whole rows and is applied here.
pub(super) fn inside(f: ActivationFn, x: &Tensor) -> Result<(Tensor, ActivationFn)> {
    if f.is_elementwise() { Ok((x.clone(), f)) } else { Ok((f.apply(x)?, ActivationFn::Linear)) }
}

/// The terms added up, from the first to the last.
pub(super) fn sum(terms: &[Expr]) -> Expr {
    terms[1..].iter().fold(terms[0].clone(), |sum, term| sum + term)
}
