//! Finding a device: by kind, by name, by `GRADUS_DEVICE`.

use super::Device;
use super::cpu::Cpu;
use std::sync::OnceLock;

#[cfg(not(target_arch = "wasm32"))]
pub use native::{Adapter, adapters};
#[cfg(not(target_arch = "wasm32"))]
pub(super) use native::{best, gpu, named};

/// One CPU device for the process: tensors of two calls can meet in one operation.
pub(super) fn cpu() -> Device {
    static CPU: OnceLock<Device> = OnceLock::new();
    CPU.get_or_init(|| Device::Cpu(Cpu::new())).clone()
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::{Device, cpu};
    use crate::device::gpu::{Gpu, GpuOptions, Tuning};
    use crate::error::{Error, Result};
    use crate::tensor::lock;
    use std::fmt;
    use std::sync::{Mutex, OnceLock};

    /// The variable that overrides the choice: `cpu`, `gpu`, or a part of an adapter's name.
    const VARIABLE: &str = "GRADUS_DEVICE";

    /// An adapter that could be opened.
    #[derive(Clone)]
    pub struct Adapter {
        adapter: wgpu::Adapter,
        info: wgpu::AdapterInfo,
    }

    impl Adapter {
        /// Its name, as the driver gives it.
        pub fn name(&self) -> &str {
            &self.info.name
        }

        /// Whether it is a CPU that plays a GPU.
        pub fn is_software(&self) -> bool {
            self.info.device_type == wgpu::DeviceType::Cpu
        }

        /// Opens it as a new device, whose tensors do not mix with those of another opening.
        ///
        /// # Errors
        /// [`Error::Device`] if it refuses.
        pub fn open(&self, options: GpuOptions) -> Result<Device> {
            pollster::block_on(Gpu::open(&self.adapter, options)).map(Device::Gpu)
        }

        /// Opens it once per process.
        fn shared(&self) -> Result<Device> {
            static OPEN: Mutex<Vec<(String, Device)>> = Mutex::new(Vec::new());
            let mut open = lock(&OPEN);
            let key = self.to_string();
            if let Some((_, device)) = open.iter().find(|(name, _)| *name == key) {
                return Ok(device.clone());
            }
            let device = self.open(GpuOptions { tuning: Tuning::of_environment(&self.info)?, ..GpuOptions::default() })?;
            open.push((key, device.clone()));
            Ok(device)
        }

        /// Better first: a card, then what shares memory with the processor, then the unknown, then software.
        fn rank(&self) -> u8 {
            match self.info.device_type {
                wgpu::DeviceType::DiscreteGpu => 0,
                wgpu::DeviceType::IntegratedGpu => 1,
                wgpu::DeviceType::VirtualGpu => 2,
                wgpu::DeviceType::Other => 3,
                wgpu::DeviceType::Cpu => 4,
            }
        }
    }

    impl fmt::Display for Adapter {
        fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
            write!(f, "{} ({:?}, {:?})", self.info.name, self.info.backend, self.info.device_type)
        }
    }

    /// The adapters of this machine, best first. Asked once: drivers are slow to list.
    pub fn adapters() -> Vec<Adapter> {
        static ADAPTERS: OnceLock<Vec<Adapter>> = OnceLock::new();
        ADAPTERS
            .get_or_init(|| {
                let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
                descriptor.backends = wgpu::Backends::PRIMARY;
                descriptor.flags = wgpu::InstanceFlags::empty().with_env();
                let instance = wgpu::Instance::new(descriptor);
                let found = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
                let mut adapters: Vec<Adapter> = found.into_iter().map(|adapter| Adapter { info: adapter.get_info(), adapter }).collect();
                adapters.sort_by_key(Adapter::rank);
                adapters
            })
            .clone()
    }

    fn listed(adapters: &[Adapter]) -> String {
        if adapters.is_empty() {
            return "no adapter was found (is a Vulkan, Metal or DX12 driver installed?)".into();
        }
        let names: Vec<String> = adapters.iter().map(ToString::to_string).collect();
        format!("found {}", names.join("; "))
    }

    fn variable() -> Option<String> {
        std::env::var(VARIABLE).ok().filter(|name| !name.trim().is_empty())
    }

    pub(in super::super) fn gpu() -> Result<Device> {
        match variable() {
            Some(name) if !["gpu", "cpu"].contains(&name.to_lowercase().as_str()) => named(&name),
            _ => hardware(),
        }
    }

    /// The first hardware adapter that opens.
    fn hardware() -> Result<Device> {
        let all = adapters();
        let mut tried = Vec::new();
        for adapter in all.iter().filter(|a| !a.is_software()) {
            match adapter.shared() {
                Ok(device) => return Ok(device),
                Err(error) => tried.push(error.to_string()),
            }
        }
        let refused = if tried.is_empty() { String::new() } else { format!("; {}", tried.join("; ")) };
        Err(Error::Device(format!(
            "no hardware GPU: {}{refused}; use Device::cpu(), or name a software adapter with {VARIABLE}=NAME",
            listed(&all)
        )))
    }

    pub(in super::super) fn best() -> Result<Device> {
        match variable() {
            Some(name) => named(&name),
            None => Ok(hardware().unwrap_or_else(|_| cpu())),
        }
    }

    pub(in super::super) fn named(name: &str) -> Result<Device> {
        let wanted = name.trim().to_lowercase();
        match wanted.as_str() {
            "cpu" => return Ok(cpu()),
            "gpu" => return hardware(),
            _ => {}
        }
        let all = adapters();
        match all.iter().find(|a| a.to_string().to_lowercase().contains(&wanted)) {
            Some(adapter) => adapter.shared(),
            None => Err(Error::Device(format!("no device is called {name:?}: {}; also `cpu` and `gpu`", listed(&all)))),
        }
    }
}
