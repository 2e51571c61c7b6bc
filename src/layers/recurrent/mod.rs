//! Layers that go through a sequence step by step. What they share is here; each one's formula is its [`Cell`].

mod bidirectional;
mod cell;
mod gru;
mod lstm;
mod simple_rnn;
mod time_distributed;

pub use bidirectional::{Bidirectional, MergeArg, MergeMode};
pub use cell::{Cell, CellWeights, Gated, TimeStep};
pub use gru::{GRU, GRUCell};
pub use lstm::{LSTM, LSTMCell};
pub use simple_rnn::{SimpleRNN, SimpleRNNCell};
pub use time_distributed::TimeDistributed;

use super::build::only_output;
use super::finish::at_least_one;
use super::regularization::{check_rate, drop};
use super::{ActivationArg, ActivationFn, Base, Build, Call, Layer, WeightOptions, check_last_axis, named, weight_options};
use crate::error::{Error, Result};
use crate::initializers::{GlorotUniform, Zeros};
use crate::shape::Shape;
use crate::tensor::Tensor;

/// A layer that applies a cell to one time step after another: [`SimpleRNN`], [`LSTM`] and [`GRU`], or one with a formula of one's own. Inputs
/// `[n, time, inputs]`, of any length; further inputs `[n, units]` are the states before the first step, which are zeros otherwise. Outputs
/// `[n, units]`: that of the last step. A trace holds every step by itself, so that a new length means a new trace.
#[derive(Clone)]
pub struct RNN<C> {
    base: Base,
    cell: C,
    units: usize,
    activation: ActivationArg,
    recurrent_activation: ActivationArg,
    use_bias: bool,
    kernel: WeightOptions,
    recurrent: WeightOptions,
    bias: WeightOptions,
    dropout: f64,
    recurrent_dropout: f64,
    return_sequences: bool,
    return_state: bool,
    go_backwards: bool,
}

impl<C: Cell + Default> RNN<C> {
    /// So many outputs.
    pub fn new(units: usize) -> RNN<C> {
        RNN::with_cell(C::default(), units)
    }
}

impl<C: Cell> RNN<C> {
    /// So many outputs, by this formula.
    pub fn with_cell(cell: C, units: usize) -> RNN<C> {
        RNN {
            base: Base::new(C::KIND),
            cell,
            units,
            activation: ActivationFn::Tanh.into(),
            recurrent_activation: ActivationFn::Sigmoid.into(),
            use_bias: true,
            kernel: WeightOptions::new(GlorotUniform),
            recurrent: WeightOptions::new("orthogonal"),
            bias: WeightOptions::new(Zeros),
            dropout: 0.0,
            recurrent_dropout: 0.0,
            return_sequences: false,
            return_state: false,
            go_backwards: false,
        }
    }

    /// What is applied to the outputs. Default: tanh.
    #[must_use]
    pub fn activation(mut self, activation: impl Into<ActivationArg>) -> RNN<C> {
        self.activation = activation.into();
        self
    }

    /// Whether a bias is added. Default: yes.
    #[must_use]
    pub fn use_bias(mut self, use_bias: bool) -> RNN<C> {
        self.use_bias = use_bias;
        self
    }

    /// In training, how much of the inputs is dropped, from 0 to 1: the same features at every time step. Default: 0.
    #[must_use]
    pub fn dropout(mut self, rate: f64) -> RNN<C> {
        self.dropout = rate;
        self
    }

    /// In training, how much of the last output the recurrent kernel does not see, from 0 to 1: the same units at every time step and for
    /// every gate (Gal and Ghahramani 2016, tied). Default: 0.
    #[must_use]
    pub fn recurrent_dropout(mut self, rate: f64) -> RNN<C> {
        self.recurrent_dropout = rate;
        self
    }

    /// Whether the outputs of all time steps come, `[n, time, units]`, in the order they were made in. Default: only the last.
    #[must_use]
    pub fn return_sequences(mut self, all: bool) -> RNN<C> {
        self.return_sequences = all;
        self
    }

    /// Whether the states after the last step come as further outputs, `[n, units]` each. Default: no.
    #[must_use]
    pub fn return_state(mut self, states: bool) -> RNN<C> {
        self.return_state = states;
        self
    }

    /// Whether it begins with the last time step. Default: no.
    #[must_use]
    pub fn go_backwards(mut self, backwards: bool) -> RNN<C> {
        self.go_backwards = backwards;
        self
    }

    weight_options!(kernel, kernel_initializer, kernel_regularizer, kernel_constraint);
    weight_options!(recurrent, recurrent_initializer, recurrent_regularizer, recurrent_constraint);
    weight_options!(bias, bias_initializer, bias_regularizer, bias_constraint);
    named!();
}

impl<C: Gated> RNN<C> {
    /// What is applied to the gates. Default: sigmoid.
    #[must_use]
    pub fn recurrent_activation(mut self, activation: impl Into<ActivationArg>) -> RNN<C> {
        self.recurrent_activation = activation.into();
        self
    }
}

