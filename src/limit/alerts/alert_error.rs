use std::{error, fmt};

use crate::{analytics::QueryError, limit::ledger::LedgerError};

/// The reason why alerts could not be evaluated or delivered.
#[derive(Debug)]
#[non_exhaustive]
pub enum AlertError {
    /// The ledger is not available.
    Ledger(LedgerError),
    /// A query failed, or the store of requests and alerts.
    Query(QueryError),
}

impl fmt::Display for AlertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger(error) => error.fmt(f),
            Self::Query(error) => error.fmt(f),
        }
    }
}

impl error::Error for AlertError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Ledger(error) => error.source(),
            Self::Query(error) => error.source(),
        }
    }
}

impl From<LedgerError> for AlertError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<QueryError> for AlertError {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}
