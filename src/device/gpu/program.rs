//! A program on a GPU: pipelines, one parameter buffer, and bind groups that last as long as the memory they name.

use super::pipelines::{PARAMS, Pipeline};
use super::queue::Cost;
use super::shader::PARAMS_BINDING;
use super::{Buffer, Dispatch, Gpu};
use crate::compile::plan::Plan;
use crate::device::{Memory, Storage, profile};
use crate::error::Result;
use crate::tensor::lock;
use std::ops::Range;
use std::sync::{Arc, Mutex};

pub(crate) struct GpuProgram {
    launches: Vec<Launched>,
    /// The launches of each step of the plan.
    steps: Vec<Range<usize>>,
    /// The parameter blocks of all launches.
    params: Option<wgpu::Buffer>,
    /// For each launch, the bind groups of the last runs and the memory that they name.
    bound: Mutex<Vec<Vec<Bound>>>,
    cost: Arc<Cost>,
}

/// A variable that is read after it was assigned alternates between two memories, and values that leave a program come back to the pool in the
/// order they are dropped: so many bind groups of a launch are kept that such cycles find their own again.
const KEPT: usize = 8;

struct Launched {
    pipeline: Arc<Pipeline>,
    slots: Vec<usize>,
    /// Where the launch's parameter block begins, if its shader reads one.
    params_at: Option<u64>,
    groups: [u32; 3],
}

struct Bound {
    group: wgpu::BindGroup,
    memory: Vec<u64>,
}

impl GpuProgram {
    pub fn build(gpu: &Gpu, plan: &Plan, lowered: Vec<Vec<Dispatch>>) -> Result<GpuProgram> {
        let (mut launches, mut steps) = (Vec::new(), Vec::new());
        let mut params: Vec<u8> = Vec::new();
        gpu.pipelines.prepare(&gpu.device, &gpu.common.counters, lowered.iter().flatten().map(|dispatch| &dispatch.shader));
        for (step, dispatches) in plan.steps.iter().zip(lowered) {
            let first = launches.len();
            for dispatch in dispatches {
                let slot = |buffer: &Buffer| match *buffer {
                    Buffer::Input(i) => step.input_slots[i],
                    Buffer::Output(j) => step.output_slots[j],
                    Buffer::Scratch(k) => step.scratch_slots[k],
                };
                let pipeline = gpu.pipelines.get(&gpu.device, &gpu.common.counters, &dispatch.shader);
                let params_at = pipeline.has_params.then_some(params.len() as u64);
                if pipeline.has_params {
                    let block: &[u8] = bytemuck::cast_slice(&dispatch.params);
                    assert!(block.len() as u64 <= PARAMS, "{}: more than {PARAMS} bytes of parameters", dispatch.shader.name());
                    params.extend_from_slice(block);
                    params.resize(params.len().next_multiple_of(PARAMS as usize), 0);
                }
                launches.push(Launched {
                    pipeline,
                    slots: dispatch.buffers.iter().map(slot).collect(),
                    params_at,
                    groups: dispatch.groups,
                });
            }
            steps.push(first..launches.len());
        }
        gpu.faults.check()?;
        let params = if params.is_empty() { None } else { Some(uniform(gpu, &params)?) };
        let bound = Mutex::new(launches.iter().map(|_| Vec::new()).collect());
        Ok(GpuProgram { launches, steps, params, bound, cost: Cost::unknown() })
    }

    pub fn dispatches(&self) -> usize {
        self.launches.len()
    }

    /// Hands the whole program to the queue; kernel by kernel while it is profiled.
    pub fn run(&self, gpu: &Gpu, plan: &Plan, slots: &[Arc<Storage>]) -> Result<()> {
        if !profile::is_open() {
            return self.run_some(gpu, &self.cost, 0..self.launches.len(), slots);
        }
        gpu.wait()?;
        for (step, launches) in plan.steps.iter().zip(&self.steps) {
            profile::timed(step, || {
                self.run_some(gpu, &Cost::unknown(), launches.clone(), slots)?;
                gpu.wait()
            })?;
        }
        Ok(())
    }

    fn run_some(&self, gpu: &Gpu, cost: &Arc<Cost>, launches: Range<usize>, slots: &[Arc<Storage>]) -> Result<()> {
        if launches.is_empty() {
            return Ok(());
        }
        gpu.queue.run(cost, launches.len(), |pass| self.record(gpu, launches, slots, pass))
    }

    fn record(&self, gpu: &Gpu, launches: Range<usize>, slots: &[Arc<Storage>], pass: &mut wgpu::ComputePass) {
        let mut bound = lock(&self.bound);
        for (launch, bound) in self.launches[launches.clone()].iter().zip(&mut bound[launches]) {
            let same = |b: &Bound| launch.slots.iter().zip(&b.memory).all(|(&slot, &id)| slots[slot].id() == id);
            let at = bound.iter().position(same).unwrap_or_else(|| {
                if bound.len() == KEPT {
                    bound.remove(0);
                }
                bound.push(launch.bind(gpu, slots, self.params.as_ref()));
                bound.len() - 1
            });
            let group = &bound[at].group;
            pass.set_pipeline(&launch.pipeline.pipeline);
            pass.set_bind_group(0, group, &[]);
            let [x, y, z] = launch.groups;
            pass.dispatch_workgroups(x, y, z);
        }
    }
}

impl Launched {
    fn bind(&self, gpu: &Gpu, slots: &[Arc<Storage>], params: Option<&wgpu::Buffer>) -> Bound {
        gpu.common.counters.bind_group_made();
        let buffer = |slot: usize| match slots[slot].memory() {
            Memory::Gpu(buffer) => buffer,
            Memory::Cpu(_) => unreachable!("a GPU program runs over GPU memory"),
        };
        let storage =
            (0u32..).zip(&self.slots).map(|(binding, &slot)| wgpu::BindGroupEntry { binding, resource: buffer(slot).as_entire_binding() });
        let block = self.params_at.zip(params).map(|(offset, buffer)| wgpu::BindGroupEntry {
            binding: PARAMS_BINDING,
            resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset, size: std::num::NonZeroU64::new(PARAMS) }),
        });
        let entries: Vec<_> = storage.chain(block).collect();
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &self.pipeline.layout, entries: &entries };
        let memory = self.slots.iter().map(|&slot| slots[slot].id()).collect();
        Bound { group: gpu.device.create_bind_group(&descriptor), memory }
    }
}

fn uniform(gpu: &Gpu, bytes: &[u8]) -> Result<wgpu::Buffer> {
    let buffer = gpu.create_buffer_for(bytes.len(), wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST)?;
    gpu.write(&buffer, bytes)?;
    Ok(buffer)
}
