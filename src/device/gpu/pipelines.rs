//! Pipelines, made once per shader text.

use super::super::Counters;
use super::Shader;
use crate::tensor::lock;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Bytes that a parameter block's binding spans: also the alignment that every adapter grants.
pub(super) const PARAMS: u64 = 256;

pub(super) struct Pipelines {
    checked: bool,
    by_text: Mutex<HashMap<String, Arc<Pipeline>>>,
    layouts: Mutex<HashMap<Vec<bool>, wgpu::BindGroupLayout>>,
    params: Mutex<Option<wgpu::BindGroupLayout>>,
}

pub(super) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    /// Of group 0, the storage buffers.
    pub layout: wgpu::BindGroupLayout,
    pub has_params: bool,
}

impl Pipelines {
    pub fn new(checked: bool) -> Pipelines {
        Pipelines { checked, by_text: Mutex::default(), layouts: Mutex::default(), params: Mutex::default() }
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
        let layout = self.layout(device, &shader.bindings());
        let params = self.params_layout(device);
        let has_params = shader.has_params();
        let groups: &[Option<&wgpu::BindGroupLayout>] = if has_params { &[Some(&layout), Some(&params)] } else { &[Some(&layout)] };
        let pipeline_layout =
            device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor { label: None, bind_group_layouts: groups, immediate_size: 0 });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(shader.name()),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            // Shaders write workgroup memory before they read it; zeroing it can cost more than the kernel.
            compilation_options: wgpu::PipelineCompilationOptions { zero_initialize_workgroup_memory: self.checked, ..Default::default() },
            cache: None,
        });
        Pipeline { pipeline, layout, has_params }
    }

    fn layout(&self, device: &wgpu::Device, writes: &[bool]) -> wgpu::BindGroupLayout {
        let mut layouts = lock(&self.layouts);
        let make = || {
            let storage = |write: &bool| wgpu::BufferBindingType::Storage { read_only: !write };
            let entries: Vec<_> = (0u32..).zip(writes).map(|(binding, write)| entry(binding, storage(write), false)).collect();
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
        };
        layouts.entry(writes.to_vec()).or_insert_with(make).clone()
    }

    /// The layout of group 1: the program's parameter buffer, at an offset.
    pub fn params_layout(&self, device: &wgpu::Device) -> wgpu::BindGroupLayout {
        let make = || {
            let entries = [entry(0, wgpu::BufferBindingType::Uniform, true)];
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
        };
        lock(&self.params).get_or_insert_with(make).clone()
    }
}

fn entry(binding: u32, ty: wgpu::BufferBindingType, has_dynamic_offset: bool) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
        count: None,
    }
}
