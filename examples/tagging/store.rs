use std::{env, path::Path};

use clap::Args;
use tower_tagging::{
    analytics::Analytics,
    store::{PostgresStore, SqliteStore},
};

use crate::failure::Failure;

/// The store that a command reads.
#[derive(Debug, Args)]
pub(crate) struct StoreArgument {
    /// `sqlite:PATH`, the path of a file, or a `postgres://` URL [default: the variable STORE]
    #[arg(value_name = "STORE")]
    url: Option<String>,
}

impl StoreArgument {
    /// Opens the store for reading.
    pub(crate) fn open(&self) -> Result<Analytics, Failure> {
        self.open_for(false)
    }

    /// Opens the store for changes of its sums.
    pub(crate) fn open_for_changes(&self) -> Result<Analytics, Failure> {
        self.open_for(true)
    }

    fn open_for(&self, changes: bool) -> Result<Analytics, Failure> {
        let variable = env::var("STORE").ok().filter(|url| !url.is_empty());
        let url = self.url.clone().or(variable).ok_or_else(|| {
            Failure::Usage(
                "the store is missing: expected sqlite:PATH, a path, or a postgres:// URL as the first argument, or in \
                 the variable STORE"
                    .to_owned(),
            )
        })?;
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return PostgresStore::from_url(&url)
                .map(Analytics::new)
                .map_err(|error| Failure::Usage(error.to_string()));
        }
        let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(&url);
        // The text may contain a password, so the error does not quote it.
        if path.contains("://") {
            return Err(Failure::Usage("invalid store: expected sqlite:PATH, a path, or a postgres:// URL".to_owned()));
        }
        if !Path::new(path).is_file() {
            return Err(Failure::Usage(format!("there is no file {path:?}: expected the path of a SQLite database")));
        }
        let store = if changes { SqliteStore::open(path) } else { SqliteStore::open_read_only(path) };
        Ok(Analytics::new(store?))
    }
}
