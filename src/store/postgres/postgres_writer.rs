use std::{
    fmt, io,
    panic::resume_unwind,
    sync::{Arc, mpsc::SyncSender},
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::timeout_at,
};

use crate::{
    event::Event,
    sink::{BatchWriter, WriteError},
};

use super::{connection::Connection, server::Server};

/// The longest time for storing the last statistics of keys when the writer ends.
const LAST_FOLD: Duration = Duration::from_secs(2);

/// The [`BatchWriter`] of a [`PostgresStore`](super::PostgresStore).
///
/// It copies each batch in binary, in one transaction.
///
/// It connects at its first batch, and reconnects after errors. The next attempt recognizes the events that an earlier one
/// stored by their ids. Errors are [retryable](WriteError::retryable) if the server is unavailable, its disk is full, or a
/// table is missing. Events that the server refuses to store are [rejected](WriteError::rejected).
///
/// # Types of columns
///
/// Do not change the type of a column of `tagging_events`. The writer sends binary values of the types in
/// [`SCHEMA`](crate::store::SCHEMA). Of another type, the server refuses them: rows are rejected, one by one, or the batch is
/// retried until the [policy](crate::sink::RetryPolicy) gives up. A type without a check of its length, such as `numeric`,
/// may even store a wrong value. To read a column as another type, use a view. Columns of your own, with a default or
/// nullable, do no harm.
pub struct PostgresWriter {
    server: Server,
    worker: Option<Worker>,
}

/// The thread of the connection. It stays between batches, so that it stores statistics when there are no events.
struct Worker {
    jobs: UnboundedSender<Job>,
    thread: JoinHandle<()>,
}

struct Job {
    events: Vec<Arc<Event>>,
    answer: SyncSender<Result<(), WriteError>>,
}

impl PostgresWriter {
    pub(super) fn new(server: Server) -> Self {
        Self { server, worker: None }
    }

    fn worker(&mut self) -> io::Result<Worker> {
        if let Some(worker) = self.worker.take() {
            return Ok(worker);
        }
        let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
        let (jobs, inbox) = unbounded_channel();
        let connection = Connection::new(self.server.clone());
        let thread =
            thread::Builder::new().name("tagging pg".to_owned()).spawn(move || run(&runtime, connection, inbox))?;
        Ok(Worker { jobs, thread })
    }
}

impl BatchWriter for PostgresWriter {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        let worker = self.worker().map_err(WriteError::retryable)?;
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        // If the thread ended, there is no answer either.
        let _ = worker.jobs.send(Job { events: events.to_vec(), answer });
        if let Ok(result) = answered.recv() {
            self.worker = Some(worker);
            return result;
        }
        // The thread ends without an answer only if it panics. The sink catches and counts the panic.
        match worker.thread.join() {
            Ok(()) => Err(WriteError::retryable(format!("cannot write to {}: its thread ended", self.server.name))),
            Err(panic) => resume_unwind(panic),
        }
    }
}

impl Drop for PostgresWriter {
    fn drop(&mut self) {
        if let Some(Worker { jobs, thread }) = self.worker.take() {
            drop(jobs);
            // The thread only stores its last statistics.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for PostgresWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresWriter").field("server", &self.server.name).finish_non_exhaustive()
    }
}

fn run(runtime: &Runtime, mut connection: Connection, mut inbox: UnboundedReceiver<Job>) {
    runtime.block_on(async {
        loop {
            connection.fold_if_due().await;
            let next = match connection.next_fold() {
                None => Ok(inbox.recv().await),
                Some(time) => timeout_at(time, inbox.recv()).await,
            };
            match next {
                Ok(Some(Job { events, answer })) => {
                    let result = connection.write(&events).await;
                    // Events are recycled once nothing else holds them.
                    drop(events);
                    let _ = answer.send(result);
                }
                Ok(None) => break,
                Err(_) => {}
            }
        }
        connection.fold(LAST_FOLD).await;
    });
}
