use deadpool::managed::{Manager, Metrics, Object, Pool, PoolError, RecycleError, RecycleResult};
use tokio::time::timeout;

use super::{
    failure::Failure,
    server::{Server, Session},
};

/// The largest number of connections. Further callers wait for one.
const MAX_SESSIONS: usize = 8;

/// Opens the connections of a pool.
pub(super) struct Opener(Server);

/// A connection that returns to its pool when it is dropped.
pub(super) type PooledSession = Object<Opener>;

/// A pool of connections to a server. Clones share it.
#[derive(Clone)]
pub(super) struct Sessions(Pool<Opener>);

impl Sessions {
    /// Creates an empty pool.
    #[allow(clippy::expect_used, reason = "only a pool with timeouts needs a runtime to be built")]
    pub(super) fn new(server: Server) -> Self {
        let pool = Pool::builder(Opener(server)).max_size(MAX_SESSIONS).build();
        Self(pool.expect("the pool has no timeouts"))
    }

    pub(super) fn server(&self) -> &Server {
        &self.0.manager().0
    }

    /// Returns an idle connection of the current runtime, or opens one. If there are [`MAX_SESSIONS`] in use, it waits, at most
    /// as long as connecting may take.
    pub(super) async fn get(&self) -> Result<PooledSession, Failure> {
        let limit = self.server().connect_timeout;
        match timeout(limit, self.0.get()).await {
            Ok(Ok(session)) => Ok(session),
            Ok(Err(PoolError::Backend(failure))) => Err(failure),
            // The pool itself has neither timeouts nor hooks, and is never closed.
            Ok(Err(_)) | Err(_) => Err(Failure::TimedOut(limit)),
        }
    }
}

impl Manager for Opener {
    type Type = Session;
    type Error = Failure;

    async fn create(&self) -> Result<Session, Failure> {
        self.0.open().await
    }

    /// Checks that a connection still works, so that a restart of the server fails no query.
    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<Failure> {
        // A connection makes progress only while the runtime runs that opened it.
        if !session.is_of_current_runtime() || session.is_closed() {
            return Err(RecycleError::message("the connection is closed or of another runtime"));
        }
        match timeout(self.0.connect_timeout, session.batch_execute("")).await {
            Ok(result) => Ok(result.map_err(Failure::from)?),
            Err(_) => Err(Failure::TimedOut(self.0.connect_timeout).into()),
        }
    }
}
