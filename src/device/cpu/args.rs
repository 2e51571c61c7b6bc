//! What a CPU kernel sees: its inputs and outputs as slices.

use crate::shape::{DType, Shape, Spec};
use half::f16;
use num_traits::Float;
use rayon::prelude::*;
use std::cell::Cell;
use std::marker::PhantomData;

/// A Rust type that a tensor's elements can have.
pub trait Element: bytemuck::Pod + Send + Sync + PartialOrd + std::fmt::Debug + Default + 'static {
    /// The same type, as a value.
    const DTYPE: DType;
}

macro_rules! element {
    ($($rust:ty = $dtype:ident),*) => { $(impl Element for $rust { const DTYPE: DType = DType::$dtype; })* };
}
element!(f16 = F16, f32 = F32, f64 = F64, u32 = U32, i32 = I32, u8 = U8);

/// A float that the CPU kernels compute in: f32 for users, f64 for checks.
pub trait Real: super::tile::Lanes + Float + std::ops::AddAssign + std::ops::SubAssign + std::ops::MulAssign + std::iter::Sum {
    /// A constant of a formula.
    fn of(value: f64) -> Self;
    /// The value, exactly.
    fn as_f64(self) -> f64;
}

impl Real for f32 {
    fn of(value: f64) -> f32 {
        value as f32
    }
    fn as_f64(self) -> f64 {
        f64::from(self)
    }
}
impl Real for f64 {
    fn of(value: f64) -> f64 {
        value
    }
    fn as_f64(self) -> f64 {
        self
    }
}

/// Runs `$body` with `$t` as the Rust float that `$dtype` is computed in: one kernel body, written once for both.
#[macro_export]
macro_rules! with_real {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            $crate::DType::F64 => {
                type $t = f64;
                $body
            }
            dtype => {
                assert_eq!(dtype.computed(), $crate::DType::F32, "infer lets only floats pass");
                type $t = f32;
                $body
            }
        }
    };
}

/// One tensor's memory while a program runs.
#[derive(Clone, Copy)]
pub(crate) struct Region<'a> {
    pub ptr: *mut u8,
    pub spec: &'a Spec,
}

/// The inputs and outputs of one run of a CPU kernel.
pub struct CpuArgs<'a> {
    inputs: &'a [Region<'a>],
    outputs: &'a [Region<'a>],
    in_place: &'a [Option<usize>],
    scratch: Option<*mut u8>,
    epilogue: Epilogue<'a>,
    taken: Cell<u64>,
    memory: PhantomData<&'a mut u8>,
}

/// What follows a kernel, part by part, while each part of its output is still in cache: see [`Op::takes_epilogue`](crate::record::Op).
#[derive(Clone, Copy, Default)]
pub struct Epilogue<'a>(pub(crate) Option<&'a Apply<'a>>);

/// From the number of a part's first element and its bytes.
pub(crate) type Apply<'a> = dyn Fn(usize, &mut [u8]) + Sync + 'a;

impl Epilogue<'_> {
    /// Hands over a finished part of output 0: its elements from `start` on. Their content is then undefined.
    /// May be called from any thread; every element must be handed over once.
    pub fn apply<T: Element>(self, start: usize, part: &mut [T]) {
        if let Some(apply) = self.0
            && !part.is_empty()
        {
            apply(start, bytemuck::cast_slice_mut(part));
        }
    }

    /// [`Epilogue::apply`] to all of output 0, on all threads: for kernels that finish it all at once.
    pub fn apply_to_all<T: Element>(self, y: &mut [T]) {
        const TASK: usize = 1 << 14;
        if self.0.is_some() {
            y.par_chunks_mut(TASK).enumerate().for_each(|(task, part)| self.apply(task * TASK, part));
        }
    }
}

