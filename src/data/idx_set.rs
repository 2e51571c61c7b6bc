//! Data sets that come as MNIST does: four IDX files, images and labels for learning and for testing.

use super::dataset::{Dataset, Splits};
use super::idx::Idx;
use super::remote::Set;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// A data set of that kind.
#[derive(Debug, Clone)]
pub(super) struct IdxSet {
    /// What sources call it.
    pub title: &'static str,
    /// Its folder in the cache.
    pub folder: &'static str,
    pub class_names: &'static [&'static str],
    /// What stands in for it.
    pub generate: fn(u64) -> Splits,
}

impl Set for IdxSet {
    fn title(&self) -> &str {
        self.title
    }

    fn folder(&self) -> &str {
        self.folder
    }

    fn files(&self) -> Vec<String> {
        FILES.iter().map(|file| format!("{}.gz", file.name())).collect()
    }

    fn has(&self, folder: &Path, file: usize) -> bool {
        FILES[file].find(folder).is_some()
    }

    fn read(&self, folder: &Path, source: &str) -> Result<Splits> {
        let [train_images, train_labels, test_images, test_labels] = &FILES;
        let (train, train_path) = self.split(folder, train_images, train_labels, source)?;
        let (test, path) = self.split(folder, test_images, test_labels, source)?;
        if train.shape != test.shape {
            let message = format!("expected images of {:?} as in {}, got {:?}", train.shape, train_path.display(), test.shape);
            return Err(Error::Data { path, offset: IMAGE_SIZE_AT, message });
        }
        Ok(Splits { train, test })
    }

    fn generate(&self, seed: u64) -> Splits {
        (self.generate)(seed)
    }
}

/// Where in an IDX file of images their height stands.
const IMAGE_SIZE_AT: u64 = 8;

impl IdxSet {
    /// A split, and the path of its images.
    fn split(&self, folder: &Path, images: &Part, labels: &Part, source: &str) -> Result<(Dataset, PathBuf)> {
        let (images, labels) = (images.locate(folder)?, labels.locate(folder)?);
        let classes = self.class_names.len();
        let split = Dataset::from_idx((Idx::read(&images)?, &images), (Idx::read(&labels)?, &labels), classes, source)?;
        Ok((split.with_class_names(self.class_names)?, images))
    }
}

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
