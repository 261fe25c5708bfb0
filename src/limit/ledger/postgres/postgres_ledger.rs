use std::{fmt, time::Duration};

use tokio_postgres::{
    Config, NoTls, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use crate::{
    ConfigError,
    store::{Server, StoreError},
};

use super::{
    super::{Ledger, remote::RemoteLedger},
    driver::PostgresDriver,
    schema::{self, is_namespace},
};

/// Opens a [`Ledger`] in Postgres 14 or newer, which any number of replicas share.
///
/// The ledger has its own thread, runtime, and connections, so that it works on any runtime. Reservations that wait at the
/// same time go out together, in one transaction; each of them takes all that it needs, or nothing.
///
/// After a call that fails, further calls fail at once for 100 ms, and then one call is let through. The pause doubles with
/// each failure, up to two seconds. A reservation whose result is unknown ends with its lease.
///
/// | table | content |
/// |---|---|
/// | `tagging_ledger_series` | rates, and the number of requests that run |
/// | `tagging_ledger_slots` | the amounts of budgets, settled and reserved |
/// | `tagging_ledger_holds` | the reservations of requests that run |
/// | `tagging_ledger_settled` | the requests that were settled within the last hour |
/// | `tagging_ledger_migrations` | the version of the tables |
///
/// Whoever connects first creates the tables, in the first schema of the `search_path`. Old rows are removed every minute.
///
/// ```no_run
/// use std::time::Duration;
/// use tower_tagging::limit::{Limiter, PostgresLedger};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ledger = PostgresLedger::from_url("postgres://app@localhost/app")?.timeout(Duration::from_millis(500)).open()?;
/// let limiter = Limiter::builder().ledger(ledger).build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `open` is called"]
pub struct PostgresLedger {
    server: Server,
    timeout: Duration,
    namespace: String,
}

impl PostgresLedger {
    /// Creates a builder from the configuration of a server and a TLS connector. It does not connect yet.
    ///
    /// The connector is any `MakeTlsConnect`, such as the one of `tokio-postgres-rustls`, or [`NoTls`].
    pub fn new<T>(config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: Send> + Clone + Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self { server: Server::new(config, tls), timeout: Duration::from_secs(1), namespace: String::new() }
    }

    /// Creates a builder from the URL of a server, or from `key=value` pairs, without TLS. It does not connect yet.
    ///
    /// # Errors
    ///
    /// Returns an error if the text is not the address of a server. The error does not repeat it.
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        let config = url.parse::<Config>().map_err(|_| ConfigError::new("expected the URL of a Postgres server"))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(ConfigError::new("expected the URL of a Postgres server with the name of a host"));
        }
        Ok(Self::new(config, NoTls))
    }

    /// Sets how long a request waits for the ledger, connecting included. The default is one second.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Separates ledgers in one schema: the names of all tables and functions start with `tagging_ledger_NAMESPACE_`.
    ///
    /// At most 20 lowercase letters, digits, and underscores. The default is none.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.timeout.is_zero() {
            return Err(ConfigError::new("timeout: expected more than zero"));
        }
        if !is_namespace(&self.namespace) {
            return Err(ConfigError::new(format!(
                "invalid namespace {:?}: expected at most 20 lowercase letters, digits, and underscores",
                self.namespace
            )));
        }
        Ok(())
    }

    /// Creates the tables and functions, unless they exist. Call it with a role that may create tables if the role of the
    /// service may not.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Database`] if the namespace is invalid, or if the server does not answer or reports an error.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        const OPERATION: &str = "create the tables of the ledger in";
        self.check().map_err(|error| StoreError::database(OPERATION, error))?;
        let migrate = async { schema::ensure(&mut self.server.open().await?, &self.namespace).await };
        migrate.await.map_err(|failure| failure.during(OPERATION, &self.server.name))
    }

    /// Opens the ledger. It connects with the first request.
    ///
    /// # Errors
    ///
    /// Returns an error if the namespace or the time is invalid, or if the system starts no thread.
    pub fn open(mut self) -> Result<Ledger, ConfigError> {
        self.check()?;
        self.server.connect_timeout = self.timeout;
        let driver = PostgresDriver::new(self.server, self.namespace);
        let remote = RemoteLedger::start(driver, self.timeout);
        let remote = remote.map_err(|error| ConfigError::new(format!("cannot start the ledger: {error}")))?;
        Ok(Ledger::of(remote, self.timeout))
    }
}

impl fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresLedger")
            .field("server", &self.server.name)
            .field("timeout", &self.timeout)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
