use std::{error::Error, fmt};

use crate::analytics::QueryError;

use super::super::ledger::LedgerError;

/// The error of a check.
#[derive(Debug)]
#[non_exhaustive]
pub enum LedgerCheckError {
    /// The ledger is not available.
    Ledger(LedgerError),
    /// The stored requests could not be read.
    Store(QueryError),
}

impl fmt::Display for LedgerCheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ledger(error) => write!(f, "cannot compare the ledger with the stored requests: {error}"),
            Self::Store(error) => write!(f, "cannot read the requests to compare the ledger with: {error}"),
        }
    }
}

impl Error for LedgerCheckError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Ledger(error) => Some(error),
            Self::Store(error) => Some(error),
        }
    }
}

impl From<LedgerError> for LedgerCheckError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}

impl From<QueryError> for LedgerCheckError {
    fn from(error: QueryError) -> Self {
        Self::Store(error)
    }
}
