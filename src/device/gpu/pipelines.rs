//! Pipelines, made once per shader text.

use super::super::Counters;
use super::shader::{PARAMS_BINDING, Shader};
use crate::tensor::lock;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Bytes that a parameter block's binding spans: also the alignment that every adapter grants.
pub(super) const PARAMS: u64 = 256;

pub(super) struct Pipelines {
    checked: bool,
    by_text: Mutex<HashMap<String, Arc<Pipeline>>>,
    layouts: Mutex<HashMap<(Vec<bool>, bool), Layouts>>,
}

/// What all shaders share that bind the same kinds of buffers.
#[derive(Clone)]
struct Layouts {
    group: wgpu::BindGroupLayout,
    pipeline: wgpu::PipelineLayout,
}

pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
    pub has_params: bool,
}

impl Pipelines {
    pub fn new(checked: bool) -> Pipelines {
        Pipelines { checked, by_text: Mutex::default(), layouts: Mutex::default() }
    }

    pub fn get(&self, device: &wgpu::Device, counters: &Counters, shader: &Shader) -> Arc<Pipeline> {
        if let Some(pipeline) = lock(&self.by_text).get(shader.text()) {
            return pipeline.clone();
        }
        counters.pipeline_made();
        let pipeline = Arc::new(self.make(device, shader));
        lock(&self.by_text).insert(shader.text().to_string(), pipeline.clone());
        pipeline
    }

    /// Makes those that are missing on all threads: a driver takes milliseconds for each, and a training step has dozens.
    pub fn prepare<'s>(&self, device: &wgpu::Device, counters: &Counters, shaders: impl Iterator<Item = &'s Shader>) {
        let known = lock(&self.by_text);
        let missing: HashMap<&str, &Shader> = shaders.map(|s| (s.text(), s)).filter(|(text, _)| !known.contains_key(*text)).collect();
        drop(known);
        missing.into_par_iter().for_each(|(_, shader)| drop(self.get(device, counters, shader)));
    }

    fn make(&self, device: &wgpu::Device, shader: &Shader) -> Pipeline {
        let descriptor =
            wgpu::ShaderModuleDescriptor { label: Some(shader.name()), source: wgpu::ShaderSource::Wgsl(shader.text().to_string().into()) };
        let module = if self.checked {
            device.create_shader_module(descriptor)
        } else {
            // SAFETY: the shaders index buffers only below sizes that the launch computed from the same shapes, every loop is bounded by such
            // a size, and no divisor is zero. The tests run every shader with the checks on and compare.
            unsafe { device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
        };
        let has_params = shader.has_params();
        let layouts = self.layouts(device, &shader.bindings(), has_params);
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.name()),
            layout: Some(&layouts.pipeline),
            module: &module,
            entry_point: Some("main"),
            // Shaders write workgroup memory before they read it; zeroing it can cost more than the kernel.
            compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: self.checked, ..Default::default() },
            cache: None,
        });
        Pipeline { pipeline, layout: layouts.group, has_params }
    }

    fn layouts(&self, device: &wgpu::Device, writes: &[bool], has_params: bool) -> Layouts {
        let make = || {
            let storage = |write: &bool| wgpu::BufferBindingType::Storage { read_only: !write };
            let buffers = (0u32..).zip(writes).map(|(binding, write)| entry(binding, storage(write)));
            let params = has_params.then(|| entry(PARAMS_BINDING, wgpu::BufferBindingType::Uniform));
            let entries: Vec<_> = buffers.chain(params).collect();
            let group = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
            let groups = [Some(&group)];
            let pipeline = wgpu::PipelineLayoutDescriptor { label: None, bind_group_layouts: &groups, immediate_size: 0 };
            let pipeline = device.create_pipeline_layout(&pipeline);
            Layouts { group, pipeline }
        };
        lock(&self.layouts).entry((writes.to_vec(), has_params)).or_insert_with(make).clone()
    }
}

fn entry(binding: u32, ty: wgpu::BufferBindingType) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    }
}
