use std::{fmt, sync::Arc, time::Duration};

use uuid::Uuid;

use crate::{
    ConfigError,
    event::{Clock, SystemClock},
};

use super::{
    LedgerError, LedgerStatus,
    backend::{Backend, Charge, Check, CheckKind, Reservation, Settlement},
    memory::MemoryLedger,
};

/// The place where limits are counted. Clones share it.
#[derive(Clone)]
pub struct Ledger {
    backend: Arc<dyn Backend>,
}

impl Ledger {
    /// Creates a ledger in memory, for a service with one process. Its counts end with the process, unless they are rebuilt from
    /// a store.
    pub fn memory() -> Self {
        Self::memory_with_clock(SystemClock)
    }

    /// Creates a ledger in memory with a clock, for tests.
    pub fn memory_with_clock(clock: impl Clock) -> Self {
        Self { backend: Arc::new(MemoryLedger::new(Arc::new(clock))) }
    }

    /// Opens the ledger that a text names: `memory`, `postgres://…` (feature `postgres`), or `redis://…` (feature `redis`).
    ///
    /// Requests wait for a server for `timeout` at most, connecting included. `PostgresLedger` and `RedisLedger` have more
    /// settings.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_tagging::limit::Ledger;
    ///
    /// assert_eq!(Ledger::from_url("memory", Duration::from_secs(1)).unwrap().status().kind, "memory");
    /// assert!(Ledger::from_url("mysql://localhost", Duration::from_secs(1)).is_err());
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an error if the text is none of these, if its feature is not enabled, or if the time is zero. The error does not
    /// repeat the text, which may contain a password.
    pub fn from_url(url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        Self::in_namespace(url, timeout, None)
    }

    /// Creates a ledger in a namespace.
    pub(in crate::limit) fn in_namespace(
        url: &str,
        timeout: Duration,
        namespace: Option<&str>,
    ) -> Result<Self, ConfigError> {
        let scheme = url.split_once("://").map_or(url, |(scheme, _)| scheme);
        match scheme {
            "memory" => Ok(Self::memory()),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                let ledger = super::PostgresLedger::from_url(url)?.timeout(timeout);
                match namespace {
                    Some(namespace) => ledger.namespace(namespace).open(),
                    None => ledger.open(),
                }
            }
            #[cfg(feature = "redis")]
            "redis" | "rediss" | "valkey" | "valkeys" => {
                let ledger = super::RedisLedger::from_url(url)?.timeout(timeout);
                match namespace {
                    Some(namespace) => ledger.namespace(namespace).open(),
                    None => ledger.open(),
                }
            }
            _ => {
                let _ = (timeout, namespace);
                Err(ConfigError::new(
                    "invalid ledger: expected \"memory\", \"postgres://…\" (feature postgres), or \"redis://…\" (feature redis)",
                ))
            }
        }
    }

    #[cfg(any(feature = "postgres", feature = "redis"))]
    pub(super) fn of(remote: impl Backend, patience: Duration) -> Self {
        use super::chunked::{Chunked, USABLE};

        Self { backend: Arc::new(Chunked::new(remote, USABLE, patience)) }
    }

    /// Returns the state of the ledger.
    pub fn status(&self) -> LedgerStatus {
        self.backend.status()
    }

    /// Reserves one unit of a budget that does not end, and settles it unless only the reservation is measured. For benchmarks.
    #[doc(hidden)]
    pub async fn measured_call(&self, series: &str, chunk: i64, is_settled: bool) -> Result<bool, LedgerError> {
        let (slot, keep_until, id) = (0, i64::MAX >> 12, Uuid::new_v4());
        let kind = CheckKind::Budget { from: slot, slot, keep_until, amount: 1, limit: i64::MAX, chunk };
        let checks = [Check { series: 0..series.len(), is_enforced: true, rule: 0, kind }];
        let lease = Duration::from_secs(60);
        let reservation = Reservation { id, lease, text: series, checks: &checks, wants_states: false };
        let reply = self.backend.reserve(&reservation);
        let reserved = reply.wait().await?;
        if is_settled {
            let charges = vec![Charge { series: series.to_owned(), slot, keep_until, amount: 1 }];
            self.backend.settle(vec![Settlement { id, time: 0, charges, rates: Vec::new() }]).wait().await?;
        }
        Ok(reserved.is_admitted)
    }

    pub(crate) fn backend(&self) -> &dyn Backend {
        &*self.backend
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ledger").field(&self.status()).finish()
    }
}
