//! The CPU device: runs a program's operations one after the other, each in parallel inside.

mod args;
pub mod gemm;
mod halves;
mod memory;
mod narrow;
pub mod tile;

pub(crate) use args::Region;
pub use args::{CpuArgs, Element, Epilogue, Real};
pub(crate) use memory::CpuMemory;

use super::{Common, Memory, Storage, profile};
use crate::compile::plan::{Plan, Step};
use crate::error::Result;
use crate::shape::DType;
use std::fmt;
use std::sync::Arc;

/// The processor as a device.
pub struct Cpu {
    pub(crate) common: Common,
}

impl Cpu {
    pub(crate) fn new() -> Arc<Cpu> {
        Arc::new(Cpu { common: Common::new() })
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "CPU ({} threads)", rayon::current_num_threads())
    }
}

/// Runs the plan over these slots, which the caller holds and nobody else writes to.
pub(crate) fn run(plan: &Plan, slots: &[Arc<Storage>]) -> Result<()> {
    for step in &plan.steps {
        profile::timed(step, || run_step(step, slots)).map_err(|error| error.at(step.site.to_string()))?;
    }
    Ok(())
}

fn run_step(step: &Step, slots: &[Arc<Storage>]) -> Result<()> {
    let inputs: Vec<Region> = step.input_slots.iter().zip(&step.inputs).map(|(&slot, spec)| region(&slots[slot], spec)).collect();
    let outputs: Vec<Region> = step.output_slots.iter().zip(&step.outputs).map(|(&slot, spec)| region(&slots[slot], spec)).collect();
    if step.inputs.iter().chain(&step.outputs).any(|spec| spec.dtype == DType::F16) {
        return halves::run(step, &inputs, &outputs, !step.scratch_slots.is_empty());
    }
    let scratch = step.scratch_slots.first().map(|&slot| memory(&slots[slot]).as_ptr());
    // SAFETY: the planner gives every value of a step memory of its own size that overlaps nothing else alive, but for the pairs in
    // `in_place`; slots are aligned to 64 bytes and held by `slots` during the call; a program's outputs and overwritable inputs are
    // reachable by nobody else, and its other inputs are never written.
    let mut args = unsafe { CpuArgs::new(&inputs, &outputs, &step.in_place) }.with_scratch(scratch);
    step.op.cpu(&mut args)
}

fn region<'a>(storage: &Storage, spec: &'a crate::shape::Spec) -> Region<'a> {
    assert!(spec.bytes() <= storage.bytes(), "the planner gave {spec} too little memory");
    Region { ptr: memory(storage).as_ptr(), spec }
}

fn memory(storage: &Storage) -> &CpuMemory {
    let Memory::Cpu(memory) = storage.memory() else { unreachable!("a CPU program runs over CPU memory") };
    memory
}
