//! What the engine knows of an operation, and what an operation sees when it runs.

use crate::device::Device;
use crate::error::Result;
use crate::shape::{DType, Spec};
use crate::tensor::Tensor;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

pub use crate::device::cpu::{CpuArgs, Epilogue};
pub use crate::device::gpu::launch::{Buffer, Launch};
pub use crate::device::gpu::shader::Shader;

/// Everything the engine knows of an operation.
///
/// An op is a small value that holds the operation's parameters, never its tensors. Its `Debug` text is its identity: two ops with the
/// same text are the same operation, and programs are cached by it. Derive `Debug` and keep every parameter a field.
pub trait Op: Any + fmt::Debug + Send + Sync {
    /// The name that errors and drawings show: `conv2d`.
    fn name(&self) -> &'static str;

    /// What drawings and lists of a program call it: its name, unless it is made of several operations.
    fn label(&self) -> String {
        self.name().into()
    }

    /// The specs of the outputs, or why the inputs do not fit. Called at the user's call, before anything is recorded.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::DType`](crate::Error::DType): inputs that do not fit.
    fn infer(&self, inputs: &[Spec]) -> Result<Vec<Spec>>;

    /// The gradient of each input, made of tensor operations: `None` where there is none, or where `cx.wants(i)` is false.
    /// It returns gradients; only the tape adds them up.
    ///
    /// # Errors
    /// Whatever the tensor operations return.
    fn grad(&self, cx: &GradCx) -> Result<Vec<Option<Tensor>>>;

    /// The CPU kernel: fills every output from the inputs, in f32 or, for checks, in f64.
    ///
    /// # Errors
    /// What only the values can tell: a label out of range.
    fn cpu(&self, args: &mut CpuArgs) -> Result<()>;

    /// The GPU launch: one or more dispatches that fill every output. Called once, when a program is built.
    ///
    /// # Errors
    /// [`Error::DType`](crate::Error::DType) for a type that only the CPU has.
    fn gpu(&self, launch: &mut Launch) -> Result<()>;

    /// For each output, the inputs whose memory it may take over when nobody reads them later. The kernels then find
    /// `in_place(output) == Some(input)`. Most operations read around and cannot: the default is none.
    fn may_overwrite(&self, _inputs: &[Spec], output: usize) -> Vec<usize> {
        let _ = output;
        Vec::new()
    }

    /// Whether another operation may be made to work on its first output before that leaves the kernel. For that the CPU kernel
    /// hands each finished part of it to [`CpuArgs::epilogue`], and in WGSL every result is stored by `fn put(i: u32, v: f32) { y[i] = v; }`
    /// (or with vectors, which `i` then counts), where `y` is the last binding of group 0.
    fn takes_epilogue(&self) -> bool {
        false
    }

    /// An operation that gives this one's outputs and after them those of `other`, an operation on some of the same inputs, from number `shared`
    /// on: where one pass over memory makes both.
    fn together(&self, other: &dyn Op, shared: usize, device: &Device) -> Option<Arc<dyn Op>> {
        let _ = (other, shared, device);
        None
    }

    /// Whether the only output is the first input's memory under another shape. Such an op is never run.
    fn is_view(&self) -> bool {
        false
    }
}

/// What an op's gradient may use.
pub struct GradCx<'a> {
    /// The op's inputs.
    pub inputs: &'a [Tensor],
    /// The op's outputs.
    pub outputs: &'a [Tensor],
    /// The gradient of the loss by each output; `None` for an output that the loss does not depend on.
    pub dys: &'a [Option<Tensor>],
    /// Which inputs lead to something that a gradient was asked for.
    pub wanted: &'a [bool],
}

impl GradCx<'_> {
    /// The gradient by the op's only output.
    pub fn dy(&self) -> &Tensor {
        assert_eq!(self.dys.len(), 1, "dy() is for ops with one output");
        self.dys[0].as_ref().expect("the tape visits an op only when its output has a gradient")
    }

    /// Whether the gradient by input `i` is of use to anyone.
    pub fn wants(&self, i: usize) -> bool {
        self.wanted[i]
    }

    /// `Some(f())` if the gradient by input `i` is wanted.
    pub fn when(&self, i: usize, f: impl FnOnce() -> Result<Tensor>) -> Result<Option<Tensor>> {
        if self.wants(i) { f().map(Some) } else { Ok(None) }
    }
}

/// The element type shared by all inputs of a float operation.
///
/// # Errors
/// [`Error::DType`](crate::Error::DType) if an input is not a float or differs from the first.
pub fn float_dtype(op: &str, inputs: &[Spec]) -> Result<DType> {
    let first = inputs[0].dtype;
    if !first.is_float() {
        return Err(crate::Error::dtype(op, "f32", first));
    }
    match inputs.iter().find(|s| s.dtype != first) {
        Some(other) => Err(crate::Error::dtype(op, format!("{first} like the first input"), other.dtype)),
        None => Ok(first),
    }
}
