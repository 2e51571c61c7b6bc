//! CIFAR's binary files, which [`cifar10`](super::cifar10) and [`cifar100`](super::cifar100) share.
//!
//! Layout, as <https://www.cs.toronto.edu/~kriz/cifar.html> describes it: records one after the other, each of one byte per kind of label
//! and 32×32 red bytes, then as many green and blue ones, row after row. Class names are a text file, a line for each.

use super::content::{Content, MAX_BYTES};
use super::dataset::{Dataset, Splits};
use super::remote::Set;
use super::tar;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Height and width of an image.
const SIDE: usize = 32;
const CHANNELS: usize = 3;
const PIXELS: usize = SIDE * SIDE;

/// A text file of class names may have so many bytes.
const MAX_TEXT: u64 = 1 << 16;

/// One of the sets, with one of its kinds of labels.
#[derive(Debug, Clone)]
pub(super) struct Cifar {
    /// What sources call it.
    pub title: &'static str,
    /// Its folder in the cache.
    pub folder: &'static str,
    /// The archive, and the folder in it.
    pub archive: &'static str,
    pub inner: &'static str,
    /// The files of records: those of the training samples, in this order, and that of the test samples.
    pub train: &'static [&'static str],
    pub test: &'static str,
    /// The numbers of classes of the labels before each image.
    pub labels: &'static [usize],
    /// Which of them is wanted, and the file of its names.
    pub wanted: usize,
    pub names: &'static str,
    /// What stands in for it.
    pub generate: fn(u64) -> Splits,
}

impl Set for Cifar {
    fn title(&self) -> &str {
        self.title
    }

    fn folder(&self) -> &str {
        self.folder
    }

    fn files(&self) -> Vec<String> {
        vec![self.archive.to_string()]
    }

    fn has(&self, folder: &Path, _file: usize) -> bool {
        self.locate(folder).is_some()
    }

    fn read(&self, folder: &Path, source: &str) -> Result<Splits> {
        match self.locate(folder) {
            Some(Place::Archive(path)) => self.read_archive(Content::open(&path)?, source),
            Some(Place::Folder(path)) => self.read_folder(&path, source),
            None => {
                let why = if folder.exists() { "does not have them" } else { "does not exist" };
                let (test, archive) = (self.test, self.archive);
                Err(absent(folder, format!("expected {archive} or its files ({test} and others) in this folder, which {why}")))
            }
        }
    }

    fn generate(&self, seed: u64) -> Splits {
        (self.generate)(seed)
    }
}

/// Where the files are.
enum Place {
    Archive(PathBuf),
    Folder(PathBuf),
}

impl Cifar {
    /// Reads the archive, packed or not.
    pub fn read_archive(&self, mut archive: Content, source: &str) -> Result<Splits> {
        let mut parts = Parts::new(self);
        tar::for_each_file(&mut archive, |name, content| parts.take(name, content))?;
        parts.join(archive.name(), source)
    }

    /// Reads the archive in memory.
    pub fn read_bytes(&self, archive: &[u8]) -> Result<Splits> {
        self.read_archive(Content::new(archive, Path::new(self.archive))?, &format!("{} from memory", self.title))
    }

    fn read_folder(&self, folder: &Path, source: &str) -> Result<Splits> {
        let mut parts = Parts::new(self);
        for name in self.parts() {
            let path = folder.join(name);
            // What is absent is named below, with its folder.
            if path.is_file() {
                parts.take(name, &mut Content::open(&path)?)?;
            }
        }
        parts.join(folder, source)
    }

    /// The files in `folder`, unpacked or not, or `folder` itself if it is the archive; the unpacked ones first, they are the quickest to read.
    fn locate(&self, folder: &Path) -> Option<Place> {
        if folder.is_file() {
            return Some(Place::Archive(folder.to_path_buf()));
        }
        let unpacked = [folder.to_path_buf(), folder.join(self.inner)].into_iter();
        let mut unpacked = unpacked.filter(|folder| self.records().any(|name| folder.join(name).is_file()));
        let packed = [self.archive, self.archive.trim_end_matches(".gz")].map(|name| folder.join(name));
        unpacked.next().map(Place::Folder).or_else(|| packed.into_iter().find(|path| path.is_file()).map(Place::Archive))
    }

    /// The files of records.
    fn records(&self) -> impl Iterator<Item = &'static str> {
        self.train.iter().copied().chain([self.test])
    }

    /// All files that are read.
    fn parts(&self) -> impl Iterator<Item = &'static str> {
        self.records().chain([self.names])
    }
}

