//! Where programs run: the CPU, or a GPU through wgpu. The rest of the crate asks which of the two it is only where a program is built and run.

pub mod cpu;
pub mod gpu;
mod pick;
pub(crate) mod profile;
mod storage;

#[cfg(not(target_arch = "wasm32"))]
pub use pick::{Adapter, adapters};
pub use profile::{KernelTime, Profile, profile};
pub(crate) use storage::{Memory, Pool, Storage};

use crate::compile::Program;
use crate::error::{Error, Result};
use crate::shape::{DType, Spec};
use crate::tensor::{lock, next_id};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A place where tensors live and programs run. Cheap to clone.
#[derive(Clone)]
pub enum Device {
    /// The processor.
    Cpu(Arc<cpu::Cpu>),
    /// A graphics adapter.
    Gpu(Arc<gpu::Gpu>),
}

/// Programs that a device keeps. Past it the oldest half is dropped; a program in use lives on with its user.
const MOST_PROGRAMS: usize = 512;

/// What every device has: an identity, a program cache, counters, and free memory to use again.
#[derive(Default)]
pub(crate) struct Common {
    id: u64,
    programs: Mutex<HashMap<String, (u64, Arc<Program>)>>,
    pub counters: Counters,
    pub pool: Pool,
}

impl Common {
    pub(crate) fn new() -> Common {
        Common { id: next_id(), ..Common::default() }
    }
}

/// Counts since the device was opened.
#[derive(Default)]
pub(crate) struct Counters {
    allocations: AtomicU64,
    programs_built: AtomicU64,
    cache_hits: AtomicU64,
    program_runs: AtomicU64,
    bind_groups: AtomicU64,
    pipelines: AtomicU64,
}

macro_rules! count {
    ($($method:ident => $field:ident),*) => { $(pub(crate) fn $method(&self) { self.$field.fetch_add(1, Ordering::Relaxed); })* };
}

impl Counters {
    count!(allocated => allocations, programs_built => programs_built, cache_hit => cache_hits, program_ran => program_runs,
           bind_group_made => bind_groups, pipeline_made => pipelines);
}

/// What a device has done since it was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Buffers that were asked of the system. A replayed step adds none.
    pub allocations: u64,
    /// Programs compiled.
    pub programs_built: u64,
    /// Recordings whose program was found in the cache.
    pub cache_hits: u64,
    /// Programs run.
    pub program_runs: u64,
    /// Bind groups made (GPU). A replayed step adds none.
    pub bind_groups: u64,
    /// Pipelines made (GPU).
    pub pipelines: u64,
    /// Submissions to the adapter (GPU). Programs that take little time share one.
    pub submissions: u64,
    /// Bytes that are free and kept for the next program.
    pub pooled_bytes: u64,
}

impl Device {
    /// The processor.
    pub fn cpu() -> Device {
        pick::cpu()
    }

