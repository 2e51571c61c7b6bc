//! `Inlet`: an expression that a CPU kernel evaluates part by part where it would read a tensor.

use super::Pointwise;
use super::cpu::Job;
use crate::device::cpu::{Real, Region};
use crate::shape::Spec;
use std::ops::Range;

/// An expression and the tensors that it reads.
pub(crate) struct Inlet(Job);

impl Inlet {
    /// `outputs` is what the expression makes of `inputs`.
    pub fn new(op: &Pointwise, inputs: &[Region], outputs: &[Spec]) -> Inlet {
        let outputs: Vec<Region> = outputs.iter().map(|spec| Region { ptr: std::ptr::null_mut(), spec }).collect();
        Inlet(Job::new(op, inputs, &outputs, None))
    }

    /// How many outputs there are.
    pub fn outputs(&self) -> usize {
        self.0.output_count()
    }

    /// Evaluates the elements of `range`: those of output `j` go to the `j`th of equal parts of `to`. All outputs are of this type.
    pub fn fill<T: Real>(&self, range: Range<usize>, to: &mut [T]) {
        self.0.fill(range, to);
    }
}
