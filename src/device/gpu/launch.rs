//! What an op's GPU launch sees and fills: the dispatches that compute its outputs.

use super::shader::Shader;
use super::tune::{Choice, Open};
use crate::error::{Error, Result};
use crate::shape::{DType, Shape, Spec};

/// A buffer that a dispatch binds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Buffer {
    /// The op's input of this number.
    Input(usize),
    /// The op's output of this number.
    Output(usize),
    /// A buffer that only this op uses, from [`Launch::scratch`].
    Scratch(usize),
}

/// What kernels may be chosen by: never by what was measured, so that one adapter always computes the same bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdapterTraits {
    /// A CPU that plays a GPU (lavapipe, SwiftShader): barriers and workgroup memory are slow there, registers are not.
    pub software: bool,
    /// Threads of a subgroup, on a software adapter where that is one fixed number and shaders may hand values around in it; else 0.
    pub lanes: u32,
    /// Whether vectors are to be loaded and stored in pairs of 64 bits: on a software adapter that can, where a load of a vector costs about as
    /// much as it has components, however wide these are.
    pub pairs: bool,
    /// The largest number of bytes that one binding may hold.
    pub max_binding: u64,
}

/// One dispatch, before its pipeline and bind group are made.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The specialised source.
    pub shader: Shader,
    /// Buffers in order of binding number.
    pub buffers: Vec<Buffer>,
    /// The parameter block, as the shader's `struct Params` lists it: u32 fields in order.
    pub params: Vec<u32>,
    /// Workgroups along each dimension.
    pub groups: [u32; 3],
}

/// The launch of one op: its specs, and the dispatches that it adds.
pub struct Launch<'a> {
    inputs: &'a [Spec],
    outputs: &'a [Spec],
    in_place: &'a [Option<usize>],
    adapter: AdapterTraits,
    scratch: Vec<usize>,
    dispatches: Vec<Dispatch>,
    choice: Choice<'a>,
    open: Option<Open>,
}

/// Workgroups in the first dimension before a grid folds into the second. Shaders that are launched by [`Launch::threads`]
/// find their thread's number as `(group.y * 65535u + group.x) * SIZE + lane`.
pub const FOLD: u32 = 65_535;

impl<'a> Launch<'a> {
    /// A launch with nothing in it. Tests make one to see an op's shaders without a GPU.
    pub fn new(inputs: &'a [Spec], outputs: &'a [Spec], in_place: &'a [Option<usize>], adapter: AdapterTraits) -> Launch<'a> {
        Launch { inputs, outputs, in_place, adapter, scratch: Vec::new(), dispatches: Vec::new(), choice: Choice::Usual, open: None }
    }

    pub(super) fn choosing(self, choice: Choice<'a>) -> Launch<'a> {
        Launch { choice, ..self }
    }

    /// Which of several kernels for the same computation to take. The first is the one that a fixed rule takes. `what` says what is computed, in
    /// one line.
    pub(crate) fn choose(&mut self, what: impl FnOnce() -> String, kernels: &[String]) -> usize {
        let find = |name: &String| kernels.iter().position(|kernel| kernel == name);
        match self.choice {
            _ if kernels.len() == 1 => 0,
            Choice::Usual => 0,
            Choice::Forced(forced, kernel) => {
                if what() == forced {
                    kernel
                } else {
                    0
                }
            }
            Choice::Known(known) => {
                let what = what();
                known.get(&what).and_then(find).unwrap_or_else(|| {
                    self.open.get_or_insert(Open { what, kernels: kernels.to_vec() });
                    0
                })
            }
        }
    }

    /// The launch of an operation inside this one, to be given back to [`Launch::end_inner`].
    pub(crate) fn inner<'b>(&self, inputs: &'b [Spec], outputs: &'b [Spec], in_place: &'b [Option<usize>]) -> Launch<'b>
    where
        'a: 'b,
    {
        Launch::new(inputs, outputs, in_place, self.adapter).choosing(self.choice)
    }

    /// The dispatches of an operation inside this one, and its scratch buffers, which are this one's from now on.
    pub(crate) fn end_inner(&mut self, inner: Launch) -> (Vec<Dispatch>, Vec<Buffer>) {
        if self.open.is_none() {
            self.open = inner.open;
        }
        (inner.dispatches, inner.scratch.into_iter().map(|bytes| self.scratch(bytes / 4)).collect())
    }

    /// The first choice that nobody has made yet.
    pub(super) fn take_open(&mut self) -> Option<Open> {
        self.open.take()
    }

    /// Shape and element type of input `i`.
    pub fn input(&self, i: usize) -> &'a Spec {
        &self.inputs[i]
    }