    /// The first hardware adapter, or the one that `GRADUS_DEVICE` names.
    ///
    /// # Errors
    /// [`Error::Device`] listing the adapters that were tried.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn gpu() -> Result<Device> {
        pick::gpu()
    }

    /// `GRADUS_DEVICE` if it is set; else a hardware GPU if there is one; else the CPU. Never a software adapter by itself.
    ///
    /// # Errors
    /// [`Error::Device`] if `GRADUS_DEVICE` names what is not there.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn best() -> Result<Device> {
        pick::best()
    }

    /// The CPU where the platform has no blocking way to ask for an adapter; see [`Device::gpu_async`].
    ///
    /// # Errors
    /// None.
    #[cfg(target_arch = "wasm32")]
    pub fn best() -> Result<Device> {
        Ok(Device::cpu())
    }

    /// `cpu`, `gpu`, or a part of an adapter's name, in any case: `llvmpipe`, `radeon`.
    ///
    /// # Errors
    /// [`Error::Device`] listing what is there.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn named(name: &str) -> Result<Device> {
        pick::named(name)
    }

    /// A device that takes the first adapter the platform offers: for browsers, where asking cannot block.
    ///
    /// # Errors
    /// [`Error::Device`] if there is none.
    pub async fn gpu_async() -> Result<Device> {
        Ok(Device::Gpu(gpu::Gpu::first().await?))
    }

    /// Whether it is a GPU (or plays one).
    pub fn is_gpu(&self) -> bool {
        matches!(self, Device::Gpu(_))
    }

    /// Counts since it was opened.
    pub fn stats(&self) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let c = self.counters();
        Stats {
            allocations: get(&c.allocations),
            programs_built: get(&c.programs_built),
            cache_hits: get(&c.cache_hits),
            program_runs: get(&c.program_runs),
            bind_groups: get(&c.bind_groups),
            pipelines: get(&c.pipelines),
            submissions: match self {
                Device::Cpu(_) => 0,
                Device::Gpu(gpu) => gpu.submissions(),
            },
            pooled_bytes: self.common().pool.bytes(),
        }
    }

    /// The largest tensor in bytes that a kernel can read here.
    pub fn max_tensor_bytes(&self) -> u64 {
        match self {
            Device::Cpu(_) => u64::MAX,
            Device::Gpu(gpu) => gpu.traits().max_binding,
        }
    }

    /// Runs what this thread has recorded, and waits until the device has nothing left to do.
    ///
    /// # Errors
    /// What the device reports.
    pub fn synchronize(&self) -> Result<()> {
        crate::record::recording::flush_device(self)?;
        match self {
            Device::Cpu(_) => Ok(()),
            Device::Gpu(gpu) => gpu.wait(),
        }
    }

    pub(crate) fn common(&self) -> &Common {
        match self {
            Device::Cpu(cpu) => &cpu.common,
            Device::Gpu(gpu) => &gpu.common,
        }
    }

    /// Whether tensors of this type can be on it. The CPU has all types. No GPU here has f64; f16 needs the adapter's feature `shader-f16`.
    pub fn stores(&self, dtype: DType) -> bool {
        match self {
            Device::Cpu(_) => true,
            Device::Gpu(gpu) => gpu.stores(dtype),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.common().id
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.common().counters
    }

    pub(crate) fn cached(&self, key: &str) -> Option<Arc<Program>> {
        let mut programs = lock(&self.common().programs);
        let (used, program) = programs.get_mut(key)?;
        *used = next_id();
        self.counters().cache_hit();
        Some(program.clone())
    }

    pub(crate) fn cache(&self, key: String, program: Arc<Program>) {
        let mut programs = lock(&self.common().programs);
        if programs.len() >= MOST_PROGRAMS {
            let mut ages: Vec<u64> = programs.values().map(|(used, _)| *used).collect();
            ages.sort_unstable();
            let middle = ages[ages.len() / 2];
            programs.retain(|_, (used, _)| *used >= middle);
        }
        programs.insert(key, (next_id(), program));
    }

    /// Memory of at least so many bytes, with undefined content.
    pub(crate) fn allocate(&self, bytes: usize) -> Result<Arc<Storage>> {
        Storage::allocate(self, bytes)
    }

    /// Memory that holds these bytes.
    pub(crate) fn upload(&self, spec: &Spec, bytes: &[u8]) -> Result<Arc<Storage>> {
        self.upload_into(None, spec, bytes)
    }

    /// Memory that holds these bytes: this one, if it is large enough and nobody else holds it.
    pub(crate) fn upload_into(&self, old: Option<Arc<Storage>>, spec: &Spec, bytes: &[u8]) -> Result<Arc<Storage>> {
        assert_eq!(bytes.len(), spec.bytes(), "the caller checked the number of elements");
        if !self.stores(spec.dtype) {
            return Err(Error::dtype("Tensor::new", format!("f32 on {self}"), format!("{}, which this device does not have", spec.dtype)));
        }
        let free = old.and_then(|mut old| (old.bytes() >= bytes.len() && Arc::get_mut(&mut old).is_some()).then_some(old));
        let storage = free.map_or_else(|| self.allocate(bytes.len()), Ok)?;
        match (self, storage.memory()) {
            (Device::Gpu(gpu), Memory::Gpu(buffer)) => gpu.write(buffer, bytes)?,
            (_, Memory::Cpu(memory)) => memory.write(bytes),
            _ => unreachable!("a device allocates its own kind of memory"),
        }
        Ok(storage)
    }

    /// Begins to read the first `bytes` bytes of the memory as they are now, without waiting.
    pub(crate) fn start_reading(&self, storage: &Storage, bytes: usize) -> Result<Reading> {
        match (self, storage.memory()) {
            (Device::Gpu(gpu), Memory::Gpu(buffer)) => Ok(Reading::OnItsWay(gpu.start_reading(buffer, bytes)?)),
            (_, Memory::Cpu(memory)) => Ok(Reading::Here(memory.read(bytes))),
            _ => unreachable!("a device reads its own kind of memory"),
        }
    }

    /// New memory with the same content.
    pub(crate) fn copy(&self, storage: &Storage) -> Result<Arc<Storage>> {
        let copy = self.allocate(storage.bytes())?;
        match (self, storage.memory(), copy.memory()) {
            (Device::Gpu(gpu), Memory::Gpu(from), Memory::Gpu(to)) => gpu.copy(from, to),
            (_, Memory::Cpu(from), Memory::Cpu(to)) => to.write(&from.read(storage.bytes())),
            _ => unreachable!("a device copies its own kind of memory"),
        }
        Ok(copy)
    }
}

/// Bytes of a device that were asked for.
pub(crate) enum Reading {
    Here(Vec<u8>),
    OnItsWay(gpu::Reading),
}

impl Reading {
    /// Whether [`Reading::bytes`] would not wait.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Reading::Here(_) => true,
            Reading::OnItsWay(reading) => reading.is_there(),
        }
    }

    /// The bytes; waits for them if they are not there.
    pub(crate) async fn bytes(self) -> Result<Vec<u8>> {
        match self {
            Reading::Here(bytes) => Ok(bytes),
            Reading::OnItsWay(reading) => reading.bytes().await,
        }
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        self.id() == other.id()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Device::Cpu(cpu) => write!(f, "{cpu}"),
            Device::Gpu(gpu) => write!(f, "{gpu}"),
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Device({self})")
    }
}
