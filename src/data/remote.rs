//! Data sets in the cache, and their way from the network into it.

use super::dataset::Splits;
use super::fetch::{self, Download};
use crate::error::{Error, Result};
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Where a data set is kept and where it comes from when it is not there yet.
///
/// The modules of the data sets make it, for example [`mnist::remote`](super::mnist::remote); change the fields that are to differ.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The folder for the files. Default: one of the set's name in [`fetch::cache_folder`].
    pub cache: Option<PathBuf>,
    /// Addresses that end in a slash and to which a file name is appended, tried in this order. Default: public copies.
    pub mirrors: Vec<String>,
    /// The SHA-256 of the files to download, in the set's order. Default: those of the files as first published.
    /// Files that have none here are not checked.
    pub sha256: Vec<String>,
    /// How long finding and reaching a server may take. Default: 10 s.
    pub connect: Duration,
    /// How long a server may stay silent. Default: 30 s.
    pub stall: Duration,
    set: Arc<dyn Set>,
}

/// A data set, as far as the cache and the network are concerned.
pub(super) trait Set: Debug + Send + Sync {
    /// What sources call it.
    fn title(&self) -> &str;

    /// Its folder in the cache.
    fn folder(&self) -> &str;

    /// The files that a mirror has.
    fn files(&self) -> Vec<String>;

    /// Whether `folder` has what one of these files holds, under whatever name.
    fn has(&self, folder: &Path, file: usize) -> bool;

    /// Reads the set from a folder; `source` is for [`Dataset::source`](super::Dataset::source).
    fn read(&self, folder: &Path, source: &str) -> Result<Splits>;

    /// Images that stand in for the set.
    fn generate(&self, seed: u64) -> Splits;
}

impl Remote {
    /// With the defaults of the fields.
    pub(super) fn new(set: impl Set + 'static, mirrors: &[&str], sha256: &[&str]) -> Remote {
        let defaults = Download::new("", "");
        let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
        Remote {
            cache: None,
            mirrors: owned(mirrors),
            sha256: owned(sha256),
            connect: defaults.connect,
            stall: defaults.stall,
            set: Arc::new(set),
        }
    }

    /// Loads the set from the cache, or else from the network into the cache.
    ///
    /// # Errors
    /// [`Error::Data`] if a file is not what it should be; [`Error::Download`]; [`Error::Io`].
    pub fn load(&self) -> Result<Splits> {
        self.load_cached(&self.provide()?)
    }

    /// As [`load`](Remote::load), but where there is neither a cache nor a network, as many images are drawn from `seed`,
    /// and their `source` says so and why.
    ///
    /// # Errors
    /// As [`load`](Remote::load), without those of the network and of a cache folder that cannot be had. A damaged file in the cache is an error.
    pub fn load_or_generate(&self, seed: u64) -> Result<Splits> {
        let reason = match self.provide() {
            Ok(cache) => return self.load_cached(&cache),
            Err(reason) => reason,
        };
        let mut splits = self.set.generate(seed);
        let source = format!("{} could not be downloaded ({reason}); using {}", self.set.title(), splits.train.source);
        splits.train.source.clone_from(&source);
        splits.test.source = source;
        Ok(splits)
    }

    /// [`load`](Remote::load), from `folder` if one is given.
    pub(super) fn load_from(&self, folder: Option<&Path>) -> Result<Splits> {
        match folder {
            Some(folder) => self.set.read(folder, &format!("{} from {}", self.set.title(), folder.display())),
            None => self.load(),
        }
    }

    /// [`load_or_generate`](Remote::load_or_generate), from `folder` if one is given.
    pub(super) fn load_from_or_generate(&self, folder: Option<&Path>, seed: u64) -> Result<Splits> {
        match folder {
            Some(_) => self.load_from(folder),
            None => self.load_or_generate(seed),
        }
    }

    fn load_cached(&self, cache: &Cache) -> Result<Splits> {
        let verb = if cache.fetched { "downloaded to" } else { "from the cache" };
        let source = format!("{} {verb} {}", self.set.title(), cache.folder.display());
        self.set.read(&cache.folder, &source).map_err(advise_removal)
    }

    /// Sees to it that the files are in the cache.
    fn provide(&self) -> Result<Cache> {
        let folder = match &self.cache {
            Some(folder) => folder.clone(),
            None => fetch::cache_folder()?.join(self.set.folder()),
        };
        let mut fetched = false;
        for (i, file) in self.set.files().iter().enumerate() {
            if !self.set.has(&folder, i) {
                self.fetch(file, self.sha256.get(i), &folder)?;
                fetched = true;
            }
        }
        Ok(Cache { folder, fetched })
    }

    /// Downloads one file from the first mirror that gives it.
    fn fetch(&self, file: &str, sha256: Option<&String>, cache: &Path) -> Result<()> {
        let mut failures = Vec::new();
        for mirror in &self.mirrors {
            let download = Download {
                sha256: sha256.cloned(),
                connect: self.connect,
                stall: self.stall,
                ..Download::new(format!("{mirror}{file}"), cache.join(file))
            };
            match download.run() {
                Err(Error::Download { url, message }) => failures.push((url, message)),
                other => return other,
            }
        }
        let advice = format!("put {file} into {}, or name a folder that has the files", cache.display());
        let Some((url, message)) = failures.pop() else {
            return Err(Error::Download { url: file.to_string(), message: format!("there is no mirror to ask; {advice}") });
        };
        let before: String = failures.iter().map(|(url, message)| format!("; before that {url}: {message}")).collect();
        Err(Error::Download { url, message: format!("{message}{before}; {advice}") })
    }
}

/// A cache folder that has the files.
struct Cache {
    folder: PathBuf,
    /// Whether one of them was downloaded just now.
    fetched: bool,
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
