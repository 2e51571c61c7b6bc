//! CIFAR-100: 50,000 colour photographs to learn from and 10,000 to be judged by, 32×32 pixels each, of a hundred kinds of things in
//! twenty groups of five.

use super::cifar::Cifar;
use super::dataset::Splits;
use super::patterns;
use super::remote::Remote;
use crate::error::{Error, Result};
use crate::suggest;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// Which labels are wanted: Keras's `label_mode`. `"fine".parse()` gives it from Keras's strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Labels {
    /// 100 classes.
    #[default]
    Fine,
    /// 20 groups of five classes.
    Coarse,
}

impl FromStr for Labels {
    type Err = Error;

    fn from_str(text: &str) -> Result<Labels> {
        suggest::find("labels", text, &[("fine", Labels::Fine), ("coarse", Labels::Coarse)])
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Labels::Fine => "fine",
            Labels::Coarse => "coarse",
        })
    }
}

/// Loads CIFAR-100 from `folder`, or without one from the cache, or else from the network into the cache.
///
/// A folder must hold `cifar-100-binary.tar.gz` (or the `.tar` of it), or its files, unpacked: `train.bin`, `test.bin` and
/// `fine_label_names.txt` or `coarse_label_names.txt`, in the folder itself or in `cifar-100-binary`. The archive's own path will do too.
/// Files may hold any number of samples. The cache is the folder `cifar-100` in [`fetch::cache_folder`](super::fetch::cache_folder).
/// Images are `[32, 32, 3]`, class names those of the file.
///
/// # Errors
/// [`Error::Io`] naming the file that is missing; [`Error::Data`] if a file is not what it should be, with the file (in an archive: the
/// archive's path with the file's name behind it) and the byte; [`Error::Download`].
pub fn load(folder: Option<&Path>, labels: Labels) -> Result<Splits> {
    remote(labels).load_from(folder)
}

/// As [`load`], but where there is neither a folder, a cache nor a network, [`patterns::colour100`] draws as many images from `seed`,
/// and their `source` says so and why.
///
/// # Errors
/// As [`load`], without those of the network and of a cache folder that cannot be had. A folder that was given and is wrong is an error,
/// and so is a damaged file in the cache.
pub fn load_or_patterns(folder: Option<&Path>, labels: Labels, seed: u64) -> Result<Splits> {
    remote(labels).load_from_or_generate(folder, seed)
}

/// Where CIFAR-100 is kept and where it comes from.
pub fn remote(labels: Labels) -> Remote {
    Remote::new(set(labels), &MIRRORS, &SHA256)
}

/// Reads `cifar-100-binary.tar.gz`, or the `.tar` of it, in memory.
///
/// # Errors
/// As [`load`].
pub fn from_archive(archive: &[u8], labels: Labels) -> Result<Splits> {
    set(labels).read_bytes(archive)
}

fn set(labels: Labels) -> Cifar {
    Cifar {
        title: "CIFAR-100",
        folder: "cifar-100",
        archive: "cifar-100-binary.tar.gz",
        inner: "cifar-100-binary",
        train: &["train.bin"],
        test: "test.bin",
        labels: &[20, 100],
        wanted: match labels {
            Labels::Coarse => 0,
            Labels::Fine => 1,
        },
        names: match labels {
            Labels::Coarse => "coarse_label_names.txt",
            Labels::Fine => "fine_label_names.txt",
        },
        generate: match labels {
            Labels::Coarse => |seed| patterns::colour100(TRAIN, TEST, Labels::Coarse, seed),
            Labels::Fine => |seed| patterns::colour100(TRAIN, TEST, Labels::Fine, seed),
        },
    }
}

/// The sizes of the two splits.
const TRAIN: usize = 50_000;
const TEST: usize = 10_000;

const MIRRORS: [&str; 1] = ["https://www.cs.toronto.edu/~kriz/"];

/// Of the archive that the data set's authors publish.
const SHA256: [&str; 1] = ["58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec"];