impl<'a> CpuArgs<'a> {
    /// # Safety
    /// Every pointer is aligned to 8 bytes and valid for its spec's bytes during `'a`. Outputs overlap no other output, and no input
    /// except the one that `in_place` names. Nothing else writes to any of them during `'a`.
    pub(crate) unsafe fn new(inputs: &'a [Region<'a>], outputs: &'a [Region<'a>], in_place: &'a [Option<usize>]) -> CpuArgs<'a> {
        CpuArgs { inputs, outputs, in_place, scratch: None, epilogue: Epilogue(None), taken: Cell::new(0), memory: PhantomData }
    }

    /// With memory of the op's own, under the same promises as the outputs.
    pub(crate) fn with_scratch(self, scratch: Option<*mut u8>) -> CpuArgs<'a> {
        CpuArgs { scratch, ..self }
    }

    pub(crate) fn with_epilogue(self, epilogue: Epilogue<'a>) -> CpuArgs<'a> {
        CpuArgs { epilogue, ..self }
    }

    /// What to call with every finished part of output 0. Only an op that said so in `Op::takes_epilogue` needs to.
    pub fn epilogue(&self) -> Epilogue<'a> {
        self.epilogue
    }

    pub(crate) fn scratch(&self) -> Option<*mut u8> {
        self.scratch
    }

    /// The memory of input `i`, which no output took over.
    pub(crate) fn input_region(&self, i: usize) -> Region<'a> {
        assert!(!self.in_place.contains(&Some(i)), "input {i} was taken over by an output");
        self.inputs[i]
    }

    /// The memory of output `j`, instead of [`CpuArgs::output`].
    pub(crate) fn take_output(&self, j: usize) -> Region<'a> {
        self.take(j);
        self.outputs[j]
    }

    fn take(&self, j: usize) {
        assert_eq!(self.taken.get() & (1 << j), 0, "output {j} is asked for twice");
        self.taken.set(self.taken.get() | (1 << j));
    }

    /// How many inputs there are.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// How many outputs there are.
    pub fn output_count(&self) -> usize {
        self.outputs.len()
    }

    /// Shape and element type of input `i`.
    pub fn input_spec(&self, i: usize) -> &'a Spec {
        self.inputs[i].spec
    }

    /// Shape and element type of output `j`.
    pub fn output_spec(&self, j: usize) -> &'a Spec {
        self.outputs[j].spec
    }

    /// Shape of input `i`.
    pub fn input_shape(&self, i: usize) -> &'a Shape {
        &self.inputs[i].spec.shape
    }

    /// Shape of output `j`.
    pub fn output_shape(&self, j: usize) -> &'a Shape {
        &self.outputs[j].spec.shape
    }

    /// The input whose memory output `j` has taken over: it must be read through [`CpuArgs::output`], before it is written.
    /// Only an op that said so in `Op::may_overwrite` ever meets one.
    pub fn in_place(&self, j: usize) -> Option<usize> {
        self.in_place[j]
    }

    /// The elements of input `i`.
    pub fn input<T: Element>(&self, i: usize) -> &'a [T] {
        let region = self.inputs[i];
        assert_eq!(region.spec.dtype, T::DTYPE, "input {i}");
        assert!(!self.in_place.contains(&Some(i)), "input {i} was taken over by an output");
        // SAFETY: by the contract of `new` the region is valid, aligned, and no output that could be written overlaps it.
        unsafe { std::slice::from_raw_parts(region.ptr.cast::<T>(), region.spec.shape.elements()) }
    }

    /// The elements of output `j`, to be filled. They hold what was there before. May be asked for once.
    pub fn output<T: Element>(&self, j: usize) -> &'a mut [T] {
        let region = self.outputs[j];
        assert_eq!(region.spec.dtype, T::DTYPE, "output {j}");
        self.take(j);
        // SAFETY: as for `input`; `taken` makes this the only slice of the region that is ever handed out.
        unsafe { std::slice::from_raw_parts_mut(region.ptr.cast::<T>(), region.spec.shape.elements()) }
    }
}
