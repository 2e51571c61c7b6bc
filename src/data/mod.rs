//! Where samples come from.
//!
//! [`mnist`], [`fashion_mnist`], [`cifar10`] and [`cifar100`] each have a `load`, which reads the data set from a folder, from the cache, or
//! from the network into the cache, and a `load_or_digits` or `load_or_patterns`, which draws images of its own ([`digits`], [`patterns`])
//! on machines that have none of the three, and says so. All of them give [`Splits`]: a training and a test [`Dataset`] of bytes, not yet
//! scaled or normalised, with labels and the names of the classes. `remote` is for other caches and mirrors.
//!
//! Below them, [`idx`] reads the IDX file format, plain or gzipped, and [`fetch`] downloads one file completely or not
//! at all. Whatever a file or a server says is checked before it is believed: an error names the file and the byte.
//! In a browser everything but the download works; hand file contents to [`Idx::from_bytes`] or [`cifar100::from_archive`] there.
//!
//! [`utils`] has Keras's small helpers: [`to_categorical`](utils::to_categorical), [`normalize`](utils::normalize),
//! [`pad_sequences`](utils::pad_sequences), [`split_dataset`](utils::split_dataset).

mod cifar;
pub mod cifar10;
pub mod cifar100;
mod content;
mod dataset;
pub mod digits;
pub mod fashion_mnist;
pub mod fetch;
mod glyphs;
pub mod idx;
mod idx_set;
pub mod mnist;
pub mod patterns;
mod random;
mod remote;
mod tar;
pub mod utils;

pub use cifar100::Labels;
pub use dataset::{Dataset, Splits};
pub use idx::Idx;
pub use remote::Remote;
