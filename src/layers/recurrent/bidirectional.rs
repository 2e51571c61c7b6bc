//! A recurrent layer in both directions.

use super::{Cell, RNN};
use crate::error::{Error, Result};
use crate::layers::build::only_output;
use crate::layers::{Base, Build, Call, Layer, named};
use crate::models::snake_case;
use crate::ops::pointwise::map1;
use crate::record::Scope;
use crate::shape::Shape;
use crate::suggest;
use crate::tensor::Tensor;
use std::slice;
use std::str::FromStr;
use std::sync::Arc;

/// A recurrent layer that goes through sequences forwards, and another one backwards; their outputs are merged, those of the same time step
/// where there are sequences. Inputs `[n, time, inputs]`; further inputs are the initial states of the one, then of the other. Outputs
/// `[n, 2·units]`, or `[n, time, 2·units]`; with `return_state` then the states of the one and of the other. The layers inside are named
/// `forward_lstm` and `backward_lstm`. Default: merged by concatenation.
#[derive(Clone)]
pub struct Bidirectional {
    base: Base,
    forward: Half,
    backward: Half,
    merge: MergeArg,
}

/// How the outputs of two directions become one. Parses from `"concat"`, `"sum"`, `"mul"`, `"ave"` and `"none"`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MergeMode {
    /// Side by side, on the last axis.
    Concat,
    /// Added.
    Sum,
    /// Multiplied.
    Mul,
    /// Their mean.
    Ave,
    /// They do not: there are two outputs.
    None,
}

/// A [`MergeMode`], or the name of one. A wrong name is reported when the layer is built.
#[derive(Clone, Debug)]
pub struct MergeArg(Result<MergeMode>);

/// One direction.
#[derive(Clone)]
struct Half {
    layer: Arc<dyn Layer>,
    go_backwards: bool,
    return_sequences: bool,
    return_state: bool,
}

impl Half {
    fn new<C: Cell>(layer: RNN<C>) -> Half {
        let (go_backwards, return_sequences, return_state) = (layer.go_backwards, layer.return_sequences, layer.return_state);
        Half { layer: Arc::new(layer), go_backwards, return_sequences, return_state }
    }

    /// The options in which two directions must agree.
    fn returns(&self) -> String {
        format!("return_sequences({}) and return_state({})", self.return_sequences, self.return_state)
    }
}

impl Bidirectional {
    /// Two layers with the options of this one, and weights of their own.
    pub fn new<C: Cell>(layer: RNN<C>) -> Bidirectional {
        let own = layer.base.name();
        let name = if own.is_empty() { snake_case(C::KIND) } else { own };
        let forward = layer.anew().named(format!("forward_{name}"));
        let backward = layer.anew().named(format!("backward_{name}")).go_backwards(true);
        Bidirectional {
            base: Base::new("Bidirectional"),
            forward: Half::new(forward),
            backward: Half::new(backward),
            merge: MergeMode::Concat.into(),
        }
    }

    /// How the outputs are merged: a [`MergeMode`] or its name. Default: concatenated.
    #[must_use]
    pub fn merge_mode(mut self, mode: impl Into<MergeArg>) -> Bidirectional {
        self.merge = mode.into();
        self
    }

    /// The layer for the other direction, which must go backwards. Default: one like the first.
    #[must_use]
    pub fn backward_layer<C: Cell>(mut self, layer: RNN<C>) -> Bidirectional {
        self.backward = Half::new(layer);
        self
    }

    named!();

    fn check(&self) -> Result<()> {
        let title = || self.base.title();
        self.merge.0.clone().map_err(|e| e.at(title()))?;
        if self.forward.go_backwards || !self.backward.go_backwards {
            let directions = [&self.forward, &self.backward].map(|half| if half.go_backwards { "backwards" } else { "forwards" });
            let want = "a layer that goes forwards, and one that goes backwards";
            return Err(Error::argument(format!("{}: directions", title()), want, directions.join(" and ")));
        }
        let (forward, backward) = (self.forward.returns(), self.backward.returns());
        if forward == backward { Ok(()) } else { Err(Error::argument(format!("{}: backward_layer", title()), forward, backward)) }
    }

    /// The inputs of each direction: the sequence, and its half of the initial states.
    fn divide<T: Clone>(&self, inputs: &[T]) -> Result<[Vec<T>; 2]> {
        if inputs.len().is_multiple_of(2) {
            let what = format!("{}: inputs", self.base.title());
            return Err(Error::argument(what, "a sequence, or a sequence and initial states for both directions", inputs.len()));
        }
        let (sequence, states) = inputs.split_at(1);
        let (forward, backward) = states.split_at(states.len() / 2);
        Ok([[sequence, forward].concat(), [sequence, backward].concat()])
    }
}

impl Layer for Bidirectional {
    fn base(&self) -> &Base {
        &self.base
    }

    fn build(&self, input: &Shape, cx: &Build) -> Result<()> {
        self.build_all(slice::from_ref(input), cx)
    }

    fn call(&self, x: &Tensor, cx: &Call) -> Result<Tensor> {
        only_output(&self.base, self.call_all(slice::from_ref(x), cx)?)
    }

    fn build_all(&self, inputs: &[Shape], cx: &Build) -> Result<()> {
        self.check()?;
        for (half, inputs) in [&self.forward, &self.backward].into_iter().zip(self.divide(inputs)?) {
            let _scope = Scope::enter(&half.layer.name());
            half.layer.build_all(&inputs, cx)?;
        }
        Ok(())
    }

    fn call_all(&self, xs: &[Tensor], cx: &Call) -> Result<Vec<Tensor>> {
        let [forward, backward] = self.divide(xs)?;
        let run = |half: &Half, xs: Vec<Tensor>| half.layer.apply_all(&xs.iter().collect::<Vec<_>>(), cx);
        let mut outputs = run(&self.forward, forward)?;
        let mut backward = run(&self.backward, backward)?;
        let (a, b) = (outputs.remove(0), backward.remove(0));
        // Backwards, the first output belongs to the last time step.
        let b = if self.backward.return_sequences { b.flip(1)? } else { b };
        let merged = self.merge.0.clone()?.merge(a, b)?;
        Ok(merged.into_iter().chain(outputs).chain(backward).collect())
    }

    fn sublayers(&self) -> Vec<&dyn Layer> {
        vec![self.forward.layer.as_ref(), self.backward.layer.as_ref()]
    }
}

impl MergeMode {
    fn merge(self, a: Tensor, b: Tensor) -> Result<Vec<Tensor>> {
        Ok(match self {
            MergeMode::Concat => vec![Tensor::concat(&[&a, &b], -1)?],
            MergeMode::Sum => vec![a.add(&b)?],
            MergeMode::Mul => vec![a.mul(&b)?],
            MergeMode::Ave => vec![map1(&[&a, &b], |e| (&e[0] + &e[1]) / 2.0)?],
            MergeMode::None => vec![a, b],
        })
    }
}

impl FromStr for MergeMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<MergeMode> {
        use MergeMode::*;
        suggest::find("merge_mode", name, &[("concat", Concat), ("sum", Sum), ("mul", Mul), ("ave", Ave), ("none", None)])
    }
}

impl From<MergeMode> for MergeArg {
    fn from(mode: MergeMode) -> MergeArg {
        MergeArg(Ok(mode))
    }
}
impl From<&str> for MergeArg {
    fn from(name: &str) -> MergeArg {
        MergeArg(name.parse())
    }
}
