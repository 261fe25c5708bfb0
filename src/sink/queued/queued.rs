use std::{fmt, sync::Arc};

use crate::{
    event::Event,
    sink::{delivery::Delivery, sink::Sink},
};

use super::{pipeline::Pipeline, worker::is_delivery_thread};

/// A sink with a bounded queue and a thread that passes batches to a [`BatchWriter`](super::BatchWriter).
///
/// It accounts for every event. The result of a write decides what happens next:
///
/// | the writer | events that it did not write |
/// |---|---|
/// | returns [`WriteError::retryable`](super::WriteError::retryable) | are retried according to the [`RetryPolicy`](super::RetryPolicy). After three failures in a row, the sink is [unavailable](crate::sink::SinkHealth::Unavailable) until a write succeeds |
/// | returns [`WriteError::rejected`](super::WriteError::rejected), or panics | are written in smaller and smaller batches until the responsible event is alone. That event is dropped and passed to the [dead-letter sink](super::QueuedBuilder::dead_letters) |
/// | returns [`WriteError::new`](super::WriteError::new) | are dropped |
///
/// Clones share the queue. When the last clone is dropped, the thread writes what is queued and ends. A warning is logged if
/// events are waiting then, because they are lost if the process exits. [`Delivery::shutdown`] waits for the thread.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use tower_tagging::{event::Event, sink::{BatchWriter, Queued, Sink, WriteError}};
///
/// struct Printer;
///
/// impl BatchWriter for Printer {
///     fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
///         println!("{} events", events.len());
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let sink = Queued::builder("printer", Printer).capacity(10_000).max_batch(100).drop_oldest().build();
/// let report = sink.delivery().shutdown(Duration::from_secs(1)).await;
/// assert_eq!(report.to_string(), "printer: 0 accepted, 0 delivered, 0 in flight");
/// # }
/// ```
#[derive(Clone)]
pub struct Queued {
    handle: Arc<Handle>,
}

/// Closes the queue when the last sink is dropped.
struct Handle {
    pipeline: Arc<Pipeline>,
    delivery: Delivery,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A worker that ends drops the sinks that its writer passes events to, and they have their own shutdown.
        if !self.pipeline.is_closed() && !is_delivery_thread() {
            self.delivery.warn_of_undelivered();
        }
        self.pipeline.abandon();
    }
}

impl Queued {
    /// Creates a sink for a pipeline whose worker has been started.
    pub(super) fn from_pipeline(pipeline: Arc<Pipeline>, delivery: Delivery) -> Self {
        Self { handle: Arc::new(Handle { pipeline, delivery }) }
    }
}

#[cfg(feature = "otel")]
impl Queued {
    /// Returns `true` once the delivery was shut down.
    pub(crate) fn is_closed(&self) -> bool {
        self.handle.pipeline.is_closed()
    }
}

impl fmt::Debug for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queued").field(&self.delivery().report()).finish()
    }
}

impl Sink for Queued {
    fn emit(&self, event: Arc<Event>) {
        self.handle.pipeline.push(event);
    }

    fn delivery(&self) -> Delivery {
        self.handle.delivery.clone()
    }

    fn name(&self) -> &str {
        self.handle.pipeline.name()
    }
}