impl<C: Cell> Layer for RNN<C> {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        let title = self.base.title();
        at_least_one(&self.base, "units", self.units)?;
        check_rate(&self.base, "dropout", self.dropout)?;
        check_rate(&self.base, "recurrent_dropout", self.recurrent_dropout)?;
        for activation in [&self.activation, &self.recurrent_activation] {
            activation.get().map_err(|e| e.at(title.as_str()))?;
        }
        let &[_, inputs] = &input[..] else { return Err(self.no_sequence(format!("{input} per sample"))) };
        let columns = C::GATES * self.units;
        cx.weight(&self.base, "kernel", [inputs, columns], &self.kernel)?;
        cx.weight(&self.base, "recurrent_kernel", [self.units, columns], &self.recurrent)?;
        if self.use_bias {
            let rows = self.cell.bias_rows();
            let shape = if rows == 1 { Shape::from([columns]) } else { Shape::from([rows, columns]) };
            cx.weight(&self.base, "bias", shape, &self.cell.bias(&self.bias))?;
        }
        if self.dropout > 0.0 || self.recurrent_dropout > 0.0 { cx.seeds(&self.base) } else { Ok(()) }
    }

    fn build_all(&self, inputs: &[Shape], cx: &Build) -> Result<()> {
        let Some((sequence, states)) = inputs.split_first() else { return Err(self.wrong_count(0)) };
        if !states.is_empty() && states.len() != C::STATES {
            return Err(self.wrong_count(inputs.len()));
        }
        match states.iter().find(|state| state[..] != [self.units]) {
            Some(state) => Err(Error::shape(self.base.title(), format!("initial states of shape [{}]", self.units), state)),
            None => self.build(sequence, cx),
        }
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        only_output(&self.base, self.run(x, &[], cx)?)
    }

    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        let Some((x, states)) = xs.split_first() else { return Err(self.wrong_count(0)) };
        self.run(x, states, cx)
    }
}

impl<C: Cell> RNN<C> {
    /// The outputs, and the last states if they are wanted.
    fn run(&self, x: &Tensor, states: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        let &[n, time, _] = &x.shape()[..] else { return Err(self.no_sequence(x.shape())) };
        if time == 0 {
            return Err(Error::shape(self.base.title(), "at least one time step", x.shape()));
        }
        let zeros = || Tensor::full(x.device(), [n, self.units], x.dtype(), 0.0);
        let mut states = match states {
            [] => (0..C::STATES).map(|_| zeros()).collect::<Result<Vec<_>>>()?,
            given => given.to_vec(),
        };
        let (bias, recurrent_bias) = self.biases()?;
        let formula = self.cell.formula(CellWeights {
            recurrent_kernel: self.base.value("recurrent_kernel")?,
            recurrent_bias,
            activation: self.activation.get()?,
            recurrent_activation: self.recurrent_activation.get()?,
        })?;
        let mut steps = self.products(x, bias.as_ref(), cx)?;
        if self.go_backwards {
            steps.reverse();
        }
        let kept = self.kept_units(&states[0], cx)?;
        let mut outputs = Vec::with_capacity(time);
        for x in &steps {
            let seen = kept.as_ref().map_or_else(|| Ok(states[0].clone()), |kept| states[0].mul(kept))?;
            states = formula(TimeStep { x, seen: &seen, states: &states })?;
            outputs.push(states[0].clone());
        }
        let y = if self.return_sequences { Tensor::stack(&outputs.iter().collect::<Vec<_>>(), 1)? } else { states[0].clone() };
        let states = if self.return_state { states } else { Vec::new() };
        Ok([y].into_iter().chain(states).collect())
    }

    /// What the states are multiplied by before the recurrent kernel sees them.
    fn kept_units(&self, like: &Tensor, cx: &Call) -> Result<Option<Tensor>> {
        let drops = cx.training && self.recurrent_dropout > 0.0;
        drops.then(|| drop(&self.base, &like.ones_like()?, self.recurrent_dropout, like.shape(), cx)).transpose()
    }

    /// The bias for the inputs, and that for the states.
    fn biases(&self) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(bias) = self.base.value_if(self.use_bias, "bias")? else { return Ok((None, None)) };
        if bias.rank() == 1 {
            return Ok((Some(bias), None));
        }
        let mut rows = bias.split(2, 0)?.into_iter().map(|row| row.squeeze(0));
        Ok((rows.next().transpose()?, rows.next().transpose()?))
    }

    /// What the kernel makes of every time step, `[n, columns]` each: one tall product for all.
    fn products(&self, x: &Tensor, bias: Option<&Tensor>, cx: &Call) -> Result<Vec<Tensor>> {
        let kernel = self.base.value("kernel")?;
        let (inputs, columns) = (kernel.shape()[0], kernel.shape()[1]);
        check_last_axis(&self.base, x, inputs)?;
        let (n, time) = (x.shape()[0], x.shape()[1]);
        let kept = drop(&self.base, x, self.dropout, &Shape::from([n, 1, inputs]), cx)?;
        let mut products = kept.reshape([n * time, inputs])?.matmul(&kernel)?;
        if let Some(bias) = bias {
            products = products.add(bias)?;
        }
        products.reshape([n, time, columns])?.split(time, 1)?.iter().map(|step| step.reshape([n, columns])).collect()
    }

    /// A layer with the same options and weights of its own.
    fn anew(&self) -> RNN<C> {
        let base = Base::new(C::KIND).with_policy_of(&self.base);
        base.set_trainable(self.base.trainable());
        base.set_activity_regularizer(self.base.activity_regularizer());
        RNN { base, ..self.clone() }
    }

    fn no_sequence(&self, got: impl std::fmt::Display) -> Error {
        Error::shape(self.base.title(), "sequences of shape [time, inputs]", got)
            .hint("the layer before it may need `return_sequences(true)`; add an axis with Reshape otherwise")
    }

    fn wrong_count(&self, got: usize) -> Error {
        let want = format!("a sequence, or a sequence and {} initial states", C::STATES);
        Error::argument(format!("{}: inputs", self.base.title()), want, got)
    }
}

#[cfg(test)]
mod tests;
