#[cfg(feature = "postgres")]
use std::sync::Arc;
use std::{
    fs,
    path::{Path, PathBuf},
};

#[cfg(feature = "postgres")]
use tokio::sync::Notify;

use crate::ConfigError;

use super::{
    config::{self, ConfigFormat},
    snapshot::Snapshot,
};

/// The place that the state of a registry is read from.
#[derive(Debug)]
pub(crate) enum Source {
    Code,
    File(PathBuf),
    #[cfg(feature = "postgres")]
    Database {
        /// The name of the server, without secrets.
        name: Arc<str>,
        /// Wakes the task that reads the tables.
        changed: Arc<Notify>,
    },
}

impl Source {
    /// Returns the name in the status and in logs, without secrets.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Code => "code".to_owned(),
            Self::File(path) => path.display().to_string(),
            #[cfg(feature = "postgres")]
            Self::Database { name, .. } => name.to_string(),
        }
    }
}

/// Reads a file. The error names it.
///
/// An empty file is an error, because an editor or a script may be about to write it.
pub(crate) fn read_file(path: &PathBuf) -> Result<String, ConfigError> {
    let failed = |reason: &str| ConfigError::new(format!("{}: {reason}", path.display()));
    let unreadable = |error: std::io::Error| failed(&format!("cannot read the file ({error})"));
    // Reading a pipe or a device may never end.
    if !fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(failed("expected a regular file"));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    if text.trim_ascii().is_empty() { Err(failed("the file is empty")) } else { Ok(text) }
}

/// Loads a file.
pub(crate) fn load_file(path: &PathBuf, previous: Option<&Snapshot>) -> Result<Snapshot, ConfigError> {
    load_text(path, &read_file(path)?, previous)
}

/// Loads the text of a file.
pub(crate) fn load_text(path: &Path, text: &str, previous: Option<&Snapshot>) -> Result<Snapshot, ConfigError> {
    config::load(text, ConfigFormat::of(path), Some(path), previous)
}
