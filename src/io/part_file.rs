//! Files that appear completely or not at all.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file under a temporary name, removed when dropped unless it was kept.
pub(crate) struct PartFile {
    path: PathBuf,
    /// `None` once it is closed.
    file: Option<File>,
}

impl PartFile {
    /// Makes a file beside `target`, whose folder is created: renaming is atomic only within one file system.
    pub fn create(target: &Path) -> Result<PartFile> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if let Some(folder) = target.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(|error| Error::io(folder, &error))?;
        }
        let mut name = target.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}-{}.part", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let path = target.with_file_name(name);
        let file = File::create_new(&path).map_err(|error| Error::io(&path, &error))?;
        Ok(PartFile { path, file: Some(file) })
    }

    /// Adds bytes at the end.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let file = self.file.as_mut().expect("open until it is kept or dropped");
        file.write_all(bytes).map_err(|error| Error::io(&self.path, &error))
    }

    /// Gives the file its final name, with its content on the disk first: else a power cut could leave the name without the content.
    pub fn keep_as(mut self, target: &Path) -> Result<()> {
        let file = self.file.take().expect("open until it is kept or dropped");
        let synced = file.sync_all();
        drop(file);
        synced.and_then(|()| fs::rename(&self.path, target)).map_err(|error| Error::io(target, &error))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // Windows removes only closed files. After `keep_as` nothing has this name any more, and a failure here has no one to tell.
        self.file = None;
        let _ = fs::remove_file(&self.path);
    }
}
