use std::{
    collections::HashMap,
    future::poll_fn,
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    runtime::{self, Handle},
    task::JoinHandle,
    time::timeout,
};
use tokio_postgres::{
    AsyncMessage, Client, Config, Error, Socket, Statement,
    config::Host,
    tls::{MakeTlsConnect, TlsConnect},
};

use crate::sync::lock;

use super::failure::Failure;

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// A client, and the future that drives its connection.
type Opened = (Client, BoxFuture<'static, Result<(), Error>>);

/// Called with everything that the server sends without being asked.
type OnMessage = Box<dyn FnMut(AsyncMessage) + Send>;

/// Opens connections with any TLS implementation.
trait Connect: Send + Sync {
    fn connect<'a>(&'a self, config: &'a Config, on_message: OnMessage) -> BoxFuture<'a, Result<Opened, Error>>;
}

impl<T> Connect for T
where
    T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: Send> + Clone + Send + Sync + 'static,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    fn connect<'a>(&'a self, config: &'a Config, mut on_message: OnMessage) -> BoxFuture<'a, Result<Opened, Error>> {
        Box::pin(async move {
            let (client, mut connection) = config.connect(self.clone()).await?;
            let driver = async move {
                while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                    on_message(message?);
                }
                Ok(())
            };
            Ok((client, Box::pin(driver) as _))
        })
    }
}

/// The address of a server, and how to connect to it.
#[derive(Clone)]
pub(crate) struct Server {
    config: Config,
    connect: Arc<dyn Connect>,
    /// The name of the server in errors, without secrets.
    pub(crate) name: Arc<str>,
    pub(crate) connect_timeout: Duration,
    pub(crate) write_timeout: Duration,
}

impl Server {
    pub(crate) fn new<T>(mut config: Config, tls: T) -> Self
    where
        T: MakeTlsConnect<Socket, Stream: Send, TlsConnect: Send> + Clone + Send + Sync + 'static,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        if config.get_application_name().is_none() {
            config.application_name("tower-tagging");
        }
        Self {
            name: name(&config).into(),
            config,
            connect: Arc::new(tls),
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
        }
    }

    pub(crate) async fn open(&self) -> Result<Session, Failure> {
        self.open_with(|_| {}).await
    }

    /// Opens a connection, and calls a function with everything that the server sends without being asked, such as
    /// notifications. The function is dropped when the connection ends.
    pub(crate) async fn open_with(
        &self,
        on_message: impl FnMut(AsyncMessage) + Send + 'static,
    ) -> Result<Session, Failure> {
        let timed_out = |_| Failure::TimedOut(self.connect_timeout);
        let connecting = self.connect.connect(&self.config, Box::new(on_message));
        let opened = timeout(self.connect_timeout, connecting).await;
        let (client, connection) = opened.map_err(timed_out)??;
        // The client reports the errors of the connection as well.
        let task = tokio::spawn(async move { drop(connection.await) });
        let runtime = Handle::current().id();
        let session = Session { client, statements: Mutex::default(), runtime, task };
        // Each statement sees everything that was committed before it, even if it waited for a lock. A client that vanished
        // holds no lock for long.
        let settings =
            "SET default_transaction_isolation = 'read committed'; SET idle_in_transaction_session_timeout = '60s'";
        let set = timeout(self.connect_timeout, session.client.batch_execute(settings)).await;
        set.map_err(timed_out)??;
        Ok(session)
    }
}

/// Names hosts, ports, and database, such as `Postgres at localhost:5432/app`.
fn name(config: &Config) -> String {
    let ports = config.get_ports();
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let mut hosts: Vec<String> = config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(at, host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(at)),
            #[cfg(unix)]
            Host::Unix(folder) => folder.display().to_string(),
        })
        .collect();
    if hosts.is_empty() {
        hosts = (0..).zip(config.get_hostaddrs()).map(|(at, address)| format!("{address}:{}", port(at))).collect();
    }
    let database = config.get_dbname().map(|name| format!("/{name}")).unwrap_or_default();
    format!("Postgres at {}{database}", hosts.join(","))
}

/// A connection. Dropping it closes the connection, and the server rolls back what was not committed.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Statements that were prepared on this connection, by their text.
    statements: Mutex<HashMap<String, Statement>>,
    /// The runtime that drives the connection.
    runtime: runtime::Id,
    task: JoinHandle<()>,
}

impl Session {
    pub(super) fn is_of_current_runtime(&self) -> bool {
        self.runtime == Handle::current().id()
    }

    /// Closes the connection.
    pub(super) fn close(&self) {
        self.task.abort();
    }

    /// Returns a statement, which is prepared once per connection.
    pub(crate) async fn prepared(&self, sql: &str) -> Result<Statement, Error> {
        let known = lock(&self.statements).get(sql).cloned();
        if let Some(statement) = known {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        lock(&self.statements).insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}
