//! MNIST: 60,000 handwritten digits to learn from and 10,000 to be judged by, 28×28 grey levels each, white on black.

use super::dataset::Splits;
use super::digits;
use super::idx_set::IdxSet;
use super::remote::Remote;
use crate::error::Result;
use std::path::Path;

/// Loads MNIST from `folder`, or without one from the cache, or else from the network into the cache.
///
/// A folder must hold the four files, plain or gzipped (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`,
/// `t10k-labels-idx1-ubyte`, with or without `.gz`; `.idx3-ubyte` is accepted too). Any data set of 10 classes in these files will do.
/// The cache is the folder `mnist` in [`fetch::cache_folder`](super::fetch::cache_folder). Images are `[28, 28, 1]`.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) naming the file that the folder lacks; [`Error::Data`](crate::Error::Data) if a file is not what it
/// should be; [`Error::Download`](crate::Error::Download).
pub fn load(folder: Option<&Path>) -> Result<Splits> {
    remote().load_from(folder)
}

/// As [`load`], but where there is neither a folder, a cache nor a network, [`digits::generate`] draws as many digits from `seed`,
/// and their `source` says so and why.
///
/// # Errors
/// As [`load`], without those of the network and of a cache folder that cannot be had. A folder that was given and is wrong is an error,
/// and so is a damaged file in the cache.
pub fn load_or_digits(folder: Option<&Path>, seed: u64) -> Result<Splits> {
    remote().load_from_or_generate(folder, seed)
}

/// Where MNIST is kept and where it comes from.
pub fn remote() -> Remote {
    let generate = |seed| digits::generate(TRAIN, TEST, seed);
    let set = IdxSet { title: "MNIST", folder: "mnist", class_names: &CLASS_NAMES, generate };
    Remote::new(set, &MIRRORS, &SHA256)
}

/// The digits.
pub const CLASS_NAMES: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// The sizes of the two splits.
const TRAIN: usize = 60_000;
const TEST: usize = 10_000;

const MIRRORS: [&str; 2] = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"];

/// Of the gzip files that the data set's authors published and that the mirrors carry byte for byte: training images and labels, test
/// images and labels.
const SHA256: [&str; 4] = [
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
];
