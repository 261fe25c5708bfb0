use std::{error::Error, fmt, time::Duration};

/// Why a store could not do what it was asked to.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The tables are not there, or an older version of this crate made them: `migrate()` mends both.
    NotMigrated,
    /// The tables were made by a newer version of this crate. Nothing was changed.
    Newer {
        /// The version of the tables.
        found: i32,
        /// The newest version that this crate knows.
        known: i32,
    },
    /// A metadata key has more than 1,024 bytes: it can't be activated.
    KeyTooLong,
    /// The database did not answer in time.
    TimedOut(Duration),
    /// What the database, or the connection to it, says.
    Database(Box<dyn Error + Send + Sync>),
}

impl StoreError {
    pub(super) fn database(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Database(error.into())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotMigrated => f.write_str("the table llm_requests is missing or of an older version: run migrate()"),
            Self::Newer { found, known } => {
                write!(f, "the tables are of version {found}, and this version of tower-tagging knows {known} at most")
            }
            Self::KeyTooLong => f.write_str("a metadata key of more than 1,024 bytes can't be activated"),
            Self::TimedOut(after) => write!(f, "the database did not answer within {after:?}"),
            Self::Database(error) => {
                write!(f, "{error}")?;
                // Drivers name the kind of an error, and its cause says what happened.
                let mut cause = error.source();
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
            // Its own text is in ours, the causes too.
            Self::Database(error) => error.source(),
            _ => None,
        }
    }
}