    /// How many inputs there are.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// Shape and element type of output `j`.
    pub fn output(&self, j: usize) -> &'a Spec {
        &self.outputs[j]
    }

    /// How many outputs there are.
    pub fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// Shape of input `i`.
    pub fn input_shape(&self, i: usize) -> &'a Shape {
        &self.inputs[i].shape
    }

    /// Shape of output `j`.
    pub fn output_shape(&self, j: usize) -> &'a Shape {
        &self.outputs[j].shape
    }

    /// The input whose buffer output `j` has taken over; it must then be bound once, as the output.
    pub fn in_place(&self, j: usize) -> Option<usize> {
        self.in_place[j]
    }

    /// What the adapter is like.
    pub fn adapter(&self) -> AdapterTraits {
        self.adapter
    }

    /// A buffer of `words` 32-bit words that lives as long as this op. Its content is undefined: write before reading.
    pub fn scratch(&mut self, words: usize) -> Buffer {
        self.scratch.push(words * 4);
        Buffer::Scratch(self.scratch.len() - 1)
    }

    /// Refuses f64, which no GPU here computes in.
    ///
    /// # Errors
    /// [`Error::DType`] naming the op.
    pub fn no_f64(&self, op: &str) -> Result<()> {
        match self.inputs.iter().chain(self.outputs).find(|s| s.dtype == DType::F64) {
            Some(spec) => Err(Error::dtype(op, "f32 on a GPU", spec.dtype)),
            None => Ok(()),
        }
    }

    /// Adds a dispatch over a grid of workgroups. Buffers stand in order of binding number. Nothing is added for an empty grid.
    pub fn dispatch(&mut self, shader: Shader, buffers: &[Buffer], params: &[u32], groups: [u32; 3]) {
        assert!(groups.iter().all(|g| *g <= FOLD), "{}: a grid of {groups:?}", shader.name());
        assert_eq!(shader.has_params(), !params.is_empty(), "{}: params", shader.name());
        if groups.contains(&0) {
            return;
        }
        self.push(Dispatch { shader, buffers: buffers.to_vec(), params: params.to_vec(), groups });
    }

    pub(crate) fn push(&mut self, dispatch: Dispatch) {
        assert_eq!(dispatch.shader.bindings().len(), dispatch.buffers.len(), "{}: bindings", dispatch.shader.name());
        self.dispatches.push(dispatch);
    }

    /// Adds a dispatch of at least `threads` threads in workgroups of `size`, folded into the second dimension above [`FOLD`] groups.
    pub fn threads(&mut self, shader: Shader, buffers: &[Buffer], params: &[u32], threads: usize, size: u32) {
        let groups = u32::try_from(threads.div_ceil(size as usize)).expect("more than 2^32 workgroups");
        let grid = if groups <= FOLD { [groups, 1, 1] } else { [FOLD, groups.div_ceil(FOLD), 1] };
        self.dispatch(shader, buffers, params, if groups == 0 { [0, 1, 1] } else { grid });
    }

    /// The dispatches in order, and the sizes of the scratch buffers in bytes. Shaders load and store f16 where a tensor is of f16, and
    /// pairs where the adapter is better off with them.
    pub fn finish(self) -> (Vec<Dispatch>, Vec<usize>) {
        let dtype = |buffer: &Buffer| match *buffer {
            Buffer::Input(i) => Some(self.inputs[i].dtype),
            Buffer::Output(j) => Some(self.outputs[j].dtype),
            Buffer::Scratch(_) => None,
        };
        let stored = |mut dispatch: Dispatch| {
            for (number, _) in dispatch.buffers.iter().enumerate().filter(|(_, buffer)| dtype(buffer) == Some(DType::F16)) {
                dispatch.shader = dispatch.shader.with_halves(number);
            }
            if self.adapter.pairs {
                dispatch.shader = dispatch.shader.with_pairs();
            }
            dispatch.shader = dispatch.shader.enabled();
            dispatch
        };
        (self.dispatches.into_iter().map(stored).collect(), self.scratch)
    }
}
