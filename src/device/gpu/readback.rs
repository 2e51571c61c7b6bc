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

impl Gpu {
    /// The first bytes of a buffer. Natively the wait blocks in here, with a time limit; in a browser the callback wakes the future.
    pub(crate) async fn read(&self, buffer: &wgpu::Buffer, bytes: usize) -> Result<Vec<u8>> {
        let length = bytes.next_multiple_of(4).max(4) as u64;
        let staging = self.staging(length)?;
        self.queue.encode(|encoder| encoder.copy_buffer_to_buffer(buffer, 0, &staging, 0, length));
        let submitted = self.queue.flush()?;
        let mapped = Arc::new(Mutex::new(Mapped::default()));
        let callback = mapped.clone();
        staging.map_async(wgpu::MapMode::Read, 0..length, move |result| {
            let mut mapped = lock(&callback);
            mapped.result = Some(result.map_err(|e| e.to_string()));
            if let Some(waker) = mapped.waker.take() {
                waker.wake();
            }
        });
        if cfg!(not(target_arch = "wasm32")) {
            self.queue.wait_for(&submitted)?;
        }
        let result = poll_fn(|context| {
            let mut mapped = lock(&mapped);
            match mapped.result.take() {
                Some(result) => Poll::Ready(result),
                None => {
                    mapped.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        self.faults.check()?;
        let failed = |e: String| Error::Device(format!("{}: a buffer could not be read: {e}", self.info.name));
        result.map_err(failed)?;
        let data = staging.get_mapped_range(0..length).map_err(|e| failed(e.to_string()))?[..bytes].to_vec();
        staging.unmap();
        let mut kept = lock(&self.staging);
        if kept.len() < KEPT {
            kept.push(staging);
        }
        Ok(data)
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
