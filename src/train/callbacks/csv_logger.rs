//! Writes the logs of every epoch to a table.

use super::{Callback, Logs, Training, log};
use crate::error::{Error, Result};
use crate::train::text::repr;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

/// Writes a line of comma-separated values per epoch: the epoch, counted from 0, then the logs by the order of their names. Lines end in
/// `\r\n`, and numbers have all their digits, as in Keras.
///
/// The first epoch decides which columns there are. If it has no validation, columns for one are kept free; what an epoch lacks is `NA`.
///
/// ```
/// use gradus::prelude::*;
/// let fit = Fit { epochs: 5, ..Fit::default() }.callback(CSVLogger::new("log.csv").append(true));
/// ```
pub struct CSVLogger {
    filename: PathBuf,
    separator: char,
    append: bool,
    file: Option<File>,
    columns: Option<Vec<String>>,
    /// Whether the file has a first line already.
    headed: bool,
}

impl CSVLogger {
    /// Writes to this file; one that was there is replaced.
    pub fn new(filename: impl Into<PathBuf>) -> CSVLogger {
        CSVLogger { filename: filename.into(), separator: ',', append: false, file: None, columns: None, headed: false }
    }

    /// What stands between two values. Default: a comma.
    #[must_use]
    pub fn separator(mut self, separator: char) -> CSVLogger {
        self.separator = separator;
        self
    }

    /// Whether lines are added to a file that was there; a header is written only if it is empty. Default: no.
    #[must_use]
    pub fn append(mut self, append: bool) -> CSVLogger {
        self.append = append;
        self
    }

    /// Writes a line at once, so that it is there whatever happens later.
    fn write(&mut self, values: impl Iterator<Item = String>) -> Result<()> {
        let values: Vec<String> = values.map(|value| quoted(value, self.separator)).collect();
        let line = values.join(self.separator.encode_utf8(&mut [0; 4])) + "\r\n";
        match self.file.as_mut() {
            Some(file) => file.write_all(line.as_bytes()).map_err(|e| Error::io(&self.filename, &e)),
            None => Err(Error::NotReady("CSVLogger: `on_train_begin` opens the file".into())),
        }
    }
}

/// In quotation marks, if it could be taken for something else.
fn quoted(value: String, separator: char) -> String {
    if value.contains([separator, '"', '\r', '\n']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
}

/// The names in order, and with `val_` before them if no name has that.
fn columns(logs: &Logs) -> Vec<String> {
    let mut names: Vec<String> = logs.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    if !names.iter().any(|name| name.starts_with("val_")) {
        names.extend(names.iter().map(|name| format!("val_{name}")).collect::<Vec<_>>());
    }
    names
}

impl Callback for CSVLogger {
    fn on_train_begin(&mut self, _training: &Training) -> Result<()> {
        let failed = |error: std::io::Error| Error::io(&self.filename, &error);
        let mut options = File::options();
        options.create(true).write(true).append(self.append).truncate(!self.append);
        let file = options.open(&self.filename).map_err(failed)?;
        self.headed = self.append && fs::metadata(&self.filename).map_err(failed)?.len() > 0;
        (self.file, self.columns) = (Some(file), None);
        Ok(())
    }

    fn on_epoch_end(&mut self, epoch: usize, logs: &mut Logs, _training: &Training) -> Result<()> {
        let known = self.columns.take();
        let first = known.is_none();
        let columns = known.unwrap_or_else(|| columns(logs));
        if first && !self.headed {
            self.write(std::iter::once("epoch".to_string()).chain(columns.iter().cloned()))?;
        }
        let values = columns.iter().map(|name| log(logs, name).map_or("NA".to_string(), repr));
        self.write(std::iter::once(epoch.to_string()).chain(values))?;
        self.columns = Some(columns);
        Ok(())
    }

    fn on_train_end(&mut self, _training: &Training) -> Result<()> {
        self.file = None;
        Ok(())
    }
}
