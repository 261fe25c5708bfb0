use std::sync::Arc;

use crate::event::Event;

use super::write_error::WriteError;

/// Writes events in batches on a dedicated thread, to any file, server, or database.
///
/// [`Queued`](super::Queued) turns a writer into a sink.
///
/// # Async clients
///
/// Give an `async` client its own runtime. The writer then makes progress while the service's runtime shuts down, and
/// works without one.
///
/// ```
/// use std::{io, sync::Arc, time::Duration};
/// use tokio::{runtime::{self, Runtime}, time::timeout};
/// use tower_tagging::{event::Event, sink::{BatchWriter, Queued, Sink, WriteError}};
///
/// # struct Client;
/// # impl Client {
/// #     async fn insert(&mut self, _: &[Arc<Event>]) -> io::Result<()> { Ok(()) }
/// # }
/// struct Warehouse {
///     runtime: Runtime,
///     client: Client,
/// }
///
/// impl BatchWriter for Warehouse {
///     fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
///         // The timer must be created inside the runtime.
///         let insert = async { timeout(Duration::from_secs(10), self.client.insert(events)).await };
///         match self.runtime.block_on(insert) {
///             Ok(Ok(())) => Ok(()),
///             Ok(Err(error)) => Err(WriteError::retryable(error)),
///             Err(elapsed) => Err(WriteError::retryable(elapsed)),
///         }
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
/// let sink = Queued::new("warehouse", Warehouse { runtime, client: Client });
/// assert!(sink.delivery().shutdown_blocking(Duration::from_secs(1)).is_complete());
/// # Ok(())
/// # }
/// ```
pub trait BatchWriter: Send + 'static {
    /// Writes the events in order. This may block; no request waits for it.
    ///
    /// An event can be passed more than once, if the result of an earlier attempt is unknown. Use its
    /// [id](Event::id) to recognize it.
    ///
    /// # Errors
    ///
    /// Returns a [`WriteError`] with the number of events that were written nevertheless, counted from the first, and
    /// what to do with the others.
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError>;
}

impl<W: BatchWriter + ?Sized> BatchWriter for Box<W> {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        (**self).write(events)
    }
}
