//! The IDX file format: an array of numbers behind a header of its axes. MNIST and its successors come in it.
//!
//! Layout, as <http://yann.lecun.com/exdb/mnist/> described it, all integers big-endian: two zero bytes, one byte for the element type
//! (0x08 is u8), one byte for the number of axes, a u32 for each axis, then the elements, last axis innermost.

use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// The most elements that are read from one file: 1 GiB, twice the largest of the well-known sets in this format.
///
/// A gzip file of one megabyte can unpack to a gigabyte of zeros behind a header that announces them; this bounds it.
pub const MAX_BYTES: u64 = 1 << 30;

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
    /// [`Error::Io`] if it cannot be opened or read. [`Error::Data`], with the offset in the unpacked content, if it is not IDX, holds
    /// something else than u8, ends early, goes on after its last element, announces more than [`MAX_BYTES`], or is corrupt gzip.
    pub fn read(path: &Path) -> Result<Idx> {
        let file = File::open(path).map_err(|error| Error::io(path, &error))?;
        Idx::read_from(BufReader::with_capacity(1 << 16, file), path)
    }

    /// Reads the content of a file that is in memory; `name` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Data`], as [`Idx::read`].
    pub fn from_bytes(bytes: &[u8], name: &Path) -> Result<Idx> {
        Idx::read_from(bytes, name)
    }

    fn read_from(mut input: impl Read, name: &Path) -> Result<Idx> {
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        input.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head).map_err(|error| Error::io(name, &error))?;
        let packed = head == GZIP_MAGIC;
        let whole = io::Cursor::new(head).chain(input);
        if packed {
            // The decoder for several members, because the one for a single member is silent about bytes that follow it.
            Reader { input: MultiGzDecoder::new(whole), name, offset: 0 }.idx()
        } else {
            Reader { input: whole, name, offset: 0 }.idx()
        }
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const U8: u8 = 0x08;

/// The unpacked content, and how much of it has been read.
struct Reader<'a, R> {
    input: R,
    name: &'a Path,
    offset: u64,
}

impl<R: Read> Reader<'_, R> {
    fn idx(mut self) -> Result<Idx> {
        let shape = self.header()?;
        let size = self.size(&shape)?;
        let data = self.exactly(size, "the elements")?;
        let end = self.offset;
        if !self.up_to(1)?.is_empty() {
            return Err(self.error(end, format!("expected the end after {size} elements of shape {shape:?}, but the file goes on")));
        }
        Ok(Idx { shape, data })
    }

    fn header(&mut self) -> Result<Vec<usize>> {
        let magic = self.exactly(4, "the magic number")?;
        if magic[..2] != [0, 0] {
            let message = format!("expected an IDX file to begin with two zero bytes, got {:02x} {:02x}", magic[0], magic[1]);
            return Err(self.error(0, message));
        }
        if magic[2] != U8 {
            let message = format!("element type 0x{:02x} is not supported, only 0x{U8:02x} (u8)", magic[2]);
            return Err(self.error(2, message));
        }
        let axes = usize::from(magic[3]);
        if !(1..=MAX_AXES).contains(&axes) {
            return Err(self.error(3, format!("expected 1 to {MAX_AXES} axes, got {axes}")));
        }
        let lengths = self.exactly(4 * axes as u64, "the lengths of the axes")?;
        Ok(lengths.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]) as usize).collect())
    }

    /// The number of elements that the header announces, if that is believable.
    fn size(&self, shape: &[usize]) -> Result<u64> {
        let size = shape.iter().try_fold(1u64, |size, &axis| size.checked_mul(axis as u64));
        match size {
            Some(size) if size <= MAX_BYTES => Ok(size),
            _ => Err(self.error(4, format!("the header announces the shape {shape:?}, more than the {MAX_BYTES} bytes that are read"))),
        }
    }

    /// The next `wanted` bytes; `what` they are is for the error if the content ends before.
    fn exactly(&mut self, wanted: u64, what: &str) -> Result<Vec<u8>> {
        let bytes = self.up_to(wanted)?;
        if (bytes.len() as u64) < wanted {
            let message = format!("the file is cut off: {what} take {wanted} bytes, only {} are there", bytes.len());
            return Err(self.error(self.offset, message));
        }
        Ok(bytes)
    }

    /// The next `most` bytes or what there is of them. The buffer grows with what arrives: `most` comes from a header, and a header may lie.
    fn up_to(&mut self, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let outcome = self.input.by_ref().take(most).read_to_end(&mut bytes);
        self.offset += bytes.len() as u64;
        match outcome {
            Ok(_) => Ok(bytes),
            Err(error) if is_corruption(&error) => Err(self.error(self.offset, format!("the gzip data is damaged: {error}"))),
            Err(error) => Err(Error::io(self.name, &error)),
        }
    }

    fn error(&self, offset: u64, message: String) -> Error {
        Error::Data { path: self.name.to_path_buf(), offset, message }
    }
}

/// The kinds with which the decoder reports its input; everything else is the disk's.
fn is_corruption(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof)
}
