//! A compiled recording: a flat list of kernel runs over planned memory.

use super::Graph;
use super::plan::{Plan, Slot, Step, plan};
use crate::clock::Stopwatch;
use crate::device::gpu::{GpuProgram, tune};
use crate::device::{Device, Storage, cpu};
use crate::error::{Error, Result};
use crate::ops::pointwise::Fused;
use crate::record::draw::{self, Captions};
use crate::shape::Spec;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// A compiled recording. Running it again costs its kernels and nothing else.
pub struct Program {
    /// What it was made of, for drawing it.
    graph: Graph,
    plan: Plan,
    gpu: Option<GpuProgram>,
    live_bytes: usize,
    build_time: Duration,
}

impl Program {
    pub(crate) fn build(device: &Device, graph: Graph) -> Result<Program> {
        let start = Stopwatch::start();
        let live_bytes = graph.nodes.iter().filter(|n| !n.op.is_view()).flat_map(|n| &n.outputs).map(|&y| graph.values[y].bytes()).sum();
        let (plan, gpu) = match device {
            Device::Cpu(_) => {
                let plan = plan(&graph, |step| {
                    crate::testing::observe(step);
                    let fused = (&*step.op as &dyn Any).downcast_ref::<Fused>();
                    Ok(fused.and_then(|op| op.scratch(&step.inputs, &step.outputs, &step.in_place)).into_iter().collect())
                })?;
                (plan, None)
            }
            Device::Gpu(gpu) => {
                let mut lowered = Vec::new();
                let plan = plan(&graph, |step| {
                    let (dispatches, scratch) = tune::lower(device, gpu, step)?;
                    lowered.push(dispatches);
                    Ok(scratch)
                })?;
                let program = GpuProgram::build(gpu, &plan, lowered)?;
                (plan, Some(program))
            }
        };
        let program = Program { graph, plan, gpu, live_bytes, build_time: start.elapsed() };
        device.counters().programs_built();
        Ok(program)
    }

    /// Runs the program. The memory of inputs that were declared overwritable must be the caller's alone.
    pub(crate) fn run(&self, device: &Device, inputs: Vec<Arc<Storage>>) -> Result<Vec<Arc<Storage>>> {
        let mut slots = Vec::with_capacity(self.plan.slots.len());
        for (number, slot) in self.plan.slots.iter().enumerate() {
            slots.push(match slot {
                Slot::Input(number) => inputs[*number].clone(),
                Slot::Output { bytes } | Slot::Temporary { bytes } => device.allocate(*bytes).map_err(|e| self.name_the_need(e, number))?,
            });
        }
        drop(inputs);
        match (device, &self.gpu) {
            (Device::Gpu(gpu), Some(program)) => program.run(gpu, &self.plan, &slots)?,
            _ => cpu::run(&self.plan, &slots)?,
        }
        device.counters().program_ran();
        let outputs = self.plan.outputs.iter().map(|&slot| slots[slot].clone()).collect();
        // Given back last first, so that the next run finds the same memory in the same order and its bind groups stay right.
        while slots.pop().is_some() {}
        Ok(outputs)
    }

    /// Says in an error of memory for a slot which operation it is for: the one that needs most of those that share it.
    fn name_the_need(&self, error: Error, slot: usize) -> Error {
        let uses = |step: &&Step| step.output_slots.contains(&slot) || step.scratch_slots.contains(&slot);
        let size = |step: &&Step| step.outputs.iter().map(Spec::bytes).max();
        match (error, self.plan.steps.iter().filter(uses).max_by_key(size)) {
            (Error::OutOfMemory { bytes, limit, hint, .. }, Some(step)) => {
                let hint = format!("{hint}; the whole program needs {} bytes beyond its inputs", self.planned_bytes());
                Error::OutOfMemory { what: format!("{} at {}", step.op.name(), step.site), bytes, limit, hint }
            }
            (error, _) => error,
        }
    }

    /// Kernel runs per replay: dispatches on a GPU, operations on the CPU.
    pub fn dispatches(&self) -> usize {
        self.gpu.as_ref().map_or(self.plan.steps.len(), GpuProgram::dispatches)
    }

    /// Bytes that the program needs beyond its inputs.
    pub fn planned_bytes(&self) -> usize {
        self.plan.bytes()
    }

    /// Bytes that it would need if no two values shared memory.
    pub fn unplanned_bytes(&self) -> usize {
        self.live_bytes
    }

    /// How long it took to compile.
    pub fn build_time(&self) -> Duration {
        self.build_time
    }

    /// What it computes as a graph in Graphviz's language, in the order in which it runs. Its inputs have numbers only: the same program serves
    /// whoever records the same. [`Function::to_dot`](crate::Function::to_dot) knows their names.
    pub fn to_dot(&self) -> String {
        draw::dot("program", &self.graph, &Captions { arguments: self.graph.inputs.len(), ..Captions::default() })
    }

    /// The operations that run, in order, each with its outputs' specs.
    pub fn steps(&self) -> impl Iterator<Item = String> + '_ {
        self.plan.steps.iter().map(|s| {
            let outputs: Vec<String> = s.outputs.iter().map(ToString::to_string).collect();
            format!("{} -> {} at {}", s.op.label(), outputs.join(", "), s.site)
        })
    }
}
