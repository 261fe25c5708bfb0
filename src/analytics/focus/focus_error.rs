use std::{error, fmt, io};

use crate::analytics::QueryError;

/// The reason why a FOCUS export failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum FocusError {
    /// The requests could not be read.
    Query(QueryError),
    /// The file could not be written.
    Write(io::Error),
}

impl fmt::Display for FocusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(error) => error.fmt(f),
            Self::Write(error) => write!(f, "cannot write the FOCUS export: {error}"),
        }
    }
}

impl error::Error for FocusError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Query(error) => Some(error),
            Self::Write(error) => Some(error),
        }
    }
}

impl From<QueryError> for FocusError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<csv::Error> for FocusError {
    fn from(error: csv::Error) -> Self {
        Self::Write(match error.into_kind() {
            csv::ErrorKind::Io(error) => error,
            other => io::Error::other(format!("{other:?}")),
        })
    }
}

impl From<io::Error> for FocusError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}
