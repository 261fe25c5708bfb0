use std::{
    borrow::Cow,
    collections::BTreeSet,
    fmt,
    time::{Duration, SystemTime},
};

use tokio_postgres::{
    Config, NoTls, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};
use uuid::Uuid;

use crate::{
    row::{Dimension, EventRow},
    sink::Queued,
    time::{micros_since_1970, whole_micros},
};

use super::{
    super::{Feedback, KeyInfo, StoreError, active_keys::default_active_keys, key_name::stored_key, rollup},
    PostgresWriter,
    failure::Failure,
    feedback, keys, partitions,
    postgres_session::PostgresSession,
    rollups, rows,
    schema::{self, Tables},
    server::Server,
    sessions::Sessions,
};

/// The number of rows that are deleted in one transaction.
const DELETE_ROWS: i64 = 5_000;

/// Events in Postgres 14 or newer, written by any number of replicas.
///
/// See the [module](crate::store) for the tables. Each method of the store opens a connection on the current tokio runtime, and
/// closes it. The writer has its own thread, runtime, and connection. The queries of `Analytics` share at most eight
/// connections, which stay open; a query that gets none within the [time for connecting](Self::connect_timeout) fails with
/// [`StoreError::TimedOut`]. Its maintenance opens a connection of its own. Clones use the same server and connections.
///
/// ```no_run
/// use tower_tagging::{EventLayer, store::PostgresStore};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::from_url("postgres://app@localhost/app")?;
/// store.migrate().await?;
/// store.activate_key("feature").await?;
/// let layer = EventLayer::new(store.sink());
/// // … serve requests through the layer
///
/// for event in store.latest(20).await? {
///     println!("{} {:?}", event.request_path, event.status_code);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    server: Server,
    /// Connections for analytics.
    #[cfg_attr(not(feature = "analytics"), allow(dead_code, reason = "only analytics keep connections open"))]
    sessions: Sessions,
    tables: Tables,
}

impl PostgresStore {
    /// Creates a store from the configuration of a server and a TLS connector.
    ///
    /// It does not connect yet.
    ///
    /// The connector is any `MakeTlsConnect`, such as the one of `tokio-postgres-rustls`, or [`NoTls`]. The tables are in the
    /// first schema of the `search_path`, which `config` may set in its options.
    pub fn new<T>(config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: Send> + Clone + Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let tables = Tables { monthly_partitions: false, active_keys: default_active_keys(), has_rollups: true };
        Self::with_server(Server::new(config, tls), tables)
    }

    fn with_server(server: Server, tables: Tables) -> Self {
        Self { sessions: Sessions::new(server.clone()), server, tables }
    }

