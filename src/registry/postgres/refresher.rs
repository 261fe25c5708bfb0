//! The task that follows the tables.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::{JoinHandle, spawn_blocking},
    time::{sleep, timeout},
};
use tokio_postgres::{AsyncMessage, error::SqlState};

use crate::{
    ConfigError,
    store::{Failure, Server, Session},
};

use super::{
    super::{config, registry_builder::RegistryBuilder, shared::Shared, snapshot::Snapshot},
    schema::CHANNEL,
    tables,
};

/// Changes within this time are read together.
const COALESCE: Duration = Duration::from_millis(20);
/// The time between attempts while the database is lost: at first, and at most.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(30);

/// Reads the tables.
pub(super) struct Refresher {
    server: Server,
    base: RegistryBuilder,
    /// Notified when a table has changed, or the connection has ended.
    changed: Arc<Notify>,
    /// The connection on which changes are announced.
    session: Option<Session>,
}

impl Refresher {
    pub(super) fn new(server: Server, base: RegistryBuilder, changed: Arc<Notify>) -> Self {
        Self { server, base, changed, session: None }
    }

    /// Reads the tables, after connecting if necessary.
    pub(super) async fn read(&mut self) -> Result<String, Failure> {
        let patience = self.server.write_timeout;
        let result = timeout(patience, self.read_now()).await.unwrap_or(Err(Failure::TimedOut(patience)));
        if result.is_err() {
            self.session = None;
        }
        result
    }

    async fn read_now(&mut self) -> Result<String, Failure> {
        let session = match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => session,
            None => self.listen().await?,
        };
        let json = tables::read(&session).await?;
        self.session = Some(session);
        Ok(json)
    }

    /// Opens a connection on which changes are announced, from before the tables are read.
    async fn listen(&self) -> Result<Session, Failure> {
        let wake = WakeOnDrop(Arc::clone(&self.changed));
        let on_message = move |message| {
            if matches!(message, AsyncMessage::Notification(_)) {
                wake.0.notify_one();
            }
        };
        let session = self.server.open_with(on_message).await?;
        session.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        Ok(session)
    }

    /// Builds a snapshot of what was read.
    pub(super) fn snapshot(&self, json: &str, previous: Option<&Snapshot>) -> Result<Snapshot, ConfigError> {
        config::load_callers(json, self.base.clone(), previous)
    }

    /// Follows the tables until the last handle of the registry is dropped.
    pub(super) fn spawn(self, shared: &Arc<Shared>, refresh: Duration) {
        let task = tokio::spawn(self.run(Arc::downgrade(shared), refresh));
        shared.keep(Box::new(AbortOnDrop(task)));
    }

    async fn run(mut self, shared: Weak<Shared>, refresh: Duration) {
        let mut retry = None;
        loop {
            match retry {
                // The end of a connection also notifies, so that only time counts here.
                Some(wait) => sleep(wait).await,
                None if timeout(refresh, self.changed.notified()).await.is_ok() => sleep(COALESCE).await,
                None => {}
            }
            let result = self.read().await;
            let Some(shared) = shared.upgrade() else { return };
            retry = match result {
                Ok(json) => {
                    self.install(&shared, json).await;
                    None
                }
                Err(failure) => {
                    shared.fail(&read_error(failure, &self.server.name).to_string());
                    Some(retry.map_or(FIRST_RETRY, |wait| (wait * 2).min(LAST_RETRY)))
                }
            };
        }
    }

    /// Replaces the state if the tables have changed.
    async fn install(&self, shared: &Arc<Shared>, json: String) {
        let (keep, base) = (Arc::clone(shared), self.base.clone());
        // Many keys take a while.
        let install = spawn_blocking(move || {
            if keep.current().files.has_changed(&json) {
                // The error is in the status.
                let _ = keep.update(|previous| config::load_callers(&json, base, Some(previous)));
            } else {
                keep.confirm();
            }
        });
        if let Err(error) = install.await {
            shared.fail(&format!("cannot build the registry: {error}"));
        }
    }
}

/// Names the server and the reason.
pub(super) fn read_error(failure: Failure, server: &str) -> ConfigError {
    let is_missing = |error: &tokio_postgres::Error| {
        matches!(error.code(), Some(&SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN))
    };
    ConfigError::new(match failure {
        Failure::Sql(error) if is_missing(&error) => {
            format!("{server}: the tables of the registry are missing: run `PostgresRegistry::migrate`")
        }
        failure => failure.during("read the registry from", server).to_string(),
    })
}

/// Wakes the task when the connection ends, since a change may be missed from then on.
struct WakeOnDrop(Arc<Notify>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
