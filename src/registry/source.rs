#[cfg(feature = "postgres")]
use std::sync::Arc;
use std::{fs, path::PathBuf};

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
pub(crate) fn read_file(path: &PathBuf) -> Result<String, ConfigError> {
    fs::read_to_string(path)
        .map_err(|error| ConfigError::new(format!("{}: cannot read the file ({error})", path.display())))
}

/// Loads a file.
pub(crate) fn load_file(path: &PathBuf, previous: Option<&Snapshot>) -> Result<Snapshot, ConfigError> {
    config::load(&read_file(path)?, ConfigFormat::of(path), Some(path), previous)
}
