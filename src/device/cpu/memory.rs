//! A block of aligned bytes.

use std::cell::UnsafeCell;

/// One cache line.
#[derive(Clone, Copy, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Blocks of so many bytes come from the system in pages of 2 MiB where it has them: kernels walk through megabytes in strides, and the
/// addresses of 4 KiB pages do not stay in the processor's tables.
#[cfg(target_os = "linux")]
const LARGE: usize = 4 << 20;

/// A block of memory, aligned to cache lines, that kernels write through a shared handle.
pub(crate) struct CpuMemory(Block);

enum Block {
    Lines(Box<[UnsafeCell<Line>]>),
    #[cfg(target_os = "linux")]
    Pages(memmap2::MmapRaw),
}

// SAFETY: the content is written only by a program that holds the memory as an output, a temporary, or an input that nobody else can reach
// (`Arc::strong_count` is checked before), and by `write`, which is called before a new memory is handed out. Otherwise it is only read.
unsafe impl Sync for CpuMemory {}

impl CpuMemory {
    /// At least so many bytes; nothing if the system has not so much memory.
    pub fn new(bytes: usize) -> Option<CpuMemory> {
        #[cfg(target_os = "linux")]
        if bytes >= LARGE {
            let pages = memmap2::MmapOptions::new().len(bytes.next_multiple_of(64)).map_anon().ok()?;
            // A system without large pages says so, and works without them.
            let _ = pages.advise(memmap2::Advice::HugePage);
            return Some(CpuMemory(Block::Pages(pages.into())));
        }
        // Zeroed pages come from the system without being touched.
        let lines: Box<[Line]> = bytemuck::try_zeroed_slice_box(bytes.div_ceil(64)).ok()?;
        Some(CpuMemory(Block::Lines(unsafe_cells(lines))))
    }

    pub fn as_ptr(&self) -> *mut u8 {
        match &self.0 {
            Block::Lines(lines) => lines.as_ptr().cast_mut().cast(),
            #[cfg(target_os = "linux")]
            Block::Pages(pages) => pages.as_mut_ptr(),
        }
    }

    fn bytes(&self) -> usize {
        match &self.0 {
            Block::Lines(lines) => lines.len() * 64,
            #[cfg(target_os = "linux")]
            Block::Pages(pages) => pages.len(),
        }
    }

    /// Fills the first bytes.
    pub fn write(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.bytes());
        // SAFETY: the length was checked; whoever writes is the only holder, see `Sync`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.as_ptr(), bytes.len()) };
    }

    /// The first bytes.
    pub fn read(&self, bytes: usize) -> Vec<u8> {
        assert!(bytes <= self.bytes());
        // SAFETY: the length was checked; nobody writes while a holder reads, see `Sync`.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), bytes) }.to_vec()
    }
}

/// The same box, writable through a shared reference.
fn unsafe_cells(lines: Box<[Line]>) -> Box<[UnsafeCell<Line>]> {
    // SAFETY: `UnsafeCell<Line>` has the layout of `Line`, and the box is ours alone.
    unsafe { Box::from_raw(Box::into_raw(lines) as *mut [UnsafeCell<Line>]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_large_blocks_are_aligned_zeroed_and_hold_what_is_written() {
        for bytes in [1, 64, 100, 4 << 20, (4 << 20) + 1] {
            let memory = CpuMemory::new(bytes).expect("memory");
            assert_eq!(memory.as_ptr() as usize % 64, 0, "{bytes}");
            assert!(memory.read(bytes).iter().all(|byte| *byte == 0), "{bytes}");
            let content: Vec<u8> = (0..bytes).map(|i| (i % 251) as u8).collect();
            memory.write(&content);
            assert!(memory.read(bytes) == content, "{bytes}");
        }
        assert!(CpuMemory::new(1 << 60).is_none());
    }
}
