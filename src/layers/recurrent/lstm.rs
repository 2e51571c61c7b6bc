//! Long short-term memory.

use super::super::WeightOptions;
use super::cell::{Cell, CellWeights, Gated, TimeStep, inside};
use crate::error::Result;
use crate::initializers::{Initializer, InitializerArg, Ones};
use crate::ops::pointwise::map1;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// `z = x·K + h·R + b`, cut into i, f, g, o; `c ← σ(f)·c + σ(i)·act(g)`; `h ← σ(o)·act(c)`, where σ is the recurrent activation (Hochreiter and
/// Schmidhuber 1997, with the forget gate of Gers et al. 2000). Inputs `[n, time, inputs]`; outputs `[n, units]`, or `[n, time, units]` with
/// `return_sequences`; states h and c. CellWeights: kernel `K` `[inputs, 4·units]`, recurrent kernel `R` `[units, 4·units]`, bias `b` `[4·units]`.
/// Defaults: tanh, gates sigmoid, Glorot uniform, orthogonal, zeros and for the forget gate ones.
pub type LSTM = super::RNN<LSTMCell>;

/// The formula of [`LSTM`].
#[derive(Clone)]
pub struct LSTMCell {
    unit_forget_bias: bool,
}

impl Default for LSTMCell {
    fn default() -> LSTMCell {
        LSTMCell { unit_forget_bias: true }
    }
}

impl LSTM {
    /// Whether the forget gate's bias starts as ones, so that memory lasts before anything is learned (Jozefowicz et al. 2015). Default: yes.
    #[must_use]
    pub fn unit_forget_bias(mut self, ones: bool) -> LSTM {
        self.cell.unit_forget_bias = ones;
        self
    }
}

impl Gated for LSTMCell {}

impl Cell for LSTMCell {
    const KIND: &'static str = "LSTM";
    const GATES: usize = 4;
    const STATES: usize = 2;

    fn bias(&self, given: &WeightOptions) -> WeightOptions {
        if !self.unit_forget_bias || given.initializer.get().is_err() {
            return given.clone();
        }
        WeightOptions { initializer: UnitForgetBias(given.initializer.clone()).into(), ..given.clone() }
    }

    fn formula(&self, w: CellWeights) -> Result<impl Fn(TimeStep) -> Result<Vec<Tensor>>> {
        Ok(move |step: TimeStep| {
            let gates = step.x.add(&step.seen.matmul(&w.recurrent_kernel)?)?.split(4, -1)?;
            let gate = |i: usize| inside(w.recurrent_activation, &gates[i]);
            let ((i, sigma), (f, _), (o, _)) = (gate(0)?, gate(1)?, gate(3)?);
            let (g, act) = inside(w.activation, &gates[2])?;
            let c = map1(&[&i, &f, &g, &step.states[1]], |e| sigma.of(&e[1]) * &e[3] + sigma.of(&e[0]) * act.of(&e[2]))?;
            let (memory, act) = inside(w.activation, &c)?;
            let h = map1(&[&o, &memory], |e| sigma.of(&e[0]) * act.of(&e[1]))?;
            Ok(vec![h, c])
        })
    }
}

/// Ones for the second of four gates, another initializer for the rest.
#[derive(Debug)]
struct UnitForgetBias(InitializerArg);

impl Initializer for UnitForgetBias {
    fn values(&self, shape: &Shape, seed: u64, stream: u64) -> Vec<f32> {
        let gate = Shape::from([shape.elements() / 4]);
        let mut values = self.0.get().map_or_else(|_| vec![0.0; shape.elements()], |inner| inner.values(shape, seed, stream));
        values[gate[0]..2 * gate[0]].copy_from_slice(&Ones.values(&gate, seed, stream));
        values
    }
}
