use std::{fmt, io, process::ExitCode};

use tower_tagging::{analytics::QueryError, store::StoreError};

/// The reason why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An argument is not valid.
    Usage(String),
    /// The store or a file failed.
    Failed(String),
    /// The reader of standard output has ended.
    ClosedOutput,
}

impl Failure {
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
            Self::ClosedOutput => ExitCode::SUCCESS,
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Invalid(_) => Self::Usage(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::ClosedOutput } else { Self::Failed(error.to_string()) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) | Self::Failed(text) => f.write_str(text),
            Self::ClosedOutput => f.write_str("standard output was closed"),
        }
    }
}
