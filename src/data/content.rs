//! Reading bytes that nobody vouches for: every error says in which file and at which byte.

use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

/// The most bytes that are read from one file: 1 GiB, twice the largest of the well-known small data sets.
///
/// A gzip file of one megabyte can unpack to a gigabyte of zeros behind a header that announces them; this bounds it.
pub const MAX_BYTES: u64 = 1 << 30;

/// The unpacked content of a file, read from its beginning to its end.
pub(super) struct Content<'a> {
    input: Box<dyn Read + 'a>,
    name: &'a Path,
    offset: u64,
    /// How long it is, where something announced that.
    size: Option<u64>,
}

impl<'a> Content<'a> {
    /// A file, plain or gzipped; which of the two, its first bytes tell and not its name.
    pub fn open(path: &'a Path) -> Result<Content<'a>> {
        let file = File::open(path).map_err(|error| Error::io(path, &error))?;
        Content::new(BufReader::with_capacity(1 << 16, file), path)
    }

    /// What `input` gives, unpacked if it is gzipped; `name` is what errors call it.
    pub fn new(mut input: impl Read + 'a, name: &'a Path) -> Result<Content<'a>> {
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        input.by_ref().take(GZIP_MAGIC.len() as u64).read_to_end(&mut head).map_err(|error| Error::io(name, &error))?;
        let packed = head == GZIP_MAGIC;
        let whole = io::Cursor::new(head).chain(input);
        // The decoder for several members, because the one for a single member is silent about bytes that follow it.
        let input: Box<dyn Read + 'a> = if packed { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        Ok(Content { input, name, offset: 0, size: None })
    }

    /// How many bytes were read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What errors call it.
    pub fn name(&self) -> &'a Path {
        self.name
    }

    /// The next `size` bytes as a content of their own, whose offsets begin at 0. `read` need not read all of it; the rest is skipped.
    pub fn part<T>(&mut self, size: u64, name: &Path, read: impl FnOnce(&mut Content) -> Result<T>) -> Result<T> {
        let mut part = Content { input: Box::new(self.input.by_ref().take(size)), name, offset: 0, size: Some(size) };
        let outcome = read(&mut part)?;
        let done = part.offset;
        drop(part);
        self.offset += done;
        self.skip(size - done)?;
        Ok(outcome)
    }

    /// The next `wanted` bytes; `what` they are is for the error if the content ends before.
    pub fn exactly(&mut self, wanted: u64, what: &str) -> Result<Vec<u8>> {
        let bytes = self.up_to(wanted)?;
        if (bytes.len() as u64) < wanted {
            let message = format!("the file is cut off: {what} take {wanted} bytes, only {} are there", bytes.len());
            return Err(self.error(self.offset, message));
        }
        Ok(bytes)
    }

    /// The next `most` bytes or what there is of them. The buffer grows with what arrives: `most` comes from a header, and a header may lie.
    pub fn up_to(&mut self, most: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.append(most, &mut bytes)?;
        Ok(bytes)
    }

    /// Appends the next `most` bytes or what there is of them.
    pub fn append(&mut self, most: u64, bytes: &mut Vec<u8>) -> Result<()> {
        let before = bytes.len();
        let outcome = self.input.by_ref().take(most).read_to_end(bytes);
        let count = (bytes.len() - before) as u64;
        self.advance(most, count, outcome.map(drop))
    }

    /// Passes over the next `count` bytes.
    pub fn skip(&mut self, count: u64) -> Result<()> {
        let skipped = self.pass(count)?;
        if skipped < count {
            return Err(
                self.error(self.offset, format!("the file is cut off: {count} more bytes were announced, only {skipped} are there"))
            );
        }
        Ok(())
    }

    /// Passes over the rest, so that the check sums of a gzip file are checked.
    pub fn finish(&mut self) -> Result<()> {
        self.pass(MAX_BYTES.saturating_sub(self.offset))?;
        let end = self.offset;
        if !self.up_to(1)?.is_empty() {
            return Err(self.error(end, format!("the file goes on after the {MAX_BYTES} bytes that are read")));
        }
        Ok(())
    }

    /// Passes over as many of the next `count` bytes as there are.
    fn pass(&mut self, count: u64) -> Result<u64> {
        let mut counter = Counter(0);
        let outcome = io::copy(&mut self.input.by_ref().take(count), &mut counter);
        self.advance(count, counter.0, outcome.map(drop))?;
        Ok(counter.0)
    }

    /// After reading `count` of `wanted` bytes: fewer are an error where more were announced.
    fn advance(&mut self, wanted: u64, count: u64, outcome: io::Result<()>) -> Result<()> {
        self.offset += count;
        outcome.map_err(|error| self.broken(&error))?;
        match self.size {
            Some(size) if count < wanted && self.offset < size => {
                let message = format!("the file is cut off: {size} bytes were announced, only {} are there", self.offset);
                Err(self.error(self.offset, message))
            }
            _ => Ok(()),
        }
    }

    /// An error of this file.
    pub fn error(&self, offset: u64, message: String) -> Error {
        Error::Data { path: self.name.to_path_buf(), offset, message }
    }

    /// The decoder reports its input with three kinds; everything else is the disk's.
    fn broken(&self, error: &io::Error) -> Error {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        if matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof) {
            return self.error(self.offset, format!("the gzip data is damaged: {error}"));
        }
        Error::io(self.name, error)
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Counts what is written and forgets it.
struct Counter(u64);

impl io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
