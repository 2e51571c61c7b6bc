//! The GPU device: an adapter, its queue, and what it has compiled.

pub mod launch;
mod pipelines;
mod program;
mod queue;
mod readback;
pub mod shader;
mod stored;
pub(crate) mod tune;
mod upload;

pub use launch::{AdapterTraits, Buffer, Dispatch, Launch};
pub(crate) use program::GpuProgram;
pub(crate) use readback::Reading;
pub use shader::Shader;
pub use tune::Tuning;

use super::{Common, Pool};
use crate::compile::plan::Step;
use crate::error::{Error, Result};
use crate::shape::DType;
use crate::tensor::lock;
use pipelines::Pipelines;
use queue::Queue;
use std::fmt;
use std::sync::{Arc, Mutex};
use tune::{Choice, Open, Tuner};

/// A graphics adapter as a device.
pub struct Gpu {
    pub(crate) common: Common,
    device: wgpu::Device,
    queue: Queue,
    info: wgpu::AdapterInfo,
    traits: AdapterTraits,
    pipelines: Pipelines,
    faults: Arc<Faults>,
    staging: Mutex<Vec<wgpu::Buffer>>,
    /// Mapped buffers that bytes from the host can be written into.
    uploads: Arc<Pool>,
    tuner: Option<Tuner>,
}

/// The dispatches of one step, and the bytes of its scratch buffers.
type Lowered = (Vec<Dispatch>, Vec<usize>);

/// How a GPU is opened.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// Ask for exactly the limits that every adapter has, not for the sizes that this one could give.
    pub default_limits: bool,
    /// Compile shaders with bounds and loop checks, and zero workgroup memory.
    pub checked_shaders: bool,
    /// Choose kernels as for graphics hardware, whatever the adapter is: tests run them so on a CPU that plays a GPU.
    pub hardware_kernels: bool,
    /// How it chooses among kernels that compute the same.
    pub tuning: Tuning,
}

/// Errors come late and on other threads; the first is kept for the next call that can return one.
#[derive(Default)]
struct Faults {
    first: Mutex<Option<String>>,
    lost: Mutex<Option<String>>,
}

impl Faults {
    fn check(&self) -> Result<()> {
        if let Some(why) = &*lock(&self.lost) {
            return Err(Error::Device(format!("the device was lost: {why}; open it anew and load a checkpoint")));
        }
        match lock(&self.first).take() {
            Some(message) => Err(Error::Device(message)),
            None => Ok(()),
        }
    }
}

