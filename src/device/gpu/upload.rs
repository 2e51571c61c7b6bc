//! Writing a buffer from the host.

use super::Gpu;
use crate::device::Memory;
use crate::device::storage::GRAIN;
use crate::error::{Error, Result};

impl Gpu {
    /// Writes the first bytes of a buffer, after everything that was asked for before.
    pub(crate) fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) -> Result<()> {
        // wgpu puts its own writes before all commands of the next submission. Where commands wait for one, which may still read what lies
        // there, bytes among them keep the order without submitting them.
        if self.queue.is_recording()
            && !bytes.is_empty()
            && let Ok(staging) = self.staged(bytes)
        {
            let (size, pool) = (staging.size() as usize, self.uploads.clone());
            let length = bytes.len().next_multiple_of(4) as u64;
            return self.queue.copy_in(staging, length, buffer, move |staging| pool.give(size, 0, Memory::Gpu(staging)));
        }
        self.queue.write(buffer, bytes)
    }

    /// A buffer that begins with these bytes, and zeros up to a whole word.
    fn staged(&self, bytes: &[u8]) -> Result<wgpu::Buffer> {
        let size = bytes.len().next_multiple_of(GRAIN);
        let staging = match self.uploads.take(size) {
            Some((_, Memory::Gpu(free))) => free,
            _ => {
                self.common.counters.allocated();
                self.create_buffer_for(size, wgpu::BufferUsages::MAP_WRITE | wgpu::BufferUsages::COPY_SRC)?
            }
        };
        let failed = |e: wgpu::MapRangeError| Error::Device(format!("{}: a buffer could not be written: {e}", self.info.name));
        let mut view = staging.get_mapped_range_mut(..).map_err(failed)?;
        let (whole, rest) = bytes.split_at(bytes.len() / 4 * 4);
        view.slice(..whole.len()).copy_from_slice(whole);
        if !rest.is_empty() {
            let mut word = [0; 4];
            word[..rest.len()].copy_from_slice(rest);
            view.slice(whole.len()..whole.len() + 4).copy_from_slice(&word);
        }
        drop(view);
        staging.unmap();
        Ok(staging)
    }
}
