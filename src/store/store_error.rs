use std::{error::Error, fmt, time::Duration};

/// The reason why an operation of a store failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The tables are missing or of an older version. Calling `migrate()` solves both.
    NotMigrated,
    /// A newer version of this crate created the tables. Nothing was changed.
    #[non_exhaustive]
    Newer {
        /// The version of the tables.
        found: i32,
        /// The newest version that this version of the crate supports.
        known: i32,
    },
    /// A metadata key is empty, so that it cannot be activated.
    EmptyKey,
    /// A metadata key is longer than 1,024 bytes, so that it cannot be activated.
    KeyTooLong,
    /// Some rows of the range were deleted, so its sums cannot be checked or computed again.
    RowsDeleted,
    /// The database did not answer within this time.
    TimedOut(Duration),
    /// The database, or the connection to it, reported an error.
    #[non_exhaustive]
    Database {
        /// The operation and its target, such as `write to /var/lib/app/events.db`.
        operation: String,
        /// The error that the database driver returned.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    #[cfg(any(feature = "analytics", feature = "postgres", feature = "sqlite"))]
    pub(crate) fn database(operation: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Database { operation: operation.into(), source: source.into() }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMigrated => {
                f.write_str("the table tagging_events is missing or of an older version: run migrate()")
            }
            Self::Newer { found, known } => write!(
                f,
                "the tables have version {found}, but this version of tower-tagging supports version {known} at most: \
                 upgrade tower-tagging"
            ),
            Self::EmptyKey => f.write_str("cannot activate the metadata key: it is empty"),
            Self::KeyTooLong => f.write_str("cannot activate the metadata key: expected at most 1,024 bytes"),
            Self::RowsDeleted => f.write_str("some rows of the range were deleted: use a range that begins later"),
            Self::TimedOut(after) => write!(f, "the database did not answer within {after:?}"),
            Self::Database { operation, source } => {
                write!(f, "cannot {operation}: {source}")?;
                // Drivers report the kind of an error, and its cause has the details.
                let mut cause = source.source();
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // The text of the source and of its causes is part of ours.
            Self::Database { source, .. } => source.source(),
            _ => None,
        }
    }
}
