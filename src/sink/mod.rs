//! Sinks, which receive the events.
//!
//! A [`Sink`] accepts finished events. Pass one to [`EventLayer::new`](crate::EventLayer::new), or combine several
//! with [`Fanout`].
//!
//! | sink | feature | purpose |
//! |---|---|---|
//! | [`JsonLinesSink`] | | one line of JSON for each event, to stdout, any writer, or a file, which may be rotated |
//! | [`TracingSink`] | | one `tracing` event for each request |
//! | [`Queued`] | | batches for a [`BatchWriter`] of your own, on a dedicated thread |
//! | [`from_fn`] | | a closure, called on the request's task |
//! | [`Fanout`], [`Filter`] | | several sinks; only some of the events |
//! | `ChannelSink` | `channel` | a bounded `tokio::sync::mpsc` channel |
//! | `SqliteStore::sink`, `PostgresStore::sink` | `sqlite`, `postgres` | rows of a table |
//! | `Otel` | `otel` | spans, metrics, and logs |
//! | `MockSink` | `test-util` | keeps events for assertions in tests |
//!
//! # Examples
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use tower_tagging::{EventLayer, sink::{self, BatchWriter, Fanout, Queued, WriteError}, event::Event};
//!
//! struct Audit(Vec<String>);
//!
//! impl BatchWriter for Audit {
//!     fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
//!         self.0.extend(events.iter().map(|event| event.path().to_owned()));
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let sinks = Fanout::new()
//!     .with(Queued::new("audit", Audit(Vec::new())))
//!     .with(sink::from_fn(|event| println!("{}", event.outcome())));
//! let layer = EventLayer::new(sinks);
//! let delivery = layer.delivery();
//! // … serve requests through the layer, then:
//! let report = delivery.shutdown(Duration::from_secs(5)).await;
//! assert!(report.is_complete(), "{report}");
//! # }
//! ```
//!
//! # Write your own
//!
//! - To write to a file, a server, or a database, implement [`BatchWriter`] and wrap it in [`Queued`]. The queue is
//!   bounded, retries failed writes, and isolates events that cannot be stored. With a `Spool` (feature `spool`),
//!   events survive outages and crashes on disk.
//! - For something quick that does not block, use [`from_fn`] or implement [`Sink`].
//! - For a sink that delivers events later in its own way, such as on an `async` task, implement [`DeliverySource`] in
//!   addition.
//!
//! # Every event is accounted for
//!
//! For each sink, `accepted = delivered + dropped + in_flight` holds at any time. Each drop has a
//! [reason](DropReason). [`Delivery::report`] returns the counts while the service runs. [`Delivery::shutdown`]
//! delivers what is queued when it stops, and returns the final counts.
//!
//! # When sinks run
//!
//! [`Sink::emit`] runs on the request's task, once the request is [really over](crate::tagging). The writer of a
//! [`Queued`] sink runs on a dedicated thread. A sink that panics or fails never affects the response.

mod append_file;
#[cfg(feature = "channel")]
mod channel_sink;
mod counts;
mod delivery;
mod delivery_report;
mod delivery_source;
mod drop_reason;
mod fanout;
mod file_identity;
mod filter;
mod from_fn;
mod isolated;
mod json_lines_error;
mod json_lines_file;
mod json_lines_sink;
mod json_lines_writer;
mod line_batch;
#[cfg(feature = "test-util")]
mod mock_sink;
mod off_thread;
mod queued;
mod sink;
mod sink_health;
mod sink_report;
#[cfg(feature = "spool")]
pub mod spool;
mod spool_report;
mod tracing_callsite;
mod tracing_fields;
mod tracing_sink;

pub(crate) use self::isolated::Isolated;
#[cfg(feature = "otel")]
pub(crate) use self::queued::yielding_chunks;

#[cfg(feature = "channel")]
pub use self::channel_sink::ChannelSink;
#[cfg(feature = "test-util")]
pub use self::mock_sink::MockSink;
#[cfg(feature = "spool")]
pub use self::spool::{Fsync, Spool, SpoolBuilder, SpoolError, SpoolMode};
pub use self::{
    counts::Counts,
    delivery::Delivery,
    delivery_report::DeliveryReport,
    delivery_source::DeliverySource,
    drop_reason::DropReason,
    fanout::Fanout,
    filter::Filter,
    from_fn::{FromFn, from_fn},
    json_lines_error::JsonLinesError,
    json_lines_file::JsonLinesFile,
    json_lines_sink::JsonLinesSink,
    json_lines_writer::JsonLinesWriter,
    queued::{BatchWriter, QueueFull, Queued, QueuedBuilder, RetryPolicy, WriteError, WriteErrorKind},
    sink::Sink,
    sink_health::SinkHealth,
    sink_report::SinkReport,
    spool_report::SpoolReport,
    tracing_sink::TracingSink,
};
