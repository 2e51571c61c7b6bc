//! The cache folder, and downloads into it that happen completely or not at all.

use crate::error::{Error, Result};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The folder for downloaded files: `$GRADUS_HOME`, or else `gradus` in the user's cache folder, which is `$XDG_CACHE_HOME` or `~/.cache`,
/// and `%LOCALAPPDATA%` on Windows. It need not exist yet.
///
/// # Errors
/// [`Error::Argument`] if none of these variables is set.
pub fn cache_folder() -> Result<PathBuf> {
    cache_folder_of(|name| std::env::var_os(name))
}

/// One file to fetch. Set what differs from [`Download::new`], then [`run`](Download::run) it.
#[derive(Debug, Clone)]
pub struct Download {
    /// The address, `http` or `https`.
    pub url: String,
    /// The file to make. Its folder is created; a file of that name is replaced, but only by a complete one.
    pub to: PathBuf,
    /// The SHA-256 that the content must have, 64 hexadecimal digits. Default: not checked.
    pub sha256: Option<String>,
    /// More bytes than this are refused. Default: 256 MiB.
    pub max_bytes: u64,
    /// How long finding and reaching the server may take. Default: 10 s.
    pub connect: Duration,
    /// How long the server may stay silent. Default: 30 s.
    pub stall: Duration,
}

impl Download {
    /// A download with the defaults of the fields.
    pub fn new(url: impl Into<String>, to: impl Into<PathBuf>) -> Download {
        Download {
            url: url.into(),
            to: to.into(),
            sha256: None,
            max_bytes: 256 << 20,
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
        }
    }

    /// Fetches the file, with a progress bar on stderr if that is a terminal.
    ///
    /// The content goes to a temporary file beside `to`, which takes the name `to` once length and SHA-256 are right and is removed
    /// otherwise. So a file with that name is always whole, whatever interrupts the download and however many processes try at once.
    ///
    /// # Errors
    /// [`Error::Download`] if the server cannot be reached, refuses, falls silent, stops early, or sends something else than announced;
    /// also if this crate was built without the feature `download`, or for the browser. [`Error::Io`] if the file cannot be written.
    pub fn run(&self) -> Result<()> {
        transfer::run(self)
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::Download { url: self.url.clone(), message: message.into() }
    }
}

fn cache_folder_of(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| !path.as_os_str().is_empty());
    if let Some(home) = folder("GRADUS_HOME") {
        return Ok(home);
    }
    let (base, names) = if cfg!(windows) {
        (folder("LOCALAPPDATA"), "LOCALAPPDATA")
    } else {
        // The XDG base directory specification says to ignore a relative path here.
        let xdg = folder("XDG_CACHE_HOME").filter(|path| path.is_absolute());
        (xdg.or_else(|| folder("HOME").map(|home| home.join(".cache"))), "XDG_CACHE_HOME or HOME")
    };
    base.map(|base| base.join("gradus"))
        .ok_or_else(|| Error::argument("the cache folder", format!("GRADUS_HOME, {names} to be set"), "none of them"))
}

#[cfg(not(all(feature = "download", not(target_arch = "wasm32"))))]
mod transfer {
    use super::{Download, Result};

    pub fn run(download: &Download) -> Result<()> {
        let why = if cfg!(target_arch = "wasm32") { "for the browser" } else { "without its feature `download`" };
        Err(download.error(format!("this program was built {why} and cannot fetch files")))
    }
}

#[cfg(all(feature = "download", not(target_arch = "wasm32")))]
mod transfer {
    use super::{Download, Result};
    use crate::io::PartFile;
    use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
    use sha2::{Digest, Sha256};
    use std::io::{ErrorKind, Read};

    pub fn run(download: &Download) -> Result<()> {
        let (announced, mut body) = open(download)?;
        if let Some(announced) = announced.filter(|&bytes| bytes > download.max_bytes) {
            return Err(download.error(format!("the server announces {announced} bytes, the limit is {}", download.max_bytes)));
        }
        let mut part = PartFile::create(&download.to)?;
        let (received, digest) = copy(download, &mut body, announced, &mut part)?;
        if let Some(announced) = announced.filter(|&bytes| bytes != received) {
            return Err(download.error(format!("the server announced {announced} bytes and sent {received}")));
        }
        if let Some(wanted) = download.sha256.as_ref().filter(|wanted| !wanted.eq_ignore_ascii_case(&digest)) {
            let message = format!("expected content with SHA-256 {wanted}, got {digest}; the file there has changed or was tampered with");
            return Err(download.error(message));
        }
        part.keep_as(&download.to)
    }

