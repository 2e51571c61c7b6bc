//! Gated recurrent units.

use super::cell::{Cell, CellWeights, Gated, TimeStep, activate, sum};
use crate::error::Result;
use crate::ops::pointwise::map1;
use crate::tensor::Tensor;

/// `z = σ(x·K_z + h·R_z + b_z)`, `r` alike, `g = act(x·K_g + b_g + r·(h·R_g + b'_g))`, `h ← z·h + (1 - z)·g`, where σ is the recurrent activation
/// (Cho et al. 2014; the product before the reset as in cuDNN). Inputs `[n, time, inputs]`; outputs `[n, units]`, or `[n, time, units]` with
/// `return_sequences`. CellWeights, in the order z, r, g: kernel `K` `[inputs, 3·units]`, recurrent kernel `R` `[units, 3·units]`, bias `[2, 3·units]`,
/// its rows `b` and `b'`. Defaults: tanh, gates sigmoid, Glorot uniform, orthogonal, zeros.
pub type GRU = super::RNN<GRUCell>;

/// The formula of [`GRU`].
#[derive(Clone)]
pub struct GRUCell {
    reset_after: bool,
}

impl Default for GRUCell {
    fn default() -> GRUCell {
        GRUCell { reset_after: true }
    }
}

impl GRU {
    /// Whether the reset gate comes after the product with the recurrent kernel. If not, `g = act(x·K_g + (r·h)·R_g + b_g)`, and the bias is
    /// `[3·units]`. Default: yes.
    #[must_use]
    pub fn reset_after(mut self, after: bool) -> GRU {
        self.cell.reset_after = after;
        self
    }
}

impl Gated for GRUCell {}

impl Cell for GRUCell {
    const KIND: &'static str = "GRU";
    const GATES: usize = 3;
    const STATES: usize = 1;

    fn bias_rows(&self) -> usize {
        if self.reset_after { 2 } else { 1 }
    }

    fn formula(&self, w: CellWeights) -> Result<impl Fn(TimeStep) -> Result<Vec<Tensor>>> {
        let units = w.recurrent_kernel.shape()[0];
        // The gates z and r are computed together, apart from the candidate.
        let parts = move |x: &Tensor| -> Result<[Tensor; 2]> { Ok([x.narrow(-1, 0, 2 * units)?, x.narrow(-1, 2 * units, units)?]) };
        let reset_after = self.reset_after;
        let bias = w.recurrent_bias.as_ref().map(parts).transpose()?;
        let kernels = if reset_after { None } else { Some(parts(&w.recurrent_kernel)?) };
        Ok(move |step: TimeStep| {
            let cut = step.x.split_lengths(&[2 * units, units], -1)?;
            let (x_gates, x_g) = (&cut[0], &cut[1]);
            let gates_of = |recurrent: &Tensor| -> Result<Vec<Tensor>> {
                let terms: Vec<&Tensor> = [x_gates, recurrent].into_iter().chain(bias.as_ref().map(|b| &b[0])).collect();
                activate(w.recurrent_activation, &terms, sum)?.split(2, -1)
            };
            let (gates, g) = match &kernels {
                None => {
                    let recurrent = step.seen.matmul(&w.recurrent_kernel)?.split_lengths(&[2 * units, units], -1)?;
                    let gates = gates_of(&recurrent[0])?;
                    let terms: Vec<&Tensor> = [x_g, &gates[1], &recurrent[1]].into_iter().chain(bias.as_ref().map(|b| &b[1])).collect();
                    let g = activate(w.activation, &terms, |e| &e[0] + &e[1] * sum(&e[2..]))?;
                    (gates, g)
                }
                Some([to_gates, to_g]) => {
                    let gates = gates_of(&step.seen.matmul(to_gates)?)?;
                    let recurrent = gates[1].mul(step.seen)?.matmul(to_g)?;
                    (gates, activate(w.activation, &[x_g, &recurrent], sum)?)
                }
            };
            Ok(vec![map1(&[&gates[0], &step.states[0], &g], |e| &e[0] * &e[1] + (1.0 - &e[0]) * &e[2])?])
        })
    }
}
