//! The recurrent layer without gates.

use super::cell::{Cell, CellWeights, TimeStep, activate};
use crate::error::Result;
use crate::tensor::Tensor;

/// `h ← act(x·K + h·R + b)`. Inputs `[n, time, inputs]`; outputs `[n, units]`, or `[n, time, units]` with `return_sequences`. CellWeights: kernel `K`
/// `[inputs, units]`, recurrent kernel `R` `[units, units]`, bias `b` `[units]`. Defaults: tanh, Glorot uniform, orthogonal, zeros.
pub type SimpleRNN = super::RNN<SimpleRNNCell>;

/// The formula of [`SimpleRNN`].
#[derive(Clone, Default)]
pub struct SimpleRNNCell {}

impl Cell for SimpleRNNCell {
    const KIND: &'static str = "SimpleRNN";
    const GATES: usize = 1;
    const STATES: usize = 1;

    fn formula(&self, w: CellWeights) -> Result<impl Fn(TimeStep) -> Result<Vec<Tensor>>> {
        Ok(move |step: TimeStep| {
            let recurrent = step.seen.matmul(&w.recurrent_kernel)?;
            Ok(vec![activate(w.activation, &[step.x, &recurrent], |e| &e[0] + &e[1])?])
        })
    }
}
