use std::{
    fmt,
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::{Builder, Uuid};

use super::context::{SpanId, TraceId};

/// Makes the ids of events, traces and spans.
///
/// [`RandomIds`] is the default; a test hands in its own for ids that can be foretold, such as `SequentialIds` of the
/// feature `test-util`. It is called on the request path, in `Drop` too: it must not block, panic, or use the request's
/// [`Tags`](crate::Tags).
pub trait IdGenerator: fmt::Debug + Send + Sync + 'static {
    /// The id of an event, unique over all processes. `now` is when the request head was seen.
    fn event_id(&self, now: SystemTime) -> Uuid;

    /// A fresh W3C trace id.
    fn trace_id(&self, now: SystemTime) -> TraceId;

    /// A fresh span id.
    fn span_id(&self) -> SpanId;
}

/// `UUIDv7` event and trace ids ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7)) and random span ids.
///
/// Sorting by id is sorting by time, to the millisecond. The last 8 bytes of a trace id are random throughout, where a strict
/// `UUIDv7` has two fixed bits: samplers of OpenTelemetry that record a part of all traces decide by these bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdGenerator for RandomIds {
    fn event_id(&self, now: SystemTime) -> Uuid {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = since_epoch.as_secs().saturating_mul(1000).saturating_add(u64::from(since_epoch.subsec_millis()));
        // Random bits behind the milliseconds, where a counter would make all threads share one lock. Two bytes of a
        // random id hold its version and variant; the others are random throughout.
        let random = Uuid::new_v4().into_bytes();
        let mut bytes = [0; 10];
        bytes.iter_mut().zip(random.iter().take(6).chain(random.iter().skip(12))).for_each(|(to, from)| *to = *from);
        Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
    }

    fn trace_id(&self, now: SystemTime) -> TraceId {
        loop {
            let mut bytes = self.event_id(now).into_bytes();
            if let Some(last) = bytes.last_chunk_mut::<8>() {
                *last = self.span_id().to_bytes();
            }
            // It carries its version, so this ends at the first turn.
            if let Some(id) = TraceId::from_bytes(bytes) {
                return id;
            }
        }
    }

    fn span_id(&self) -> SpanId {
        loop {
            // The version and variant bits of one half lie over random bits of the other.
            let (high, low) = Uuid::new_v4().as_u64_pair();
            if let Some(id) = SpanId::from_bytes((high ^ low).to_be_bytes()) {
                return id;
            }
        }
    }
}

/// Ids that count up from 1, the same in every run, for snapshot tests.
///
/// ```
/// use std::time::SystemTime;
/// use tower_tagging::trace::{IdGenerator, SequentialIds};
///
/// let ids = SequentialIds::new();
/// assert_eq!(ids.event_id(SystemTime::now()).to_string(), "00000000-0000-7000-8000-000000000001");
/// assert_eq!(ids.trace_id(SystemTime::now()).as_str(), "00000000000070008000000000000002");
/// assert_eq!(ids.span_id().as_str(), "0000000000000003");
/// ```
#[cfg(feature = "test-util")]
#[derive(Debug, Default)]
pub struct SequentialIds(std::sync::atomic::AtomicU64);

#[cfg(feature = "test-util")]
impl SequentialIds {
    /// The next id is number 1.
    pub fn new() -> Self {
        Self::default()
    }

    fn next(&self) -> u64 {
        1 + self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
    }
}

#[cfg(feature = "test-util")]
impl IdGenerator for SequentialIds {
    fn event_id(&self, _now: SystemTime) -> Uuid {
        Uuid::from_u64_pair(0x7000, 0x8000_0000_0000_0000 | self.next())
    }

    fn trace_id(&self, now: SystemTime) -> TraceId {
        TraceId::from_bytes(self.event_id(now).into_bytes()).unwrap_or_else(|| RandomIds.trace_id(now))
    }

    fn span_id(&self) -> SpanId {
        SpanId::from_bytes(self.next().to_be_bytes()).unwrap_or_else(|| RandomIds.span_id())
    }
}
