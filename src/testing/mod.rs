//! The harness that operations are checked with: here, and in the crate of whoever writes an op of their own.
//!
//! [`check`] compares the CPU kernel with a reference, every gradient with finite differences in f64 under a random upstream gradient, gradients
//! of gradients likewise, f32 with f64, the GPU with the CPU, and a second run with the first bit by bit. Comparisons are written so that doubt
//! fails: a NaN is close to nothing, and lengths are compared first.

#[cfg(not(target_arch = "wasm32"))]
mod adapter;
#[cfg(not(target_arch = "wasm32"))]
mod check;
mod compare;
mod shaders;

#[cfg(not(target_arch = "wasm32"))]
pub use check::{Check, Input, check, float, floats, index, values};
pub use compare::{close, same_bits};
pub use shaders::shaders_of;
pub(crate) use shaders::{observe, observing};

#[cfg(test)]
pub(crate) use adapter::own_gpu;
#[cfg(not(target_arch = "wasm32"))]
pub use adapter::{gpu, gpu_with_hardware_kernels};

/// Compiles what `f` computes on this thread without fusing operations, as `GRADUS_FUSE=0` does for a whole process: to compare with.
pub fn without_fusion<R>(f: impl FnOnce() -> R) -> R {
    crate::compile::fuse::without(f)
}

/// Leaves the data that `f` trains on and evaluates on this thread on the host, as data are left that do not fit on the device: to compare with.
pub fn with_data_on_the_host<R>(f: impl FnOnce() -> R) -> R {
    crate::train::on_host(f)
}
