//! Sinks: where events go.
//!
//! A [`Sink`] takes finished events. One is handed to [`EventLayer::new`](crate::EventLayer::new); several go into a
//! [`Fanout`]. There are
//!
//! | sink | feature | what it does |
//! |---|---|---|
//! | [`Queued`] | | hands batches to a [`BatchWriter`] on a thread of its own; the way to any file, server or database |
//! | `JsonLinesSink` | `jsonl` | a [`Queued`] that writes one JSON object a line to stdout, a file, or any writer |
//! | `TracingSink` | `tracing` | one `tracing` event for each request |
//! | `ChannelSink` | `tokio` | sends into a bounded `tokio::sync::mpsc` channel |
//! | `SqliteStore::sink`, `PostgresStore::sink` | `sqlite`, `postgres` | rows of a table |
//! | `Otel` | `otel` | spans, metrics and logs |
//! | `MockSink` | `test-util` | keeps events for assertions in tests |
//! | [`Fanout`], [`Filter`] | | several sinks; only some events |
//! | any `Fn(Arc<Event>)` | | a closure, called on the request's own task |
//!
//! # Nothing is lost in silence
//!
//! [`Queued`] tries again what may pass, finds the one event that can't be stored, and with a `Spool` (feature `spool`) keeps
//! events on disk.
//!
//! For every sink `accepted = delivered + dropped + in flight` holds at any time, and each drop has a
//! [reason](DropReason). Read the counts while the service runs, and settle them when it stops:
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use tower_tagging::{EventLayer, sink::{BatchWriter, Fanout, Queued, WriteError}, event::Event};
//!
//! #[derive(Debug)]
//! struct Audit(Vec<String>);
//!
//! impl BatchWriter for Audit {
//!     fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
//!         self.0.extend(events.iter().map(|event| event.path().to_owned()));
//!         Ok(())
//!     }
//! }
//!
//! let sinks = Fanout::new()
//!     .with(Queued::new("audit", Audit(Vec::new())))
//!     .with(|event: Arc<Event>| println!("{}", event.outcome()));
//! let layer = EventLayer::new(sinks);
//! let delivery = layer.delivery();
//! // … serve requests through the layer, then:
//! let report = delivery.shutdown(Duration::from_secs(5));
//! assert!(report.is_complete(), "{report}");
//! ```

#[cfg(feature = "channel")]
mod channel;
mod delivery;
mod fanout;
mod filter;
pub(crate) mod guarded;
mod jsonl;
#[cfg(feature = "test-util")]
mod mock;
mod queued;
#[cfg(feature = "spool")]
pub mod spool;
mod tracing;

use std::sync::Arc;

use crate::event::Event;

#[cfg(feature = "otel")]
pub(crate) use self::delivery::Part;
#[cfg(feature = "otel")]
pub(crate) use self::queued::in_turns;

#[cfg(feature = "channel")]
pub use self::channel::ChannelSink;
pub use self::jsonl::{JsonLinesSink, JsonLinesWriter};
#[cfg(feature = "test-util")]
pub use self::mock::MockSink;
#[cfg(feature = "spool")]
pub use self::spool::{Fsync, Spool, SpoolBuilder, SpoolError, SpoolMode};
pub use self::tracing::TracingSink;
pub use self::{
    delivery::{Delivery, DeliveryReport, DropReason, SinkHealth, SinkReport, SpoolReport},
    fanout::Fanout,
    filter::Filter,
    queued::{BatchWriter, QueueFull, Queued, QueuedBuilder, RetryPolicy, WriteError, WriteErrorKind},
};

/// Takes finished events.
///
/// # Contract
///
/// [`emit`](Self::emit) is called on the task that served the request, once for each event, in the moment the request
/// is over; often within `Drop` of a response body, sometimes while the thread unwinds from a panic. So it
///
/// - **never blocks**: no I/O, no lock that is held for long, no `.await`. Work belongs on a thread of its own, which
///   [`Queued`] gives to any [`BatchWriter`];
/// - **never panics**. A panic is caught, counted as [`DropReason::Panicked`], and costs the request nothing;
/// - **counts what it can't take**, when it hands events on: [`delivery`](Self::delivery) says what became of them.
///
/// Closures are sinks:
///
/// ```
/// use std::sync::Arc;
/// use tower_tagging::{EventLayer, event::Event};
///
/// let layer = EventLayer::new(|event: Arc<Event>| println!("{} {}", event.path(), event.outcome()));
/// ```
pub trait Sink: Send + Sync + 'static {
    /// Takes an event; see the [contract](Self#contract).
    fn emit(&self, event: Arc<Event>);

    /// What becomes of the events after [`emit`](Self::emit) returned. The default says that nothing is left to do
    /// then, and lets [`EventLayer`](crate::EventLayer) and [`Fanout`] count for the sink.
    fn delivery(&self) -> Delivery {
        Delivery::none()
    }

    /// What the sink is called in reports, where it does not count for itself.
    #[allow(clippy::unnecessary_literal_bound, reason = "implementations may return a name of their own")]
    fn name(&self) -> &str {
        "sink"
    }

    /// Whether anything becomes of an event at all. While it is false, a layer spares itself the building of events.
    fn is_listening(&self) -> bool {
        true
    }
}

impl<F: Fn(Arc<Event>) + Send + Sync + 'static> Sink for F {
    fn emit(&self, event: Arc<Event>) {
        self(event);
    }

    fn name(&self) -> &'static str {
        "closure"
    }
}

macro_rules! pointer_to_a_sink {
    ($pointer:ty) => {
        impl Sink for $pointer {
            fn emit(&self, event: Arc<Event>) {
                (**self).emit(event);
            }

            fn delivery(&self) -> Delivery {
                (**self).delivery()
            }

            fn name(&self) -> &str {
                (**self).name()
            }

            fn is_listening(&self) -> bool {
                (**self).is_listening()
            }
        }
    };
}

pointer_to_a_sink!(Arc<dyn Sink>);
pointer_to_a_sink!(Box<dyn Sink>);

/// `None` takes nothing, and while there is no other sink, a layer builds no events.
impl<S: Sink> Sink for Option<S> {
    fn emit(&self, event: Arc<Event>) {
        if let Some(sink) = self {
            sink.emit(event);
        }
    }

    fn delivery(&self) -> Delivery {
        self.as_ref().map_or_else(Delivery::none, Sink::delivery)
    }

    fn name(&self) -> &str {
        self.as_ref().map_or("none", Sink::name)
    }

    fn is_listening(&self) -> bool {
        self.as_ref().is_some_and(Sink::is_listening)
    }
}
