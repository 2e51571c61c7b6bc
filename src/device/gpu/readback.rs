//! Reading a buffer on the host.

use super::Gpu;
use crate::error::{Error, Result};
use crate::tensor::lock;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// Staging buffers that are kept for the next read.
const KEPT: usize = 8;

/// What the map callback says, and who waits for it.
#[derive(Default)]
struct Mapped {
    result: Option<Result<(), String>>,
    waker: Option<Waker>,
}

/// The first bytes of a buffer on their way to the host.
pub(crate) struct Reading {
    gpu: Arc<Gpu>,
    staging: wgpu::Buffer,
    bytes: usize,
    mapped: Arc<Mutex<Mapped>>,
}

impl Gpu {
    /// Begins to read the first bytes of a buffer, as they are after everything that was asked for before. The copy is recorded with the rest: it
    /// is submitted with it, and nobody waits.
    pub(crate) fn start_reading(self: &Arc<Gpu>, buffer: &wgpu::Buffer, bytes: usize) -> Result<Reading> {
        let length = whole_words(bytes);
        let staging = self.staging(length)?;
        let mapped = Arc::new(Mutex::new(Mapped::default()));
        let callback = mapped.clone();
        self.queue.encode(|encoder| {
            encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, length);
            encoder.map_buffer_on_submit(&staging, wgpu::MapMode::Read, 0..length, move |result| {
                let mut mapped = lock(&callback);
                mapped.result = Some(result.map_err(|e| e.to_string()));
                if let Some(waker) = mapped.waker.take() {
                    waker.wake();
                }
            });
        });
        Ok(Reading { gpu: self.clone(), staging, bytes, mapped })
    }

    /// A buffer that can be mapped: a kept one that is large enough but not wasteful, or a new one.
    fn staging(&self, length: u64) -> Result<wgpu::Buffer> {
        let size = length.next_power_of_two().max(256);
        let mut kept = lock(&self.staging);
        if let Some(at) = kept.iter().position(|b| b.size() == size) {
            return Ok(kept.swap_remove(at));
        }
        drop(kept);
        let size = if size > self.device.limits().max_buffer_size { length } else { size };
        self.common.counters.allocated();
        self.create_buffer_for(size as usize, wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST)
    }
}

impl Reading {
    /// Whether the bytes are there, as far as is known: every submission brings news.
    pub(crate) fn is_there(&self) -> bool {
        lock(&self.mapped).result.is_some()
    }

    /// The bytes. Natively the wait blocks in here, with a time limit; in a browser the callback wakes the future.
    pub(crate) async fn bytes(&self) -> Result<Vec<u8>> {
        if !self.is_there() {
            let submitted = self.gpu.queue.flush()?;
            if cfg!(not(target_arch = "wasm32")) {
                self.gpu.queue.wait_for(&submitted)?;
            }
        }
        let result = poll_fn(|context| {
            let mut mapped = lock(&self.mapped);
            if mapped.result.is_none() {
                mapped.waker = Some(context.waker().clone());
            }
            mapped.result.clone().map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        self.gpu.faults.check()?;
        let failed = |e: String| Error::Device(format!("{}: a buffer could not be read: {e}", self.gpu.info.name));
        result.map_err(failed)?;
        let mapped = self.staging.get_mapped_range(0..whole_words(self.bytes)).map_err(|e| failed(e.to_string()))?;
        Ok(mapped[..self.bytes].to_vec())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // A buffer that is still to be written to cannot serve the next read.
        if !matches!(lock(&self.mapped).result, Some(Ok(()))) {
            return;
        }
        self.staging.unmap();
        let mut kept = lock(&self.gpu.staging);
        if kept.len() < KEPT {
            kept.push(self.staging.clone());
        }
    }
}

/// What is copied and mapped for so many bytes.
fn whole_words(bytes: usize) -> u64 {
    bytes.next_multiple_of(4).max(4) as u64
}

#[cfg(test)]
mod tests {
    use crate::error::Result;
    use crate::shape::{DType, Spec};
    use crate::testing::own_gpu;

    #[test]
    fn a_reading_submits_nothing_and_gives_what_was_there_when_it_began() -> Result<()> {
        let Some(device) = own_gpu("reading") else { return Ok(()) };
        let spec = Spec::new([3], DType::U8);
        let mut storage = device.upload(&spec, &[1, 2, 3])?;
        device.synchronize()?;
        let before = device.stats();
        let first = device.start_reading(&storage, 3)?;
        storage = device.upload_into(Some(storage), &spec, &[4, 5, 6])?;
        let second = device.start_reading(&storage, 2)?;
        assert_eq!(device.stats().submissions, before.submissions);
        assert!(!first.is_there() && !second.is_there());
        device.synchronize()?;
        assert!(first.is_there() && second.is_there());
        let submitted = device.stats().submissions;
        let bytes = [pollster::block_on(first.bytes())?, pollster::block_on(second.bytes())?];
        assert_eq!(bytes, [vec![1, 2, 3], vec![4, 5]]);
        assert_eq!(device.stats().submissions, submitted, "what is there is not asked for again");
        Ok(())
    }

    #[test]
    fn memory_of_a_reading_serves_the_next() -> Result<()> {
        let Some(device) = own_gpu("reading") else { return Ok(()) };
        let spec = Spec::new([3], DType::U8);
        let storage = device.upload(&spec, &[1, 2, 3])?;
        drop(device.start_reading(&storage, 3)?);
        assert_eq!(pollster::block_on(device.start_reading(&storage, 3)?.bytes())?, [1, 2, 3], "after a reading that nobody waited for");
        let before = device.stats().allocations;
        for _ in 0..20 {
            let reading = device.start_reading(&storage, 3)?;
            device.synchronize()?;
            drop(reading);
            assert_eq!(pollster::block_on(device.start_reading(&storage, 3)?.bytes())?, [1, 2, 3]);
        }
        assert_eq!(device.stats().allocations, before);
        Ok(())
    }
}