    /// Asks the server; gives the length it announces, if any, and the content to come.
    fn open(download: &Download) -> Result<(Option<u64>, impl Read + use<>)> {
        let mut config = ureq::Agent::config_builder()
            .timeout_resolve(Some(download.connect))
            .timeout_connect(Some(download.connect))
            .timeout_recv_response(Some(download.stall))
            .timeout_per_read(Some(download.stall));
        if is_loopback(&download.url) {
            // A proxy from the environment would look for the server on its own machine instead of on this one.
            config = config.proxy(None);
        }
        let agent = ureq::Agent::new_with_config(config.build());
        let response = agent.get(&download.url).call().map_err(|error| download.error(in_words(&error)))?;
        let body = response.into_body();
        Ok((body.content_length(), body.into_reader()))
    }

    /// Streams the content into `part`; gives the number of bytes and the SHA-256 in hexadecimal.
    fn copy(download: &Download, body: &mut impl Read, announced: Option<u64>, part: &mut PartFile) -> Result<(u64, String)> {
        let bar = progress_bar(download, announced);
        let mut hash = Sha256::new();
        let mut received = 0u64;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    let total = announced.map_or(String::new(), |bytes| format!(" of {bytes}"));
                    return Err(download.error(format!("the transfer broke off after {received}{total} bytes: {error}")));
                }
            };
            received += count as u64;
            if received > download.max_bytes {
                return Err(download.error(format!("the server sends more than the limit of {} bytes", download.max_bytes)));
            }
            hash.update(&buffer[..count]);
            part.write(&buffer[..count])?;
            bar.set_position(received);
        }
        bar.finish_and_clear();
        Ok((received, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// A bar that is invisible unless stderr is a terminal.
    fn progress_bar(download: &Download, announced: Option<u64>) -> ProgressBar {
        let name = download.to.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let template = if announced.is_some() {
            "{msg} [{bar:30}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left"
        } else {
            "{msg} {spinner} {bytes}, {bytes_per_sec}"
        };
        let style = ProgressStyle::with_template(template).expect("the templates above are valid").progress_chars("=> ");
        ProgressBar::with_draw_target(announced, ProgressDrawTarget::stderr()).with_style(style).with_message(name)
    }

    fn is_loopback(url: &str) -> bool {
        let host = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', ':']).next().unwrap_or(""));
        host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
    }

    fn in_words(error: &ureq::Error) -> String {
        match error {
            ureq::Error::StatusCode(code) => format!("the server answered with status {code}"),
            ureq::Error::HostNotFound => "the host name was not found; is this machine online?".to_string(),
            ureq::Error::ConnectionFailed => "no connection to the server; is this machine online?".to_string(),
            ureq::Error::Timeout(phase) => format!("the server did not answer in time ({phase}); is this machine online?"),
            ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => "the server refuses the connection".to_string(),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(variables: &[(&str, &str)]) -> Result<PathBuf> {
        cache_folder_of(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
    }

    #[test]
    fn the_crates_own_variable_comes_first_and_empty_means_unset() {
        let both = [("GRADUS_HOME", "here"), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h"), ("LOCALAPPDATA", "/l")];
        assert_eq!(folder_with(&both), Ok(PathBuf::from("here")));
        let empty = [("GRADUS_HOME", ""), ("XDG_CACHE_HOME", "/x"), ("HOME", "/h"), ("LOCALAPPDATA", "/x")];
        assert_eq!(folder_with(&empty), Ok(PathBuf::from("/x").join("gradus")));
    }

    #[cfg(not(windows))]
    #[test]
    fn a_relative_xdg_folder_is_ignored() {
        assert_eq!(folder_with(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]), Ok(PathBuf::from("/h/.cache/gradus")));
    }

    #[test]
    fn without_any_variable_the_error_names_them() {
        let error = folder_with(&[]).expect_err("no place for a cache").to_string();
        assert!(error.contains("GRADUS_HOME"), "{error}");
    }
}
