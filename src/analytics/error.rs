use std::{error, fmt, time::Duration};

use crate::store::StoreError;

/// The reason why a query has no answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum QueryError {
    /// The query is invalid. The text names the part and what was expected.
    Invalid(String),
    /// The grant does not cover the query.
    Forbidden(String),
    /// The query would read too much, or return too much. The text says how to narrow it.
    TooLarge(String),
    /// The query took longer than the limit.
    TimedOut(Duration),
    /// The store failed.
    Store(StoreError),
}

impl QueryError {
    pub(crate) fn invalid(text: impl Into<String>) -> Self {
        Self::Invalid(text.into())
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(text) | Self::Forbidden(text) | Self::TooLarge(text) => f.write_str(text),
            Self::TimedOut(limit) => write!(f, "the query took longer than {limit:?}: use a shorter range"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl error::Error for QueryError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TimedOut(limit) => Self::TimedOut(limit),
            error => Self::Store(error),
        }
    }
}
