//! The memory of one value, and the pool that it goes back to.

use super::Device;
use super::cpu::CpuMemory;
use crate::error::{Error, Result};
use crate::tensor::{lock, next_id};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Memory on a device. The last handle gives it back to the device's pool.
pub(crate) struct Storage {
    device: Device,
    bytes: usize,
    /// `None` only while it is dropped.
    memory: Option<Memory>,
    id: u64,
}

pub(crate) enum Memory {
    Cpu(CpuMemory),
    Gpu(wgpu::Buffer),
}

impl Memory {
    fn new(device: &Device, bytes: usize) -> Result<Memory> {
        match device {
            Device::Cpu(_) => CpuMemory::new(bytes).map(Memory::Cpu).ok_or_else(|| Error::OutOfMemory {
                what: format!("a tensor on {device}"),
                bytes: bytes as u64,
                limit: None,
                hint: "the system has not so much memory; use a smaller batch or model".into(),
            }),
            Device::Gpu(gpu) => gpu.create_buffer(bytes).map(Memory::Gpu),
        }
    }
}

/// Sizes are rounded up to this, so that nearly equal sizes share, and a GPU buffer holds whole words.
pub(super) const GRAIN: usize = 256;

impl Storage {
    pub fn allocate(device: &Device, bytes: usize) -> Result<Arc<Storage>> {
        let bytes = bytes.max(1).next_multiple_of(GRAIN);
        let pooled = device.common().pool.take(bytes);
        let (id, memory) = match pooled {
            Some(pooled) => pooled,
            None => {
                device.counters().allocated();
                // What lies in the pool may be in the way.
                let memory = Memory::new(device, bytes).or_else(|_| {
                    device.common().pool.clear();
                    Memory::new(device, bytes)
                });
                (next_id(), memory?)
            }
        };
        Ok(Arc::new(Storage { device: device.clone(), bytes, memory: Some(memory), id }))
    }

    /// A number that this memory keeps for life, also through the pool.
    pub fn id(&self) -> u64 {
        self.id
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn memory(&self) -> &Memory {
        self.memory.as_ref().expect("it has memory until it is dropped")
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.device.common().pool.give(self.bytes, self.id, memory);
        }
    }
}

/// Free memory by size, last given first taken. What lay unused for long is let go when something else has to be allocated.
#[derive(Default)]
pub(crate) struct Pool {
    free: Mutex<HashMap<usize, Vec<Free>>>,
    bytes: AtomicU64,
    clock: AtomicU64,
}

struct Free {
    id: u64,
    memory: Memory,
    since: u64,
}

/// After so many other uses of the pool, free memory is old.
const OLD: u64 = 20_000;

impl Pool {
    pub fn take(&self, bytes: usize) -> Option<(u64, Memory)> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut free = lock(&self.free);
        if let Some(found) = free.get_mut(&bytes).and_then(Vec::pop) {
            self.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
            return Some((found.id, found.memory));
        }
        for (size, list) in free.iter_mut() {
            let before = list.len();
            list.retain(|f| now - f.since < OLD);
            self.bytes.fetch_sub((size * (before - list.len())) as u64, Ordering::Relaxed);
        }
        None
    }

    pub fn give(&self, bytes: usize, id: u64, memory: Memory) {
        let since = self.clock.load(Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        lock(&self.free).entry(bytes).or_default().push(Free { id, memory, since });
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Gives everything back to the system.
    fn clear(&self) {
        let free = std::mem::take(&mut *lock(&self.free));
        let bytes: usize = free.iter().map(|(size, list)| size * list.len()).sum();
        self.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }
}
