//! How the elements of an expression's inputs are found in memory.

use super::schedule::Reading;
use crate::shape::{DType, Shape};

/// How the elements of an input are found.
pub(super) enum Access {
    /// Element `i` for output element `i`.
    Same,
    /// The only element.
    Scalar,
    /// The input is the last axes of the output, over and over: element `i % period`.
    Cycle(usize),
    /// `(length, step in the output, stride in the input)` of each axis.
    Strided(Vec<(usize, usize, usize)>),
}

impl Access {
    pub fn of(input: &Shape, output: &Shape) -> Access {
        let n = input.elements();
        if input.elements() == output.elements() {
            return Access::Same;
        }
        if n == 1 {
            return Access::Scalar;
        }
        let strides = input.broadcast_strides(output);
        let dense = output.strides();
        let first = (0..output.rank()).find(|&axis| strides[axis] != 0 && output[axis] > 1).unwrap_or(output.rank());
        if (first..output.rank()).all(|axis| output[axis] == 1 || strides[axis] == dense[axis]) {
            return Access::Cycle(n);
        }
        Access::Strided((0..output.rank()).map(|axis| (output[axis], dense[axis], strides[axis])).collect())
    }

    /// How such an input of this type is read.
    pub fn reading(&self, kind: DType) -> Reading {
        match self {
            Access::Scalar => Reading::Once,
            // Bytes are computed with as words.
            Access::Same if kind != DType::U8 => Reading::InPlace,
            _ => Reading::Loaded,
        }
    }
}

/// Where an input or output begins. Tasks write to parts that do not overlap.
#[derive(Clone, Copy)]
pub(super) struct Base(pub *mut u8);

// SAFETY: each task reads and writes its own range of elements of an output, and inputs are only read, except one that an output took over,
// where a task reads its own range before it writes it.
unsafe impl Sync for Base {}
// SAFETY: as above.
unsafe impl Send for Base {}

/// Fills a register with the elements from `start` on, counted in the output.
///
/// # Safety
/// `access` was made for this input and an output of as many elements, and nobody writes to these of the input meanwhile.
#[inline(always)]
pub(super) unsafe fn fill<E: Copy>(register: &mut [E], base: *const E, access: &Access, start: usize) {
    let n = register.len();
    // SAFETY: the caller's promise: every index lies inside the input.
    unsafe {
        match access {
            Access::Same => register.copy_from_slice(std::slice::from_raw_parts(base.add(start), n)),
            Access::Scalar => register.fill(*base),
            Access::Cycle(period) => {
                // Once around from the tensor, then in pieces that double: a short one would be copied many times.
                let from = start % period;
                let end = (period - from).min(n);
                let begin = from.min(n - end);
                register[..end].copy_from_slice(std::slice::from_raw_parts(base.add(from), end));
                register[end..end + begin].copy_from_slice(std::slice::from_raw_parts(base, begin));
                let mut done = end + begin;
                while done < n {
                    let count = done.min(n - done);
                    register.copy_within(..count, done);
                    done += count;
                }
            }
            Access::Strided(axes) => {
                for (k, value) in register.iter_mut().enumerate() {
                    let index: usize = axes.iter().map(|(length, step, stride)| (start + k) / step % length * stride).sum();
                    *value = *base.add(index);
                }
            }
        }
    }
}
