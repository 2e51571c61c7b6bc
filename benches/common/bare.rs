//! What a dispatch costs the host without this crate: the same commands by wgpu alone, for kernels that do next to nothing. It is the floor of
//! the host's part of a step.

use super::thread_seconds;
use anyhow::{Context, Result};
use std::collections::VecDeque;

/// Kernels of one step; each has a pipeline and a bind group of its own.
const KERNELS: usize = 16;

/// Steps of one submission, as many as a queue of short steps collects.
const STEPS: usize = 32;

const SUBMISSIONS: usize = 40;

/// Submissions that may wait.
const IN_FLIGHT: usize = 3;

const SHADER: &str = "
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) i: vec3<u32>) { y[i.x] = a[i.x] + b[i.x]; }";

/// Seconds of processor time per dispatch on the adapter whose name begins so, where the system counts them.
///
/// # Errors
/// If there is no such adapter, or what it reports.
pub fn dispatch_seconds(adapter: &str) -> Result<Option<f64>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let found = adapters.iter().find(|a| a.get_info().name.starts_with(adapter)).with_context(|| format!("no adapter {adapter}"))?;
    let (device, queue) = pollster::block_on(found.request_device(&wgpu::DeviceDescriptor::default()))?;
    let kernels = kernels(&device);
    let submit = || {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (pipeline, group) in kernels.iter().cycle().take(STEPS * KERNELS) {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        drop(pass);
        queue.submit([encoder.finish()])
    };
    let wait = |index| device.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None });
    wait(submit())?;
    let mut in_flight = VecDeque::new();
    let before = thread_seconds();
    for _ in 0..SUBMISSIONS {
        in_flight.push_back(submit());
        if in_flight.len() > IN_FLIGHT {
            in_flight.pop_front().map(wait).transpose()?;
        }
    }
    let after = thread_seconds();
    in_flight.pop_back().map(wait).transpose()?;
    Ok(before.zip(after).map(|(before, after)| (after - before) / (SUBMISSIONS * STEPS * KERNELS) as f64))
}

fn kernels(device: &wgpu::Device) -> Vec<(wgpu::ComputePipeline, wgpu::BindGroup)> {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source: wgpu::ShaderSource::Wgsl(SHADER.into()) });
    let usage = wgpu::BufferUsages::STORAGE;
    let buffer = |_| device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 256, usage, mapped_at_creation: false });
    let buffers: Vec<wgpu::Buffer> = (0..=KERNELS).map(buffer).collect();
    let kernel = |i: usize| {
        let descriptor = wgpu::ComputePipelineDescriptor {
            label: None,
            layout: None,
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        };
        let pipeline = device.create_compute_pipeline(&descriptor);
        // Reads what the kernel before it wrote and what one long before it wrote.
        let bound = [i, i / 2, i + 1].map(|k| buffers[k].as_entire_binding());
        let entries: Vec<_> = (0u32..).zip(bound).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let layout = pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
        (pipeline, group)
    };
    (0..KERNELS).map(kernel).collect()
}
