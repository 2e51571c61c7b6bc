//! Operations on f16: they see f32, in copies. What they make is rounded when they are done.
//!
//! A processor computes in f32 either way, so f16 is for GPUs; here it gives the same numbers, not more speed.

use super::{CpuArgs, CpuMemory, Region};
use crate::compile::plan::Step;
use crate::error::{Error, Result};
use crate::shape::{DType, Spec};
use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

/// Elements that one task converts.
const TASK: usize = 1 << 15;

/// Runs a step of which some tensors are of f16, under the promises of [`CpuArgs::new`] for these regions.
pub(super) fn run(step: &Step, inputs: &[Region], outputs: &[Region], scratch: bool) -> Result<()> {
    let [input_specs, output_specs] = [&step.inputs, &step.outputs].map(|specs| specs.iter().map(computed).collect::<Vec<Spec>>());
    let mut copies: Vec<CpuMemory> = Vec::new();
    let mut copy = |spec: &Spec| {
        let memory = CpuMemory::new(spec.bytes()).ok_or_else(|| Error::OutOfMemory {
            what: format!("a copy of {spec} for {}", step.op.name()),
            bytes: spec.bytes() as u64,
            limit: None,
            hint: "the system has not so much memory; use a smaller batch or model".into(),
        })?;
        let ptr = memory.as_ptr();
        copies.push(memory);
        Ok::<_, Error>(ptr)
    };
    let mut widened = Vec::with_capacity(inputs.len());
    for (region, spec) in inputs.iter().zip(&input_specs) {
        widened.push(match region.spec.dtype {
            DType::F16 => Region { ptr: copy(spec)?, spec },
            _ => Region { ptr: region.ptr, spec },
        });
        widen(region, &widened[widened.len() - 1]);
    }
    let mut made = Vec::with_capacity(outputs.len());
    for (j, (region, spec)) in outputs.iter().zip(&output_specs).enumerate() {
        made.push(match (region.spec.dtype, step.in_place[j]) {
            (DType::F16, Some(taken)) => widened[taken],
            (DType::F16, None) => Region { ptr: copy(spec)?, spec },
            _ => Region { ptr: region.ptr, spec },
        });
    }
    let scratch = if scratch { Some(copy(&output_specs[0])?) } else { None };
    // SAFETY: copies overlap nothing and live until the end of this function; an output that takes an input over has that input's copy, as it
    // has its memory where both are f32; for all other regions the caller made these promises.
    let mut args = unsafe { CpuArgs::new(&widened, &made, &step.in_place) }.with_scratch(scratch);
    step.op.cpu(&mut args)?;
    for (region, made) in outputs.iter().zip(&made) {
        round(region, made);
    }
    Ok(())
}

fn computed(spec: &Spec) -> Spec {
    Spec::new(spec.shape.clone(), spec.dtype.computed())
}

/// Fills the copy of a tensor of f16; one of another type has none.
fn widen(from: &Region, copy: &Region) {
    if from.spec.dtype != DType::F16 {
        return;
    }
    let elements = from.spec.shape.elements();
    // SAFETY: the region holds so many f16, which nobody writes while this runs.
    let halves = unsafe { std::slice::from_raw_parts(from.ptr.cast::<f16>(), elements) };
    // SAFETY: the copy holds as many f32, and nobody else has it yet.
    let floats = unsafe { std::slice::from_raw_parts_mut(copy.ptr.cast::<f32>(), elements) };
    floats.par_chunks_mut(TASK).zip(halves.par_chunks(TASK)).for_each(|(floats, halves)| halves.convert_to_f32_slice(floats));
}

/// Fills a tensor of f16 from its copy.
fn round(to: &Region, copy: &Region) {
    if to.spec.dtype != DType::F16 {
        return;
    }
    let elements = to.spec.shape.elements();
    // SAFETY: the copy holds so many f32, which the operation has written and nobody writes any more.
    let floats = unsafe { std::slice::from_raw_parts(copy.ptr.cast::<f32>(), elements) };
    // SAFETY: the region holds as many f16, and as an output it is this step's alone.
    let halves = unsafe { std::slice::from_raw_parts_mut(to.ptr.cast::<f16>(), elements) };
    halves.par_chunks_mut(TASK).zip(floats.par_chunks(TASK)).for_each(|(halves, floats)| halves.convert_from_f32_slice(floats));
}
