//! MNIST: 60,000 handwritten digits to learn from and 10,000 to be judged by, 28×28 grey levels each, white on black.

use super::dataset::{Dataset, Splits};
use super::digits;
use super::fetch::{self, Download};
use super::idx::Idx;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Loads MNIST from `folder`, or without one from the cache, or else from the network into the cache.
///
/// A folder must hold the four files, plain or gzipped (`train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte`,
/// `t10k-labels-idx1-ubyte`, with or without `.gz`; `.idx3-ubyte` is accepted too). Any data set of 10 classes in these files will do.
/// The cache is the folder `mnist` in [`fetch::cache_folder`].
///
/// # Errors
/// [`Error::Io`] naming the file that the folder lacks; [`Error::Data`] if a file is not what it should be; [`Error::Download`].
pub fn load(folder: Option<&Path>) -> Result<Splits> {
    match folder {
        Some(folder) => load_folder(folder, &format!("MNIST from {}", folder.display())),
        None => Remote::default().load(),
    }
}

/// As [`load`], but where there is neither a folder, a cache nor a network, [`digits::generate`] draws as many digits from `seed`,
/// and their `source` says so and why.
///
/// # Errors
/// As [`load`], without those of the network and of a cache folder that cannot be had. A folder that was given and is wrong is an error,
/// and so is a damaged file in the cache.
pub fn load_or_digits(folder: Option<&Path>, seed: u64) -> Result<Splits> {
    match folder {
        Some(_) => load(folder),
        None => Remote::default().load_or_digits(seed),
    }
}

/// Where MNIST is kept and where it comes from when it is not there yet.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The folder for the files. Default: `mnist` in [`fetch::cache_folder`].
    pub cache: Option<PathBuf>,
    /// Addresses that end in a slash and to which a file name is appended, tried in this order. Default: two public copies.
    pub mirrors: Vec<String>,
    /// The SHA-256 of the gzip files: training images and labels, test images and labels. Default: those of the files as first published.
    pub sha256: [String; 4],
    /// How long finding and reaching a server may take. Default: 10 s.
    pub connect: Duration,
    /// How long a server may stay silent. Default: 30 s.
    pub stall: Duration,
}

impl Default for Remote {
    fn default() -> Remote {
        let defaults = Download::new("", "");
        Remote {
            cache: None,
            mirrors: MIRRORS.map(String::from).to_vec(),
            sha256: SHA256.map(String::from),
            connect: defaults.connect,
            stall: defaults.stall,
        }
    }
}

impl Remote {
    /// [`load`] without a folder, from these places.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(&self) -> Result<Splits> {
        self.provide()?.load()
    }

    /// [`load_or_digits`] without a folder, from these places.
    ///
    /// # Errors
    /// As [`load_or_digits`].
    pub fn load_or_digits(&self, seed: u64) -> Result<Splits> {
        let reason = match self.provide() {
            Ok(cache) => return cache.load(),
            Err(reason) => reason,
        };
        let mut splits = digits::generate(TRAIN, TEST, seed);
        let source = format!("MNIST could not be downloaded ({reason}); using generated digits (seed {seed})");
        splits.train.source.clone_from(&source);
        splits.test.source = source;
        Ok(splits)
    }

    /// Sees to it that the four files are in the cache.
    fn provide(&self) -> Result<Cache> {
        let folder = match &self.cache {
            Some(folder) => folder.clone(),
            None => fetch::cache_folder()?.join("mnist"),
        };
        let mut fetched = false;
        for (file, sha256) in FILES.iter().zip(&self.sha256) {
            if file.find(&folder).is_none() {
                self.fetch(file, sha256, &folder)?;
                fetched = true;
            }
        }
        Ok(Cache { folder, fetched })
    }

    /// Downloads one file from the first mirror that gives it.
    fn fetch(&self, file: &Part, sha256: &str, cache: &Path) -> Result<()> {
        let name = file.name();
        let mut failures = Vec::new();
        for mirror in &self.mirrors {
            let download = Download {
                sha256: Some(sha256.to_string()),
                connect: self.connect,
                stall: self.stall,
                ..Download::new(format!("{mirror}{name}.gz"), cache.join(format!("{name}.gz")))
            };
            match download.run() {
                Err(Error::Download { url, message }) => failures.push((url, message)),
                other => return other,
            }
        }
        let advice = format!("put {name}.gz into {}, or name a folder that has the four files", cache.display());
        let Some((url, message)) = failures.pop() else {
            return Err(Error::Download { url: format!("{name}.gz"), message: format!("there is no mirror to ask; {advice}") });
        };
        let before: String = failures.iter().map(|(url, message)| format!("; before that {url}: {message}")).collect();
        Err(Error::Download { url, message: format!("{message}{before}; {advice}") })
    }
}

