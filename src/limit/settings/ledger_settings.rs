use std::{fmt, time::Duration};

use crate::ConfigError;

use super::super::ledger::Ledger;

/// The default time that a request waits for the ledger.
const TIMEOUT: Duration = Duration::from_secs(1);

/// The section `[ledger]` of a configuration file.
///
/// `None` stands for the default of the ledger.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerSettings {
    /// `memory`, or a URL of a ledger, as in [`Ledger::from_url`](crate::limit::Ledger::from_url). It may contain a password.
    pub url: String,
    /// The time after which the ledger counts as not available.
    pub timeout: Option<Duration>,
    /// The time after which a reservation is released, unless the request is still running.
    pub lease: Option<Duration>,
    /// The name that separates the counts of several services in one database.
    pub namespace: Option<String>,
}

impl LedgerSettings {
    /// The URL of the ledger in memory.
    pub const MEMORY: &str = "memory";

    /// Returns `true` if the ledger is in the memory of the process.
    pub fn is_memory(&self) -> bool {
        self.url == Self::MEMORY
    }

    /// Opens the ledger. Servers are contacted later.
    ///
    /// # Errors
    ///
    /// As [`Ledger::from_url`]. Also returns an error if the namespace is invalid.
    pub fn open(&self) -> Result<Ledger, ConfigError> {
        Ledger::in_namespace(&self.url, self.timeout.unwrap_or(TIMEOUT), self.namespace.as_deref())
    }
}

impl Default for LedgerSettings {
    /// The ledger in memory.
    fn default() -> Self {
        Self { url: Self::MEMORY.to_owned(), timeout: None, lease: None, namespace: None }
    }
}

impl fmt::Debug for LedgerSettings {
    /// Writes only the scheme of the URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerSettings")
            .field("url", &self.url.split(':').next().unwrap_or_default())
            .field("timeout", &self.timeout)
            .field("lease", &self.lease)
            .field("namespace", &self.namespace)
            .finish()
    }
}
