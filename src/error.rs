//! Everything that can go wrong and that a user can meet. Our own mistakes are `assert!`s.

use std::fmt;
use std::path::{Path, PathBuf};

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong: what was wanted, what came, and, where there is advice, what to try.
#[derive(Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A shape that an operation or a layer cannot take.
    #[error("{op}: expected {want}, got {got}{}", advice(hint))]
    Shape {
        /// The operation.
        op: String,
        /// The shape that was wanted, in words.
        want: String,
        /// The shape that came.
        got: String,
        /// What to try; may be empty.
        hint: String,
    },
    /// An element type that an operation cannot take.
    #[error("{op}: expected {want}, got {got}")]
    DType {
        /// The operation.
        op: String,
        /// The element types that were wanted.
        want: String,
        /// The element type that came.
        got: String,
    },
    /// An argument outside its range.
    #[error("{what}: expected {want}, got {got}")]
    Argument {
        /// The call and its argument.
        what: String,
        /// The values that are allowed.
        want: String,
        /// The value that came.
        got: String,
    },
    /// A class label outside `0..classes`.
    #[error(
        "{op}: label {label} at position {position} is outside 0..{classes}; labels count from 0: does the last layer have a unit for every class?"
    )]
    Label {
        /// The operation.
        op: String,
        /// The offending label.
        label: i64,
        /// Its position in the flattened labels.
        position: usize,
        /// The number of classes.
        classes: usize,
    },
    /// A NaN or an infinity where a number was needed.
    #[error("{found} in {place}{}", advice(hint))]
    NotFinite {
        /// "NaN" or "infinity".
        found: String,
        /// The tensor, operation or layer, and the step.
        place: String,
        /// What to try; may be empty.
        hint: String,
    },
    /// No adapter, an unknown device name, a lost device, two devices in one operation.
    #[error("device: {0}")]
    Device(String),
    /// More memory was asked for than the device can give.
    #[error("out of memory: {what} needs {bytes} bytes{}{}", at_most(limit), advice(hint))]
    OutOfMemory {
        /// What needs the memory.
        what: String,
        /// How much.
        bytes: u64,
        /// The limit that it passes, where one is known.
        limit: Option<u64>,
        /// What to try; may be empty.
        hint: String,
    },
    /// A file whose content is not what it should be.
    #[error("{}: at byte {offset}: {message}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// Where in the (unpacked) file.
        offset: u64,
        /// What was expected and what was found.
        message: String,
    },
    /// A file that cannot be opened, read or written.
    #[error("{}: {message}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's message.
        message: String,
    },
    /// A download that failed.
    #[error("download of {url}: {message}")]
    Download {
        /// The address.
        url: String,
        /// What happened.
        message: String,
    },
    /// Something that is not allowed while a `Function` is traced.
    #[error("in a traced function: {0}")]
    Trace(String),
    /// A gradient that cannot be had.
    #[error("gradient: {0}")]
    Gradient(String),
    /// A model that is used before it is built or compiled.
    #[error("{0}")]
    NotReady(String),
    /// An error with the layer or the line it happened at.
    #[error("{place}: {error}")]
    At {
        /// Layer path or source line.
        place: String,
        /// The error itself. It is shown with the place, so it is no `source`, which callers show once more.
        error: Box<Error>,
    },
}

/// Its text: `fn main() -> Result<()>` and `unwrap` show errors in this form.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn at_most(limit: &Option<u64>) -> String {
    limit.map_or_else(String::new, |limit| format!(", the limit is {limit} bytes"))
}

fn advice(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!("; {hint}") }
}

impl Error {
    /// A [`Error::Shape`] without advice.
    pub fn shape(op: impl Into<String>, want: impl Into<String>, got: impl std::fmt::Display) -> Error {
        Error::Shape { op: op.into(), want: want.into(), got: got.to_string(), hint: String::new() }
    }

    /// A [`Error::DType`].
    pub fn dtype(op: impl Into<String>, want: impl Into<String>, got: impl std::fmt::Display) -> Error {
        Error::DType { op: op.into(), want: want.into(), got: got.to_string() }
    }

    /// An [`Error::Argument`].
    pub fn argument(what: impl Into<String>, want: impl Into<String>, got: impl std::fmt::Display) -> Error {
        Error::Argument { what: what.into(), want: want.into(), got: got.to_string() }
    }

    /// An [`Error::Io`] from the system's own error.
    pub fn io(path: &Path, error: &std::io::Error) -> Error {
        Error::Io { path: path.to_path_buf(), message: error.to_string() }
    }

    /// Adds what to try, where the error has a place for advice.
    pub fn hint(mut self, advice: impl Into<String>) -> Error {
        match &mut self {
            Error::Shape { hint, .. } | Error::NotFinite { hint, .. } | Error::OutOfMemory { hint, .. } => *hint = advice.into(),
            _ => {}
        }
        self
    }

    /// Adds the layer or line at which the error happened.
    pub fn at(self, place: impl Into<String>) -> Error {
        Error::At { place: place.into(), error: Box::new(self) }
    }

    /// The innermost error, without the places it passed through.
    pub fn root(&self) -> &Error {
        match self {
            Error::At { error, .. } => error.root(),
            other => other,
        }
    }
}
