//! Files of weights in the safetensors format: eight bytes for the length of a header; the header, which is JSON and gives every tensor its
//! name, type, shape and place; and then the numbers.

mod header;
mod part_file;
mod safetensors;
mod weights;

pub(crate) use part_file::PartFile;
pub(crate) use weights::check_suffix;

use crate::error::Error;
use std::path::Path;

/// What is wrong with a file, before it is known which file it is.
#[derive(Debug, PartialEq)]
struct Fault {
    /// Where in the file.
    offset: u64,
    /// What was expected and what was found.
    message: String,
}

impl Fault {
    fn new(offset: usize, message: impl Into<String>) -> Fault {
        Fault { offset: offset as u64, message: message.into() }
    }

    fn of(self, path: &Path) -> Error {
        Error::Data { path: path.to_path_buf(), offset: self.offset, message: self.message }
    }
}
