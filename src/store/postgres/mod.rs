mod connect;
mod copy;
mod keys;
mod migrate;
mod partitions;
mod writer;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use tokio_postgres::{
    Config, NoTls, Socket,
    tls::{MakeTlsConnect, TlsConnect},
};

use crate::sink::Queued;

use super::{KeyInfo, StoreError, row::Micros};
use connect::Server;

pub use self::writer::PostgresWriter;

/// Advisory locks: `0x7467` is "tg". Writers hold the first one shared, an activation alone.
const ACTIVATION_LOCK: i64 = 0x7467_0001;
const MIGRATION_LOCK: i64 = 0x7467_0002;
const PARTITION_LOCK: i64 = 0x7467_0003;
/// Rows that are deleted in one transaction.
const DELETE_ROWS: i64 = 5_000;

/// Events in Postgres, where any number of replicas may write; see the [module](super).
///
/// Its functions open a connection of their own, on the tokio runtime that they are called on; the writer has a thread, a
/// runtime and a connection for itself. Clones are the same server. Postgres 14 or newer.
///
/// ```no_run
/// use std::time::Duration;
/// use tower_tagging::{EventLayer, store::PostgresStore};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::from_url("postgres://app@localhost/app")?;
/// store.migrate().await?;
/// store.activate_key("feature").await?;
/// let layer = EventLayer::new(store.sink());
/// // … serve requests through the layer, then:
/// let report = layer.delivery().shutdown(Duration::from_secs(5)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    server: Server,
    monthly_partitions: bool,
}

impl PostgresStore {
    /// A server, and how to speak TLS with it: any `MakeTlsConnect`, such as that of `tokio-postgres-rustls`, or
    /// [`NoTls`]. Nothing is connected yet.
    ///
    /// The tables are in the first schema of the `search_path`, which `config` may set by its options.
    pub fn new<T>(config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: Send> + Clone + Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        Self { server: Server::new(config, tls), monthly_partitions: false }
    }

    /// A server by its URL, or `key=value` pairs, without TLS.
    ///
    /// # Errors
    /// When that is no address of a server.
    pub fn from_url(url: &str) -> Result<Self, StoreError> {
        let config = url.parse::<Config>()?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(StoreError::database("the URL names no host"));
        }
        Ok(Self::new(config, NoTls))
    }

    /// How long a connection may take to be there: 10 seconds by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.server.connect_timeout = timeout;
        self
    }

    /// How long a batch may take: 30 seconds by default. Then the connection is cut, and another attempt is made.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.server.write_timeout = timeout;
        self
    }

    /// [`migrate`](Self::migrate) makes the table with a partition for each month, in UTC. The primary key is `(id,
    /// requested_at)` then, writers make partitions ahead, and [`delete_before`](Self::delete_before) drops whole months. A
    /// table that is there already stays as it is.
    #[must_use]
    pub fn monthly_partitions(mut self) -> Self {
        self.monthly_partitions = true;
        self
    }

    /// Makes the tables, or brings them up to this version of the crate. Nothing happens when they are; any number of
    /// replicas may call it at a time.
    ///
    /// # Errors
    /// [`StoreError::Newer`] when a newer version of the crate made the tables, else what the server says.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        migrate::migrate(&mut self.server.open().await?, self.monthly_partitions).await
    }

    /// A [`Queued`] called `postgres`, with batches of at most 2,000 events.
    pub fn sink(&self) -> Queued {
        Queued::builder("postgres", self.writer()).max_batch(2_000).build()
    }

    /// The writer, for a [`Queued`] with other bounds. It connects when it first writes.
    pub fn writer(&self) -> PostgresWriter {
        PostgresWriter::new(self.server.clone())
    }

    /// Activates a key: from now on its tags are in `indexed_metadata` too, and those of stored events are put there before
    /// this returns. `WHERE indexed_metadata @> '{"Feature": "search"}'` finds them by an index.
    ///
    /// Stored events are brought in line 2,000 at a time, each in a transaction, and no writer waits for that. When it is
    /// interrupted, call it again.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`], [`StoreError::KeyTooLong`], else what the server says.
    pub async fn activate_key(&self, name: &str) -> Result<(), StoreError> {
        keys::set_active(&self.server, name, true).await
    }

    /// Takes a key out of `indexed_metadata`, in the same manner. Its tags stay in `raw_metadata`.
    ///
    /// # Errors
    /// As [`activate_key`](Self::activate_key).
    pub async fn deactivate_key(&self, name: &str) -> Result<(), StoreError> {
        keys::set_active(&self.server, name, false).await
    }

    /// All keys that were seen or activated, by name. They are of one second ago; see [what is
    /// counted](super#keys).
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`], else what the server says.
    pub async fn list_keys(&self) -> Result<Vec<KeyInfo>, StoreError> {
        keys::list(&*self.server.open().await?).await
    }

    /// Deletes the events of requests that began before `time`, 5,000 in a transaction, and gives their number. Partitions
    /// of months that ended before are dropped whole.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`], else what the server says, for instance that a partition is being read for longer than
    /// three seconds; what was deleted before stays so.
    pub async fn delete_before(&self, time: SystemTime) -> Result<u64, StoreError> {
        let time = Micros::of(time).time();
        let mut session = self.server.open().await?;
        let mut total = match partitions::is_partitioned(&session).await? {
            None => return Err(StoreError::NotMigrated),
            Some(true) => partitions::drop_before(&mut session, time).await?,
            Some(false) => 0,
        };
        let delete = session
            .prepare(
                "DELETE FROM llm_requests WHERE (id, requested_at) IN (
                     SELECT id, requested_at FROM llm_requests WHERE requested_at < $1
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
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration holds a password.
        f.debug_struct("PostgresStore").field("monthly_partitions", &self.monthly_partitions).finish_non_exhaustive()
    }
}
