//! The files of a tar archive, one after the other.
//!
//! Layout (POSIX.1-1988, ustar): for each entry a header of 512 bytes, whose numbers are octal digits, and its content, filled up to a
//! multiple of 512; at the end two blocks of zeros. Headers of later extensions are entries of types of their own and are passed over:
//! they hold names of more than 100 bytes and times, which the archives of data sets do not need.

use super::content::{Content, MAX_BYTES};
use crate::error::Result;
use std::ops::Range;

const BLOCK: u64 = 512;

/// Where in a header its fields stand.
const NAME: Range<usize> = 0..100;
const SIZE: Range<usize> = 124..136;
const SUM: Range<usize> = 148..156;
const KIND: usize = 156;

/// Calls `visit` with the last part of each file's name and its content; what is not a regular file is passed over.
///
/// # Errors
/// [`Error::Data`](crate::Error::Data) if a header is not what it should be or the archive ends before its end mark, and the errors of `visit`.
pub(super) fn for_each_file(archive: &mut Content, mut visit: impl FnMut(&str, &mut Content) -> Result<()>) -> Result<()> {
    loop {
        let at = archive.offset();
        let header = archive.exactly(BLOCK, "the header of an entry, or the end mark,")?;
        if header.iter().all(|&byte| byte == 0) {
            return archive.finish();
        }
        let size = content_size(archive, at, &header)?;
        let name = text(&header[NAME]);
        let file = name.rsplit('/').next().unwrap_or_default();
        // Types '0' and, before POSIX, 0.
        if matches!(header[KIND], b'0' | 0) {
            let path = archive.name().join(file);
            archive.part(size, &path, |content| visit(file, content))?;
        } else {
            archive.skip(size)?;
        }
        archive.skip(size.next_multiple_of(BLOCK) - size)?;
    }
}

/// How many bytes follow the header at byte `at`, if the header is one.
fn content_size(archive: &Content, at: u64, header: &[u8]) -> Result<u64> {
    // The sum is taken with the field of the sum itself as spaces.
    let sum: u64 = header.iter().enumerate().map(|(i, &byte)| u64::from(if SUM.contains(&i) { b' ' } else { byte })).sum();
    if octal(&header[SUM]) != Some(sum) {
        let message = "expected the header of a tar archive's entry, but its check sum is wrong".to_string();
        return Err(archive.error(at + SUM.start as u64, message));
    }
    let at = at + SIZE.start as u64;
    match octal(&header[SIZE]) {
        Some(size) if size <= MAX_BYTES.saturating_sub(archive.offset()) => Ok(size),
        Some(size) => Err(archive.error(at, format!("the header announces {size} bytes, more than the {MAX_BYTES} that are read"))),
        None => Err(archive.error(at, format!("expected a size in octal digits, got {:?}", text(&header[SIZE])))),
    }
}

/// A number in octal digits, between spaces and zero bytes; up to 12 digits fit.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = text(field);
    u64::from_str_radix(digits.trim(), 8).ok().filter(|_| !digits.contains('+'))
}

/// What stands before the first zero byte.
fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}
