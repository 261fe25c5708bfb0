use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::{
    row::DecodeError,
    sink::{WriteError, WriteErrorKind},
};

use super::super::{StoreError, schema_sql::SCHEMA_VERSION};

/// The reason why an operation failed, without the name of the operation.
#[derive(Debug)]
pub(crate) enum Failure {
    NotMigrated,
    Newer { found: i32 },
    TimedOut(Duration),
    Sql(tokio_postgres::Error),
    Decode(DecodeError),
}

impl Failure {
    /// Adds the operation and its target.
    pub(crate) fn during(self, operation: &str, server: &str) -> StoreError {
        let operation = || format!("{operation} {server}");
        match self {
            Self::NotMigrated => StoreError::NotMigrated,
            Self::Newer { found } => StoreError::Newer { found, known: SCHEMA_VERSION },
            Self::TimedOut(after) => StoreError::TimedOut(after),
            Self::Sql(error) => match error.code() {
                Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN) => StoreError::NotMigrated,
                _ => StoreError::database(operation(), error),
            },
            Self::Decode(error) => StoreError::database(operation(), error),
        }
    }

    /// Returns whether the server refuses to store one of the events, or may store them later.
    fn kind(&self) -> WriteErrorKind {
        let Self::Sql(error) = self else { return WriteErrorKind::Retryable };
        let Some(code) = error.code() else { return WriteErrorKind::Retryable };
        // A check violation without a constraint: a partition is missing, since it was just dropped.
        let lacks_partition =
            *code == SqlState::CHECK_VIOLATION && error.as_db_error().is_some_and(|error| error.constraint().is_none());
        // Another writer stored an event of the batch at the same time.
        let is_duplicate = *code == SqlState::UNIQUE_VIOLATION;
        // The classes 22 (data), 23 (constraints), and 54 (limits) concern the values of an event.
        let concerns_values = matches!(code.code().get(..2), Some("22" | "23" | "54"));
        if concerns_values && !lacks_partition && !is_duplicate {
            WriteErrorKind::Rejected
        } else {
            WriteErrorKind::Retryable
        }
    }

    pub(super) fn write_error(self, server: &str) -> WriteError {
        let kind = self.kind();
        let error = self.during("write to", server);
        if kind == WriteErrorKind::Rejected { WriteError::rejected(error) } else { WriteError::retryable(error) }
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}
