//! Images with their labels, checked against each other.

use super::idx::Idx;
use super::random::Random;
use crate::error::{Error, Result};
use std::path::Path;

/// Images and their labels, as they come from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// The pixels, 0 to 255, image after image, each row-major with the channel innermost.
    pub images: Vec<u8>,
    /// Height, width and channels of one image.
    pub shape: [usize; 3],
    /// One class per image, below `classes`.
    pub labels: Vec<u8>,
    /// How many classes there are.
    pub classes: usize,
    /// What the classes are called; as many as `classes`, or none.
    pub class_names: Vec<String>,
    /// Where it came from: one phrase for a program to print.
    pub source: String,
}

/// The samples to learn from, and the samples to be judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Splits {
    /// The training samples.
    pub train: Dataset,
    /// The test samples.
    pub test: Dataset,
}

impl Dataset {
    /// Joins a file of images `[n, height, width]` with a file of labels `[n]`; each comes with the path that errors name.
    ///
    /// # Errors
    /// [`Error::Data`] if an axis count is wrong, the files differ in length, there is no sample or no pixel, or a label
    /// is not below `classes`.
    pub fn from_idx(images: (Idx, &Path), labels: (Idx, &Path), classes: usize, source: impl Into<String>) -> Result<Dataset> {
        let (images, images_path) = images;
        let (labels, labels_path) = labels;
        let &[count, height, width] = images.shape.as_slice() else {
            return Err(wrong_rank(images_path, "images have 3 axes (count, height, width)", &images.shape));
        };
        let &[label_count] = labels.shape.as_slice() else {
            return Err(wrong_rank(labels_path, "labels have 1 axis", &labels.shape));
        };
        if images.data.is_empty() {
            return Err(data_error(images_path, COUNT_AT, format!("expected images with pixels, got {count} of {height}×{width}")));
        }
        if count != label_count {
            let message = format!("expected a label for each of the {count} images of {}, got {label_count}", images_path.display());
            return Err(data_error(labels_path, COUNT_AT, message));
        }
        if let Some(i) = labels.data.iter().position(|&label| usize::from(label) >= classes) {
            let message = format!("label {} of sample {i} is outside 0..{classes}", labels.data[i]);
            return Err(data_error(labels_path, LABELS_AT + i as u64, message));
        }
        Ok(Dataset {
            images: images.data,
            shape: [height, width, 1],
            labels: labels.data,
            classes,
            class_names: Vec::new(),
            source: source.into(),
        })
    }

    /// Says what the classes are called.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is not a name for each class.
    pub fn with_class_names(self, names: &[impl AsRef<str>]) -> Result<Dataset> {
        if names.len() != self.classes {
            return Err(Error::argument("class names", format!("one for each of {} classes", self.classes), names.len()));
        }
        Ok(Dataset { class_names: names.iter().map(|name| name.as_ref().to_string()).collect(), ..self })
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of sample `i`, `[height, width, channels]`.
    ///
    /// # Panics
    /// If `i` is not below [`len`](Dataset::len), as slices do.
    pub fn image(&self, i: usize) -> &[u8] {
        let pixels = self.pixels();
        &self.images[i * pixels..(i + 1) * pixels]
    }

    /// A copy of the first `n` samples, or of all if there are fewer.
    pub fn take(&self, n: usize) -> Dataset {
        self.range(0, n.min(self.len()))
    }

    /// The first `n` samples and the others, in their order.
    pub fn split(&self, n: usize) -> (Dataset, Dataset) {
        let n = n.min(self.len());
        (self.range(0, n), self.range(n, self.len()))
    }

    /// All samples in a random order, which `seed` decides.
    pub fn shuffled(&self, seed: u64) -> Dataset {
        let mut order: Vec<usize> = (0..self.len()).collect();
        Random::stream(seed, 0, u64::MAX).shuffle(&mut order);
        let images = order.iter().flat_map(|&i| self.image(i)).copied().collect();
        self.with_samples(images, order.iter().map(|&i| self.labels[i]).collect())
    }

    /// What class `label` is called; its number if it has no name.
    pub fn class_name(&self, label: usize) -> String {
        self.class_names.get(label).cloned().unwrap_or_else(|| label.to_string())
    }

    fn range(&self, start: usize, end: usize) -> Dataset {
        let pixels = self.pixels();
        self.with_samples(self.images[start * pixels..end * pixels].to_vec(), self.labels[start..end].to_vec())
    }

    /// Other samples of the same kind.
    fn with_samples(&self, images: Vec<u8>, labels: Vec<u8>) -> Dataset {
        let (shape, classes, class_names, source) = (self.shape, self.classes, self.class_names.clone(), self.source.clone());
        Dataset { images, shape, labels, classes, class_names, source }
    }

    fn pixels(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Where in an IDX file the number of axes, the first axis, and the first label stand.
const RANK_AT: u64 = 3;
const COUNT_AT: u64 = 4;
const LABELS_AT: u64 = 8;

fn wrong_rank(path: &Path, want: &str, shape: &[usize]) -> Error {
    data_error(path, RANK_AT, format!("{want}, but this file has shape {shape:?}; are images and labels swapped?"))
}

fn data_error(path: &Path, offset: u64, message: String) -> Error {
    Error::Data { path: path.to_path_buf(), offset, message }
}