/// What the files hold, in the order in which they come.
struct Parts<'a> {
    set: &'a Cifar,
    /// One for each file of records.
    records: Vec<Option<Records>>,
    names: Option<Vec<String>>,
}

impl<'a> Parts<'a> {
    fn new(set: &'a Cifar) -> Parts<'a> {
        Parts { set, records: set.records().map(|_| None).collect(), names: None }
    }

    /// Reads a file if it is one of the set's.
    fn take(&mut self, name: &str, content: &mut Content) -> Result<()> {
        let set = self.set;
        let known = if name == set.names {
            self.names.replace(read_names(content, set.labels[set.wanted])?).is_some()
        } else if let Some(file) = set.records().position(|record| record == name) {
            self.records[file].replace(Records::read(content, set.labels, set.wanted)?).is_some()
        } else {
            false
        };
        if known {
            return Err(content.error(0, "the archive holds this file twice".to_string()));
        }
        Ok(())
    }

    /// Puts the splits together if all files came; `place` is where they were looked for.
    fn join(self, place: &Path, source: &str) -> Result<Splits> {
        let missing = |name: &str| absent(place, format!("expected the file {name} in it"));
        let names = self.names.ok_or_else(|| missing(self.set.names))?;
        let mut files = Vec::with_capacity(self.records.len());
        for (records, name) in self.records.into_iter().zip(self.set.records()) {
            files.push(records.ok_or_else(|| missing(name))?);
        }
        let dataset = |records: Records| Dataset {
            images: records.images,
            shape: [SIDE, SIDE, CHANNELS],
            labels: records.labels,
            classes: names.len(),
            class_names: names.clone(),
            source: source.to_string(),
        };
        let test = files.pop().unwrap_or_default();
        Ok(Splits { train: dataset(Records::concat(files)), test: dataset(test) })
    }
}

fn absent(path: &Path, message: String) -> Error {
    Error::Io { path: path.to_path_buf(), message }
}

/// The samples of one file.
#[derive(Default)]
struct Records {
    images: Vec<u8>,
    labels: Vec<u8>,
}

impl Records {
    /// Reads to the end of the file; `classes` bounds the labels before each image, of which the one at `wanted` is kept.
    fn read(content: &mut Content, classes: &[usize], wanted: usize) -> Result<Records> {
        let size = classes.len() + CHANNELS * PIXELS;
        let mut records = Records::default();
        let mut record = Vec::with_capacity(size);
        loop {
            let at = content.offset();
            record.clear();
            content.append(size as u64, &mut record)?;
            if record.is_empty() && at > 0 {
                return Ok(records);
            }
            if record.len() < size {
                let message =
                    format!("the file is cut off: sample {} takes {size} bytes, only {} are there", records.labels.len(), record.len());
                return Err(content.error(content.offset(), message));
            }
            if at + size as u64 > MAX_BYTES {
                return Err(content.error(at, format!("the file goes on after the {MAX_BYTES} bytes that are read")));
            }
            let (labels, pixels) = record.split_at(classes.len());
            if let Some(i) = (0..classes.len()).find(|&i| usize::from(labels[i]) >= classes[i]) {
                let message = format!("label {} of sample {} is outside 0..{}", labels[i], records.labels.len(), classes[i]);
                return Err(content.error(at + i as u64, message));
            }
            records.labels.push(labels[wanted]);
            records.push_interleaved(pixels);
        }
    }

    /// Appends an image whose channels lie one after the other.
    fn push_interleaved(&mut self, planes: &[u8]) {
        let (red, rest) = planes.split_at(PIXELS);
        let (green, blue) = rest.split_at(PIXELS);
        self.images.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
    }

    fn concat(files: Vec<Records>) -> Records {
        let mut files = files.into_iter();
        let mut all = files.next().unwrap_or_default();
        for file in files {
            all.images.extend(file.images);
            all.labels.extend(file.labels);
        }
        all
    }
}

/// The lines of a text file of class names; empty ones at its end do not count.
fn read_names(content: &mut Content, classes: usize) -> Result<Vec<String>> {
    let bytes = content.up_to(MAX_TEXT)?;
    if !content.up_to(1)?.is_empty() {
        return Err(content.error(MAX_TEXT, format!("expected the names of {classes} classes, but the file goes on")));
    }
    let text = str::from_utf8(&bytes).map_err(|error| {
        content.error(error.valid_up_to() as u64, "expected class names, got bytes that are not UTF-8 text".to_string())
    })?;
    let names: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_string()).collect();
    if names.len() != classes {
        let message = format!("expected a line for each of {classes} classes, got {}", names.len());
        return Err(content.error(bytes.len() as u64, message));
    }
    Ok(names)
}
