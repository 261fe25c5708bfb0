use std::time::SystemTime;

use uuid::Uuid;

use super::{span_id::SpanId, trace_id::TraceId};

/// A source of new ids for events, traces, and spans.
///
/// A layer takes all ids of a request from one generator: the event's own id as well as those of its trace. The default is
/// [`RandomIds`](super::RandomIds). Tests that need predictable ids use `SequentialIds`, with the feature `test-util`.
///
/// The methods are called while a request is served, and when a response is dropped. They must not block, panic, or use the
/// request's [`Tags`](crate::Tags).
pub trait IdGenerator: Send + Sync + 'static {
    /// Returns the id of an event, which must be unique across all processes.
    ///
    /// `now` is the time at which the request head was received.
    fn event_id(&self, now: SystemTime) -> Uuid;

    /// Returns a new W3C trace id.
    fn trace_id(&self, now: SystemTime) -> TraceId;

    /// Returns a new span id.
    fn span_id(&self) -> SpanId;
}
