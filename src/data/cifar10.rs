//! CIFAR-10: 50,000 colour photographs to learn from and 10,000 to be judged by, 32×32 pixels each, of ten kinds of things.

use super::cifar::Cifar;
use super::dataset::Splits;
use super::patterns;
use super::remote::Remote;
use crate::error::Result;
use std::path::Path;

/// Loads CIFAR-10 from `folder`, or without one from the cache, or else from the network into the cache.
///
/// A folder must hold `cifar-10-binary.tar.gz` (or the `.tar` of it), or its files, unpacked: `data_batch_1.bin` to `data_batch_5.bin`,
/// `test_batch.bin` and `batches.meta.txt`, in the folder itself or in `cifar-10-batches-bin`. The archive's own path will do too.
/// Files may hold any number of samples. The cache is the folder `cifar-10` in [`fetch::cache_folder`](super::fetch::cache_folder).
/// Images are `[32, 32, 3]`, class names those of the file.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) naming the file that is missing; [`Error::Data`](crate::Error::Data) if a file is not what it should
/// be, with the file (in an archive: the archive's path with the file's name behind it) and the byte;
/// [`Error::Download`](crate::Error::Download).
pub fn load(folder: Option<&Path>) -> Result<Splits> {
    remote().load_from(folder)
}

/// As [`load`], but where there is neither a folder, a cache nor a network, [`patterns::colour`] draws as many images from `seed`,
/// and their `source` says so and why.
///
/// # Errors
/// As [`load`], without those of the network and of a cache folder that cannot be had. A folder that was given and is wrong is an error,
/// and so is a damaged file in the cache.
pub fn load_or_patterns(folder: Option<&Path>, seed: u64) -> Result<Splits> {
    remote().load_from_or_generate(folder, seed)
}

/// Where CIFAR-10 is kept and where it comes from.
pub fn remote() -> Remote {
    Remote::new(set(), &MIRRORS, &SHA256)
}

/// Reads `cifar-10-binary.tar.gz`, or the `.tar` of it, in memory.
///
/// # Errors
/// As [`load`].
pub fn from_archive(archive: &[u8]) -> Result<Splits> {
    set().read_bytes(archive)
}

fn set() -> Cifar {
    Cifar {
        title: "CIFAR-10",
        folder: "cifar-10",
        archive: "cifar-10-binary.tar.gz",
        inner: "cifar-10-batches-bin",
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: "test_batch.bin",
        labels: &[10],
        wanted: 0,
        names: "batches.meta.txt",
        generate: |seed| patterns::colour(TRAIN, TEST, seed),
    }
}

/// The sizes of the two splits.
const TRAIN: usize = 50_000;
const TEST: usize = 10_000;

const MIRRORS: [&str; 1] = ["https://www.cs.toronto.edu/~kriz/"];

/// Of the archive that the data set's authors publish.
const SHA256: [&str; 1] = ["c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"];
