use std::{fmt, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::timeout};
use tokio_postgres::{
    Config, NoTls, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use crate::{
    ConfigError,
    store::{Failure, Server, StoreError},
};

use super::{
    super::{registry::Registry, registry_builder::RegistryBuilder, shared::Shared, source::Source},
    refresher::{Refresher, read_error},
    schema,
};

/// Workspaces, API keys, and virtual keys in tables of Postgres 14 or newer.
///
/// [`connect`](Self::connect) returns a [`Registry`] that follows the tables: `NOTIFY` announces a change, and an interval
/// finds changes that were missed. While the database is lost, the last known state stays in force, and
/// [`RegistryStatus::age`](super::super::RegistryStatus::age) grows.
///
/// | table | content |
/// |---|---|
/// | `tagging_workspaces` | workspaces |
/// | `tagging_api_keys` | API keys, by the SHA-256 of the whole key |
/// | `tagging_virtual_keys` | virtual keys, without their secrets |
///
/// ```no_run
/// use std::time::Duration;
/// use tower_tagging::registry::{PostgresRegistry, Registry};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tables = PostgresRegistry::from_url("postgres://app@localhost/app")?
///     // Headers, names, and screening, which are not in tables.
///     .base(Registry::builder().key_headers(["authorization"]))
///     .refresh(Duration::from_secs(30));
/// tables.migrate().await?;
/// // INSERT INTO tagging_api_keys (name, secret_sha256) VALUES ('web', sha256('sk-gateway-1'));
/// let registry = tables.connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresRegistry {
    server: Server,
    base: RegistryBuilder,
    refresh: Duration,
}

impl PostgresRegistry {
    /// Creates a source from the configuration of a server and a TLS connector. It does not connect yet.
    ///
    /// The connector is any `MakeTlsConnect`, such as the one of `tokio-postgres-rustls`, or [`NoTls`]. The tables are in
    /// the first schema of the `search_path`, which `config` may set in its options.
    pub fn new<T>(config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: Send> + Clone + Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self { server: Server::new(config, tls), base: RegistryBuilder::default(), refresh: Duration::from_secs(60) }
    }

    /// Creates a source from the URL of a server, or from `key=value` pairs, without TLS. It does not connect yet.
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

    /// Sets the part of the registry that is not in tables. Its workspaces and keys are added to those in the tables.
    #[must_use]
    pub fn base(mut self, base: RegistryBuilder) -> Self {
        self.base = base;
        self
    }

    /// Sets the interval at which the tables are read even if no change was announced. The default is a minute.
    #[must_use]
    pub fn refresh(mut self, interval: Duration) -> Self {
        self.refresh = interval.max(Duration::from_millis(1));
        self
    }

    /// Sets how long connecting may take. The default is 10 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.server.connect_timeout = timeout;
        self
    }

    /// Creates the tables and the triggers that announce changes, unless they exist.
    ///
    /// Any number of replicas may call this at the same time.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Newer`] if a newer version of the crate created the tables, and [`StoreError::TimedOut`] or
    /// [`StoreError::Database`] if the server does not answer or reports an error.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let patience = self.server.write_timeout;
        let migrate = async { schema::migrate(&mut self.server.open().await?).await };
        let result = timeout(patience, migrate).await.unwrap_or(Err(Failure::TimedOut(patience)));
        result.map_err(|failure| failure.during("create the tables of the registry in", &self.server.name))
    }

    /// Reads the tables, and follows them on a task of the current tokio runtime, which ends with the last handle of the
    /// registry.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not answer or the tables are missing, and every problem of their content.
    pub async fn connect(&self) -> Result<Registry, ConfigError> {
        let changed = Arc::new(Notify::new());
        let mut refresher = Refresher::new(self.server.clone(), self.base.clone(), Arc::clone(&changed));
        let json = refresher.read().await.map_err(|failure| read_error(failure, &self.server.name))?;
        let snapshot = refresher.snapshot(&json, None)?;
        let source = Source::Database { name: Arc::clone(&self.server.name), changed };
        let shared = Shared::new(snapshot, source);
        refresher.spawn(&shared, self.refresh);
        Ok(Registry::from(shared))
    }
}

impl fmt::Debug for PostgresRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresRegistry")
            .field("server", &self.server.name)
            .field("refresh", &self.refresh)
            .finish_non_exhaustive()
    }
}