impl Gpu {
    /// Opens an adapter.
    ///
    /// # Errors
    /// [`Error::Device`] if the adapter refuses.
    pub(crate) async fn open(adapter: &wgpu::Adapter, options: GpuOptions) -> Result<Arc<Gpu>> {
        let info = adapter.get_info();
        let offered = adapter.limits();
        let mut limits = wgpu::Limits::default();
        if !options.default_limits {
            limits.max_buffer_size = offered.max_buffer_size;
            limits.max_storage_buffer_binding_size = offered.max_storage_buffer_binding_size;
        }
        let software = info.device_type == wgpu::DeviceType::Cpu && !options.hardware_kernels;
        // Hardware needs none of it: there, threads read the same place together at the price of one.
        let fixed = info.subgroup_min_size == info.subgroup_max_size && adapter.features().contains(wgpu::Features::SUBGROUP);
        let lanes = if software && fixed { info.subgroup_min_size } else { 0 };
        // Other backends' software adapters were not measured.
        let pairs = software && info.backend == wgpu::Backend::Vulkan && adapter.features().contains(wgpu::Features::SHADER_INT64);
        let mut required_features = adapter.features() & wgpu::Features::SHADER_F16;
        required_features.set(wgpu::Features::SUBGROUP, lanes > 0);
        required_features.set(wgpu::Features::SHADER_INT64, pairs);
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gradus"),
            required_features,
            required_limits: limits.clone(),
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            trace: wgpu::Trace::Off,
        };
        let opened = adapter.request_device(&descriptor).await;
        let (device, queue) = opened.map_err(|e| Error::Device(format!("{} could not be opened: {e}", info.name)))?;
        let faults = Arc::new(Faults::default());
        let (on_error, on_loss) = (faults.clone(), faults.clone());
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&on_error.first).get_or_insert_with(|| error.to_string());
        }));
        device.set_device_lost_callback(move |reason, message| {
            lock(&on_loss.lost).get_or_insert_with(|| format!("{reason:?}: {message}"));
        });
        let traits =
            AdapterTraits { software, lanes, pairs, max_binding: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size) };
        Ok(Arc::new(Gpu {
            common: Common::new(),
            pipelines: Pipelines::new(options.checked_shaders),
            queue: Queue::new(&device, queue, &info.name, software, &faults),
            device,
            info,
            traits,
            faults,
            staging: Mutex::default(),
            uploads: Arc::default(),
            tuner: Tuner::new(options.tuning)?,
        }))
    }

    /// Opens the adapter that the platform puts first.
    pub(crate) async fn first() -> Result<Arc<Gpu>> {
        let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
        let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await;
        let adapter = adapter.map_err(|e| Error::Device(format!("no adapter: {e}; use Device::cpu()")))?;
        Gpu::open(&adapter, GpuOptions::default()).await
    }

    /// What kernels are chosen by.
    pub fn traits(&self) -> AdapterTraits {
        self.traits
    }

    /// Whether it can store values of this type.
    pub(crate) fn stores(&self, dtype: DType) -> bool {
        match dtype {
            DType::F64 => false,
            DType::F16 => self.device.features().contains(wgpu::Features::SHADER_F16),
            _ => true,
        }
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// One step's dispatches, and a choice of kernels in it that nobody has made yet.
    fn lower(&self, step: &Step, choice: Choice) -> Result<(Lowered, Option<Open>)> {
        let what = || format!("{} at {}", step.op.name(), step.site);
        for spec in step.inputs.iter().chain(&step.outputs) {
            self.check_binding(spec.bytes(), &what)?;
            if spec.dtype == DType::F16 && !self.stores(DType::F16) {
                return Err(Error::dtype(step.op.name(), format!("f32 on {self}"), "f16, which this adapter does not have (`shader-f16`)"));
            }
        }
        let mut launch = Launch::new(&step.inputs, &step.outputs, &step.in_place, self.traits).choosing(choice);
        step.op.gpu(&mut launch).map_err(|e| e.at(step.site.to_string()))?;
        let open = launch.take_open();
        let (dispatches, scratch) = launch.finish();
        for bytes in &scratch {
            self.check_binding(*bytes, &what)?;
        }
        Ok(((dispatches, scratch), open))
    }

    fn check_binding(&self, bytes: usize, what: &dyn Fn() -> String) -> Result<()> {
        if bytes as u64 > self.traits.max_binding {
            let error = Error::OutOfMemory { what: what(), bytes: bytes as u64, limit: Some(self.traits.max_binding), hint: String::new() };
            return Err(error.hint("a tensor must fit one binding of this adapter; use a smaller batch"));
        }
        Ok(())
    }

    pub(crate) fn create_buffer(&self, bytes: usize) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.create_buffer_for(bytes, usage)
    }

    fn create_buffer_for(&self, bytes: usize, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        let limit = self.device.limits().max_buffer_size;
        let too_large = |why: &str| Error::OutOfMemory {
            what: format!("a buffer on {}", self.info.name),
            bytes: bytes as u64,
            limit: Some(limit),
            hint: format!("{why}; use a smaller batch or model"),
        };
        if bytes as u64 > limit {
            return Err(too_large("the adapter allows no larger buffer"));
        }
        // What the host is to write to can be had in the state in which it can.
        let mapped_at_creation = usage.contains(wgpu::BufferUsages::MAP_WRITE);
        let descriptor = wgpu::BufferDescriptor { label: None, size: bytes as u64, usage, mapped_at_creation };
        #[cfg(not(target_arch = "wasm32"))]
        {
            let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
            let buffer = self.device.create_buffer(&descriptor);
            // Native error scopes are ready at once: nothing is waited for here.
            match pollster::block_on(scope.pop()) {
                Some(_) => Err(too_large("the adapter's memory is full")),
                None => Ok(buffer),
            }
        }
        #[cfg(target_arch = "wasm32")]
        Ok(self.device.create_buffer(&descriptor))
    }

    pub(crate) fn copy(&self, from: &wgpu::Buffer, to: &wgpu::Buffer) {
        self.queue.encode(|encoder| encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size().min(to.size())));
    }

    pub(crate) fn submissions(&self) -> u64 {
        self.queue.submissions()
    }

    /// Waits until everything that was asked for has run.
    pub(crate) fn wait(&self) -> Result<()> {
        self.queue.wait_for(&self.queue.flush()?)
    }
}

/// Whoever proves that a tensor may cross threads would have to walk through all of wgpu's types, deeper than the compiler goes unless the
/// user's crate raises its `recursion_limit`. The proof is made once, here, where the limit is raised.
mod across_threads {
    fn both<T: Send + Sync>() {}

    #[expect(dead_code, reason = "that it compiles is the proof")]
    fn proof() {
        both::<wgpu::Device>();
        both::<wgpu::Buffer>();
        both::<wgpu::Adapter>();
        both::<wgpu::AdapterInfo>();
        both::<wgpu::BindGroup>();
        both::<super::Queue>();
        both::<super::Pipelines>();
        both::<super::pipelines::Pipeline>();
        both::<super::Faults>();
        both::<super::Common>();
    }

    // SAFETY: every type of its fields that is not the standard library's is in `proof`.
    unsafe impl Send for super::Gpu {}
    // SAFETY: as above.
    unsafe impl Sync for super::Gpu {}
    // SAFETY: its fields are pipelines and bind groups, which are in `proof`, numbers, and a `Mutex`.
    unsafe impl Send for super::GpuProgram {}
    // SAFETY: as above.
    unsafe impl Sync for super::GpuProgram {}
    // SAFETY: a CPU memory, which is both by its own word, or a buffer, which is in `proof`.
    unsafe impl Send for crate::device::Memory {}
    // SAFETY: as above.
    unsafe impl Sync for crate::device::Memory {}
}

impl fmt::Display for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let software = if self.traits.software { ", software" } else { "" };
        write!(f, "{} ({:?}{software})", self.info.name, self.info.backend)
    }
}
