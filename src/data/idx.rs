//! The IDX file format: an array of numbers behind a header of its axes. MNIST and its successors come in it.
//!
//! Layout, as <http://yann.lecun.com/exdb/mnist/> described it, all integers big-endian: two zero bytes, one byte for the element type
//! (0x08 is u8), one byte for the number of axes, a u32 for each axis, then the elements, last axis innermost.

use super::content::Content;
use crate::error::Result;
use std::path::Path;

pub use super::content::MAX_BYTES;

/// The most axes that are accepted.
pub const MAX_AXES: usize = 8;

/// An array of bytes, read from an IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// The length of each axis, outermost first.
    pub shape: Vec<usize>,
    /// The elements in row-major order, as many as the product of `shape`.
    pub data: Vec<u8>,
}

impl Idx {
    /// Reads a file, plain or gzipped; which of the two, its first bytes tell and not its name.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if it cannot be opened or read. [`Error::Data`](crate::Error::Data), with the offset in the unpacked
    /// content, if it is not IDX, holds something else than u8, ends early, goes on after its last element, announces more than
    /// [`MAX_BYTES`], or is corrupt gzip.
    pub fn read(path: &Path) -> Result<Idx> {
        Idx::read_from(Content::open(path)?)
    }

    /// Reads the content of a file that is in memory; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data), as [`Idx::read`].
    pub fn from_bytes(bytes: &[u8], name: &Path) -> Result<Idx> {
        Idx::read_from(Content::new(bytes, name)?)
    }

    fn read_from(mut content: Content) -> Result<Idx> {
        let shape = header(&mut content)?;
        let size = size(&content, &shape)?;
        let data = content.exactly(size, "the elements")?;
        let end = content.offset();
        if !content.up_to(1)?.is_empty() {
            return Err(content.error(end, format!("expected the end after {size} elements of shape {shape:?}, but the file goes on")));
        }
        Ok(Idx { shape, data })
    }
}

/// The element type u8.
const U8: u8 = 0x08;

/// The lengths of the axes.
fn header(content: &mut Content) -> Result<Vec<usize>> {
    let magic = content.exactly(4, "the magic number")?;
    if magic[..2] != [0, 0] {
        let message = format!("expected an IDX file to begin with two zero bytes, got {:02x} {:02x}", magic[0], magic[1]);
        return Err(content.error(0, message));
    }
    if magic[2] != U8 {
        let message = format!("element type 0x{:02x} is not supported, only 0x{U8:02x} (u8)", magic[2]);
        return Err(content.error(2, message));
    }
    let axes = usize::from(magic[3]);
    if !(1..=MAX_AXES).contains(&axes) {
        return Err(content.error(3, format!("expected 1 to {MAX_AXES} axes, got {axes}")));
    }
    let lengths = content.exactly(4 * axes as u64, "the lengths of the axes")?;
    Ok(lengths.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect())
}

/// The number of elements that the header announces, if that is believable.
fn size(content: &Content, shape: &[usize]) -> Result<u64> {
    let size = shape.iter().try_fold(1u64, |size, &axis| size.checked_mul(axis as u64));
    match size {
        Some(size) if size <= MAX_BYTES => Ok(size),
        _ => Err(content.error(4, format!("the header announces the shape {shape:?}, more than the {MAX_BYTES} bytes that are read"))),
    }
}