    /// Creates a store from the URL of a server, or from `key=value` pairs, without TLS.
    ///
    /// It does not connect yet.
    ///
    /// # Errors
    /// Returns [`StoreError::Database`] if the text is not the address of a server.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        // The URL may contain a password, so the errors do not repeat it.
        let config = url.parse::<Config>().map_err(|error| StoreError::database("read the Postgres URL", error))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(StoreError::database("read the Postgres URL", "expected the name of a host"));
        }
        Ok(Self::new(config, NoTls))
    }

    /// Sets how long connecting may take. The default is 10 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.server.connect_timeout = timeout;
        Self::with_server(self.server, self.tables)
    }

    /// Sets how long writing a batch may take. The default is 30 seconds.
    ///
    /// The writer then closes the connection and tries again.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.server.write_timeout = timeout;
        Self::with_server(self.server, self.tables)
    }

    /// Makes [`migrate`](Self::migrate) create the table with a partition per month, in UTC.
    ///
    /// The primary key is then `(id, requested_at)`, writers create partitions ahead of time, and
    /// [`delete_before`](Self::delete_before) drops whole months. A table that exists is not changed.
    #[must_use]
    pub fn monthly_partitions(mut self) -> Self {
        self.tables.monthly_partitions = true;
        self
    }

    /// Sets the keys that [`migrate`](Self::migrate) activates in new tables.
    ///
    /// The default is `_user`, `team`, `feature`, `tenant_id`, `environment`, `user-id`, `User-Id`, `Feature`, and `Team`. Keys
    /// of more than 1,024 bytes are ignored.
    #[must_use]
    pub fn active_keys(mut self, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let keys = keys.into_iter().filter_map(|key| stored_key(key.as_ref()).map(Cow::into_owned).ok());
        self.tables.active_keys = keys.collect::<BTreeSet<_>>().into_iter().collect();
        self
    }

    /// Makes [`migrate`](Self::migrate) create tables without sums.
    ///
    /// Writing is then faster, and `Analytics` reads rows. Tables that exist are not changed.
    #[must_use]
    pub fn without_rollups(mut self) -> Self {
        self.tables.has_rollups = false;
        self
    }

    /// Creates the tables, unless they exist.
    ///
    /// Any number of replicas may call this at the same time.
    ///
    /// # Errors
    /// Returns [`StoreError::Newer`] if a newer version of the crate created the tables, and [`StoreError::TimedOut`] or
    /// [`StoreError::Database`] if the server does not answer or reports an error.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let migrate = async { schema::migrate(&mut self.server.open().await?, &self.tables).await };
        migrate.await.map_err(self.error("create the tables in"))
    }

    /// Returns a [`Queued`] sink named `postgres`.
    ///
    /// Its batches have at most 2,000 events.
    pub fn sink(&self) -> Queued {
        Queued::builder("postgres", self.writer()).max_batch(2_000).build()
    }

    /// Returns a writer for a [`Queued`] sink with other limits.
    ///
    /// It connects at its first batch.
    pub fn writer(&self) -> PostgresWriter {
        PostgresWriter::new(self.server.clone())
    }

    /// Activates a key: its tags are in `indexed_metadata`, have an index, and are summed.
    ///
    /// `WHERE indexed_metadata @> '{"Feature": "search"}'` uses the index. Stored events are updated before this returns,
    /// 2,000 events in a transaction, and no writer waits for it. Then their sums are computed, at most a day in a transaction,
    /// for which writers wait. If it is interrupted, call it again.
    ///
    /// # Errors
    /// Returns [`StoreError::KeyTooLong`] if the key has more than 1,024 bytes, [`StoreError::NotMigrated`] if the tables are
    /// missing, and [`StoreError::TimedOut`] or [`StoreError::Database`] if the server does not answer or reports an error.
    pub async fn activate_key(&self, name: &str) -> Result<(), StoreError> {
        self.set_active("activate a metadata key in", name, true).await
    }

    /// Removes a key from `indexed_metadata`, and deletes its sums. Its tags stay in `raw_metadata`.
    ///
    /// # Errors
    /// As [`activate_key`](Self::activate_key).
    pub async fn deactivate_key(&self, name: &str) -> Result<(), StoreError> {
        self.set_active("deactivate a metadata key in", name, false).await
    }

    async fn set_active(&self, operation: &str, name: &str, is_active: bool) -> Result<(), StoreError> {
        let name = stored_key(name)?;
        keys::set_active(&self.server, &name, is_active).await.map_err(self.error(operation))?;
        let mut session = PostgresSession::open_own(&self.server).await?;
        let dimension = [Dimension::tag(name)];
        if is_active {
            rollup::activate(&mut session, &dimension).await.map(drop)
        } else {
            rollup::deactivate(&mut session, &dimension).await
        }
    }

    /// Returns a connection that reads rows and sums. The server gives up on reads that take longer than the timeout.
    #[cfg(feature = "analytics")]
    pub(crate) async fn session(&self, read_timeout: Duration) -> Result<PostgresSession, StoreError> {
        PostgresSession::open(&self.sessions, read_timeout).await
    }

    /// Returns a connection for work that takes long, which queries do not wait for.
    #[cfg(feature = "analytics")]
    pub(crate) async fn maintenance_session(&self) -> Result<PostgresSession, StoreError> {
        PostgresSession::open_own(&self.server).await
    }

    /// Stores feedback. It replaces feedback with the same id.
    ///
    /// # Errors
    /// As [`latest`](Self::latest).
    pub async fn put_feedback(&self, feedback: &Feedback) -> Result<(), StoreError> {
        let put = async { Ok(feedback::put(&*self.server.open().await?, feedback).await?) };
        put.await.map_err(self.error("write feedback to"))
    }

    /// Returns feedback by its id.
    ///
    /// # Errors
    /// As [`latest`](Self::latest).
    pub async fn feedback(&self, id: Uuid) -> Result<Option<Feedback>, StoreError> {
        let get = async { Ok(feedback::get(&*self.server.open().await?, id).await?) };
        get.await.map_err(self.error("read feedback from"))
    }

    /// Returns all keys that were seen or activated, sorted by name.
    ///
    /// The statistics are a second old. See [how keys are counted](crate::store#keys).
    ///
    /// # Errors
    /// As [`latest`](Self::latest).
    pub async fn list_keys(&self) -> Result<Vec<KeyInfo>, StoreError> {
        let list = async { keys::list(&*self.server.open().await?).await };
        list.await.map_err(self.error("list the metadata keys of"))
    }

    /// Returns an event by its id.
    ///
    /// # Errors
    /// As [`latest`](Self::latest).
    pub async fn event(&self, id: Uuid) -> Result<Option<EventRow>, StoreError> {
        let select = async { rows::select(&*self.server.open().await?, "WHERE id = $1", &[&id]).await };
        Ok(select.await.map_err(self.error("read events from"))?.into_iter().next())
    }

    /// Returns the latest events, newest first.
    ///
    /// # Errors
    /// Returns [`StoreError::NotMigrated`] if the tables are missing, and [`StoreError::TimedOut`] or
    /// [`StoreError::Database`] if the server does not answer, reports an error, or returns values that this crate did not
    /// write.
    pub async fn latest(&self, limit: u32) -> Result<Vec<EventRow>, StoreError> {
        let clauses = "ORDER BY requested_at DESC, id DESC LIMIT $1";
        let select = async { rows::select(&*self.server.open().await?, clauses, &[&i64::from(limit)]).await };
        select.await.map_err(self.error("read events from"))
    }

    /// Deletes the events of requests that began before `time`, and returns their number.
    ///
    /// A transaction deletes 5,000 events. Partitions of months that ended before `time` are dropped whole.
    ///
    /// # Errors
    /// Returns [`StoreError::NotMigrated`] if the tables are missing, and [`StoreError::TimedOut`] or
    /// [`StoreError::Database`] if the server does not answer or reports an error, for instance because another connection
    /// reads a partition for more than three seconds. Events that were deleted before the error stay deleted.
    pub async fn delete_before(&self, time: SystemTime) -> Result<u64, StoreError> {
        delete_before(&self.server, time).await.map_err(self.error("delete events from"))
    }

    /// Returns a function that adds the operation and the name of the server to an error.
    fn error(&self, operation: &str) -> impl FnOnce(Failure) -> StoreError {
        move |failure| failure.during(operation, &self.server.name)
    }
}

async fn delete_before(server: &Server, time: SystemTime) -> Result<u64, Failure> {
    let time = whole_micros(time);
    let mut session = server.open().await?;
    if partitions::is_partitioned(&session).await?.is_some() {
        rollups::raise_rows_from(&mut session, micros_since_1970(time)).await?;
    }
    let mut total = match partitions::is_partitioned(&session).await? {
        None => return Err(Failure::NotMigrated),
        Some(true) => partitions::drop_before(&mut session, time).await?,
        Some(false) => 0,
    };
    let delete = session
        .prepare(
            "DELETE FROM tagging_events WHERE (id, requested_at) IN (
                 SELECT id, requested_at FROM tagging_events WHERE requested_at < $1
                 ORDER BY requested_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        )
        .await?;
    loop {
        match session.execute(&delete, &[&time, &DELETE_ROWS]).await? {
            0 => return Ok(total),
            deleted => total += deleted,
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration contains a password.
        f.debug_struct("PostgresStore")
            .field("server", &self.server.name)
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}
