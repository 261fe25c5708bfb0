use std::{fmt, time::Duration};

use redis::Client;

use crate::ConfigError;

use super::{
    super::{Ledger, remote::RemoteLedger},
    driver::RedisDriver,
};

/// Opens a [`Ledger`] in Redis 6.2 or newer, or in Valkey, which any number of replicas share.
///
/// Each reservation is one call of a script, which takes all that a request needs, or nothing. Reservations that wait at the
/// same time go out together. The ledger has its own thread, runtime, and connections, so that it works on any runtime.
///
/// After a call that fails, further calls fail at once for 100 ms, and then one call is let through. The pause doubles with
/// each failure, up to two seconds. A reservation whose result is unknown ends with its lease. Scripts that the server has
/// lost are loaded again.
///
/// # Server
///
/// - Budgets are exact up to 2⁶³ - 1 of their units.
/// - All keys start with `{NAMESPACE}:1:`, so that they are in one slot of a cluster. If the server is a node of a cluster
///   without this slot, the ledger connects to the node that has it.
/// - Every key expires, except the list of series, `{NAMESPACE}:1:index`, from which a task removes old ones. A request that
///   was settled takes about 150 bytes for an hour.
/// - Set `maxmemory-policy` to `noeviction`: a server that evicts keys loses counts. Without persistence, a restart of the
///   server loses all counts; `LedgerChecker::rebuild` restores those of budgets from a store.
/// - The user of the connection needs the commands `EVALSHA`, `SCRIPT LOAD`, and those of keys, strings, hashes, lists, and
///   sorted sets.
///
/// # TLS
///
/// URLs with `rediss://` need a TLS feature of the crate `redis`, such as `tokio-rustls-comp`. The feature `redis` of this crate
/// does not enable one. Add `redis` with this feature to your own dependencies.
///
/// ```no_run
/// use std::time::Duration;
/// use tower_tagging::limit::{Limiter, RedisLedger};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = RedisLedger::from_url("redis://:secret@localhost:6379/0")?.timeout(Duration::from_millis(200)).open()?;
/// let limiter = Limiter::builder().ledger(ledger).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct RedisLedger {
    client: Client,
    timeout: Duration,
    namespace: String,
}

impl RedisLedger {
    /// Creates a builder from a client, which may have TLS certificates. It does not connect yet.
    pub fn new(client: Client) -> Self {
        Self { client, timeout: Duration::from_secs(1), namespace: "tagging-ledger".to_owned() }
    }

    /// Creates a builder from a URL: `redis://USER:PASSWORD@HOST:PORT/DATABASE`, where all but the host is optional. It does not
    /// connect yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not the URL of a server, or if it needs TLS and the crate `redis` was compiled without.
    /// The error does not repeat it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        let client = Client::open(url).map_err(|_| {
            ConfigError::new("expected the URL of a Redis server; rediss:// needs a TLS feature of the crate redis")
        })?;
        if !client.get_connection_info().addr().is_supported() {
            return Err(ConfigError::new(
                "rediss:// needs a TLS feature of the crate redis, such as tokio-rustls-comp",
            ));
        }
        Ok(Self::new(client))
    }

    /// Sets how long a request waits for the ledger, connecting included. The default is one second.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Separates ledgers on one server: all keys start with `{NAMESPACE}:`. The default is `tagging-ledger`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Opens the ledger. It connects with the first request.
    ///
    /// # Errors
    ///
    /// Returns an error if the namespace is empty or has braces, if the time is zero, or if the system starts no thread.
    pub fn open(self) -> Result<Ledger, ConfigError> {
        if self.timeout.is_zero() {
            return Err(ConfigError::new("timeout: expected more than zero"));
        }
        if self.namespace.is_empty() || self.namespace.contains(['{', '}']) {
            return Err(ConfigError::new(format!(
                "invalid namespace {:?}: expected at least one character, and no braces",
                self.namespace
            )));
        }
        let remote = RemoteLedger::start(RedisDriver::new(self.client, &self.namespace), self.timeout);
        let remote = remote.map_err(|error| ConfigError::new(format!("cannot start the ledger: {error}")))?;
        Ok(Ledger::of(remote, self.timeout))
    }
}

impl fmt::Debug for RedisLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address of the client has the password.
        f.debug_struct("RedisLedger")
            .field("timeout", &self.timeout)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