/// The sizes of the two splits.
const TRAIN: usize = 60_000;
const TEST: usize = 10_000;

const CLASSES: usize = 10;

const MIRRORS: [&str; 2] = ["https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/"];

/// Of the gzip files that the data set's authors published and that the mirrors carry byte for byte.
const SHA256: [&str; 4] = [
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
];

const FILES: [Part; 4] = [Part("train-images", 3), Part("train-labels", 1), Part("t10k-images", 3), Part("t10k-labels", 1)];

/// One of the four files: what its name begins with, and its number of axes.
struct Part(&'static str, usize);

impl Part {
    fn name(&self) -> String {
        format!("{}-idx{}-ubyte", self.0, self.1)
    }

    /// The file in `folder`, under any of its names; the plain one first, it is the quickest to read.
    fn find(&self, folder: &Path) -> Option<PathBuf> {
        let dotted = format!("{}.idx{}-ubyte", self.0, self.1);
        let names = [self.name(), dotted.clone(), format!("{}.gz", self.name()), format!("{dotted}.gz")];
        names.iter().map(|name| folder.join(name)).find(|path| path.is_file())
    }

    fn locate(&self, folder: &Path) -> Result<PathBuf> {
        self.find(folder).ok_or_else(|| {
            let name = self.name();
            let why = if folder.is_dir() { "does not have it" } else { "does not exist" };
            Error::Io { path: folder.to_path_buf(), message: format!("expected {name} or {name}.gz in this folder, which {why}") }
        })
    }
}

/// A cache folder that has the four files.
struct Cache {
    folder: PathBuf,
    /// Whether one of them was downloaded just now.
    fetched: bool,
}

impl Cache {
    fn load(&self) -> Result<Splits> {
        let verb = if self.fetched { "downloaded to" } else { "from the cache" };
        load_folder(&self.folder, &format!("MNIST {verb} {}", self.folder.display())).map_err(advise_removal)
    }
}

fn load_folder(folder: &Path, source: &str) -> Result<Splits> {
    let [train_images, train_labels, test_images, test_labels] = &FILES;
    let (train, train_path) = load_split(folder, train_images, train_labels, source)?;
    let (test, path) = load_split(folder, test_images, test_labels, source)?;
    if train.shape != test.shape {
        let message = format!("expected images of {:?} as in {}, got {:?}", train.shape, train_path.display(), test.shape);
        return Err(Error::Data { path, offset: IMAGE_SIZE_AT, message });
    }
    Ok(Splits { train, test })
}

/// Where in an IDX file of images their height stands.
const IMAGE_SIZE_AT: u64 = 8;

/// A split, and the path of its images.
fn load_split(folder: &Path, images: &Part, labels: &Part, source: &str) -> Result<(Dataset, PathBuf)> {
    let (images, labels) = (images.locate(folder)?, labels.locate(folder)?);
    let split = Dataset::from_idx((Idx::read(&images)?, &images), (Idx::read(&labels)?, &labels), CLASSES, source)?;
    Ok((split, images))
}

/// For a file in the cache, which nobody but this crate should have made.
fn advise_removal(error: Error) -> Error {
    match error {
        Error::Data { path, offset, message } => {
            Error::Data { path, offset, message: format!("{message}; delete the file and it will be downloaded again") }
        }
        other => other,
    }
}
