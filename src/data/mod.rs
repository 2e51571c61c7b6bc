//! Where samples come from.
//!
//! [`mnist::load`] reads the handwritten digits from a folder, from the cache, or from the network into the cache;
//! [`digits::generate`] draws digits of its own for machines that have none of the three, and
//! [`mnist::load_or_digits`] takes whichever it can get and says which. All of them give [`Splits`]: a training and a
//! test [`Dataset`] of bytes as they lie in the file, not yet scaled or normalised.
//!
//! Below them, [`idx`] reads the IDX file format, plain or gzipped, and [`fetch`] downloads one file completely or not
//! at all. Whatever a file or a server says is checked before it is believed: an error names the file and the byte.
//! In a browser everything but the download works; hand file contents to [`Idx::from_bytes`] there.

mod dataset;
pub mod digits;
pub mod fetch;
mod glyphs;
pub mod idx;
pub mod mnist;

pub use dataset::{Dataset, Splits};
pub use idx::Idx;
