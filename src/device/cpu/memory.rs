//! A block of aligned bytes.

use std::cell::UnsafeCell;

/// One cache line.
#[derive(Clone, Copy, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A block of memory, aligned to cache lines, that kernels write through a shared handle.
pub(crate) struct CpuMemory {
    lines: Box<[UnsafeCell<Line>]>,
}

// SAFETY: the content is written only by a program that holds the memory as an output, a temporary, or an input that nobody else can reach
// (`Arc::strong_count` is checked before), and by `write`, which is called before a new memory is handed out. Otherwise it is only read.
unsafe impl Sync for CpuMemory {}

impl CpuMemory {
    /// At least so many bytes; nothing if the system has not so much memory.
    pub fn new(bytes: usize) -> Option<CpuMemory> {
        // Zeroed pages come from the system without being touched.
        let lines: Box<[Line]> = bytemuck::try_zeroed_slice_box(bytes.div_ceil(64)).ok()?;
        Some(CpuMemory { lines: unsafe_cells(lines) })
    }

    pub fn as_ptr(&self) -> *mut u8 {
        self.lines.as_ptr().cast_mut().cast()
    }

    /// Fills the first bytes.
    pub fn write(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.lines.len() * 64);
        // SAFETY: the length was checked; whoever writes is the only holder, see `Sync`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.as_ptr(), bytes.len()) };
    }

    /// The first bytes.
    pub fn read(&self, bytes: usize) -> Vec<u8> {
        assert!(bytes <= self.lines.len() * 64);
        // SAFETY: the length was checked; nobody writes while a holder reads, see `Sync`.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), bytes) }.to_vec()
    }
}

/// The same box, writable through a shared reference.
fn unsafe_cells(lines: Box<[Line]>) -> Box<[UnsafeCell<Line>]> {
    // SAFETY: `UnsafeCell<Line>` has the layout of `Line`, and the box is ours alone.
    unsafe { Box::from_raw(Box::into_raw(lines) as *mut [UnsafeCell<Line>]) }
}
