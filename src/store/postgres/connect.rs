use std::{ops::Deref, pin::Pin, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::timeout};
use tokio_postgres::{
    Client, Config, Error, Socket,
    error::SqlState,
    tls::{MakeTlsConnect, TlsConnect},
};

use super::super::StoreError;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A client, and what keeps its connection going.
type Opened = (Client, BoxFuture<'static, Result<(), Error>>);

/// Opens connections, of whatever TLS.
trait Connect: Send + Sync {
    fn connect<'a>(&'a self, config: &'a Config) -> BoxFuture<'a, Result<Opened, Error>>;
}

impl<T> Connect for T
where
    T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: Send> + Clone + Send + Sync + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect<'a>(&'a self, config: &'a Config) -> BoxFuture<'a, Result<Opened, Error>> {
        Box::pin(async move {
            let (client, connection) = config.connect(self.clone()).await?;
            Ok((client, Box::pin(connection) as _))
        })
    }
}

/// How to reach the server.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    connect: Arc<dyn Connect>,
    pub(super) connect_timeout: Duration,
    pub(super) write_timeout: Duration,
}

impl Server {
    pub(super) fn new<T>(mut config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: Send> + Clone + Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        if config.get_application_name().is_none() {
            config.application_name("tower-tagging");
        }
        Self {
            config,
            connect: Arc::new(tls),
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
        }
    }

    pub(super) async fn open(&self) -> Result<Session, StoreError> {
        let opened = timeout(self.connect_timeout, self.connect.connect(&self.config)).await;
        let (client, connection) = opened.map_err(|_| StoreError::TimedOut(self.connect_timeout))??;
        // What goes wrong with the connection, the client says too.
        let task = tokio::spawn(async move { drop(connection.await) });
        let session = Session { client, task };
        // Each statement sees what was committed before it, also one that waited for a lock; and a client that vanished holds no
        // lock for long.
        let settings =
            "SET default_transaction_isolation = 'read committed'; SET idle_in_transaction_session_timeout = '60s'";
        let set = timeout(self.connect_timeout, session.client.batch_execute(settings)).await;
        set.map_err(|_| StoreError::TimedOut(self.connect_timeout))??;
        Ok(session)
    }
}

/// A connection, which is cut when this is dropped: the server then undoes what was not committed.
pub(super) struct Session {
    pub(super) client: Client,
    task: JoinHandle<()>,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error.code() {
            Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN) => Self::NotMigrated,
            _ => Self::database(error),
        }
    }
}
