//! What a dispatch costs the host without this crate: steps of as many dispatches that take as long, by wgpu alone. It is the floor of the host's
//! part of a step.

use super::thread_seconds;
use anyhow::{Context, Result};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How the steps went that these have to resemble: caches are the colder, the longer a step takes, and a submission costs the less, the more of
/// them it holds.
pub struct Rhythm {
    pub dispatches: usize,
    /// How long a step took.
    pub step: Duration,
    pub steps: usize,
    /// Submissions of all steps together.
    pub submissions: usize,
}

/// Arrays that the kernels read and write; each kernel reads what the one before it wrote.
const ARRAYS: usize = 8;

const LANES: u32 = 64;

/// As many as WebGPU lets a dispatch have; an array holds a number for each of their lanes.
const MOST_GROUPS: u32 = 65535;

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
pub fn dispatch_seconds(adapter: &str, rhythm: &Rhythm) -> Result<Option<f64>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let found = adapters.iter().find(|a| a.get_info().name.starts_with(adapter)).with_context(|| format!("no adapter {adapter}"))?;
    let (device, queue) = pollster::block_on(found.request_device(&wgpu::DeviceDescriptor::default()))?;
    let kernels = kernels(&device, rhythm.dispatches);
    let submit = |steps: usize, groups: u32| {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for (pipeline, group) in kernels.iter().cycle().take(steps * kernels.len()) {
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.dispatch_workgroups(groups, 1, 1);
        }
        drop(pass);
        queue.submit([encoder.finish()])
    };
    let wait = |index| device.poll(wgpu::PollType::Wait { submission_index: Some(index), timeout: None });
    let timed = |groups: u32| -> Result<f64> {
        let start = Instant::now();
        wait(submit(1, groups))?;
        Ok(start.elapsed().as_secs_f64())
    };
    // The first step also fills the arrays.
    timed(MOST_GROUPS)?;
    let (all, none) = (timed(MOST_GROUPS)?, timed(1)?);
    let share = (rhythm.step.as_secs_f64() - none) / (all - none);
    let groups = ((share * MOST_GROUPS as f64) as u32).clamp(1, MOST_GROUPS);

    let submissions = rhythm.submissions.max(1);
    let steps = rhythm.steps.div_ceil(submissions);
    let mut in_flight = VecDeque::new();
    let before = thread_seconds();
    for _ in 0..submissions {
        in_flight.push_back(submit(steps, groups));
        match in_flight.len() > IN_FLIGHT {
            true => in_flight.pop_front().map(wait).transpose()?,
            false => Some(device.poll(wgpu::PollType::Poll)?),
        };
    }
    let after = thread_seconds();
    in_flight.pop_back().map(wait).transpose()?;
    Ok(before.zip(after).map(|(before, after)| (after - before) / (submissions * steps * rhythm.dispatches) as f64))
}

/// Each has a pipeline and a bind group of its own.
fn kernels(device: &wgpu::Device, count: usize) -> Vec<(wgpu::ComputePipeline, wgpu::BindGroup)> {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source: wgpu::ShaderSource::Wgsl(SHADER.into()) });
    let (usage, size) = (wgpu::BufferUsages::STORAGE, 4 * u64::from(LANES * MOST_GROUPS));
    let buffer = |_| device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    let buffers: Vec<wgpu::Buffer> = (0..ARRAYS).map(buffer).collect();
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
        let bound = [i, i + 3, i + 1].map(|k| buffers[k % ARRAYS].as_entire_binding());
        let entries: Vec<_> = (0u32..).zip(bound).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource }).collect();
        let layout = pipeline.get_bind_group_layout(0);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
        (pipeline, group)
    };
    (0..count).map(kernel).collect()
}
