//! Fashion-MNIST: 60,000 pictures of clothes to learn from and 10,000 to be judged by, in the files and sizes of MNIST.

use super::dataset::Splits;
use super::idx_set::IdxSet;
use super::patterns;
use super::remote::Remote;
use crate::error::Result;
use std::path::Path;

/// Loads Fashion-MNIST from `folder`, or without one from the cache, or else from the network into the cache.
///
/// Folder and files are as for [`mnist::load`](super::mnist::load); the cache is the folder `fashion-mnist`. Images are `[28, 28, 1]`.
///
/// # Errors
/// As [`mnist::load`](super::mnist::load).
pub fn load(folder: Option<&Path>) -> Result<Splits> {
    remote().load_from(folder)
}

/// As [`load`], but where there is neither a folder, a cache nor a network, [`patterns::grey`] draws as many images from `seed`,
/// and their `source` says so and why.
///
/// # Errors
/// As [`mnist::load_or_digits`](super::mnist::load_or_digits).
pub fn load_or_patterns(folder: Option<&Path>, seed: u64) -> Result<Splits> {
    remote().load_from_or_generate(folder, seed)
}

/// Where Fashion-MNIST is kept and where it comes from.
pub fn remote() -> Remote {
    let generate = |seed| patterns::grey(TRAIN, TEST, seed);
    let set = IdxSet { title: "Fashion-MNIST", folder: "fashion-mnist", class_names: &CLASS_NAMES, generate };
    Remote::new(set, &MIRRORS, &SHA256)
}

/// What the labels mean.
pub const CLASS_NAMES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// The sizes of the two splits.
const TRAIN: usize = 60_000;
const TEST: usize = 10_000;

const MIRRORS: [&str; 2] = [
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
];

/// Of the gzip files that the data set's authors published: training images and labels, test images and labels.
const SHA256: [&str; 4] = [
    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
];
