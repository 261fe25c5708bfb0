use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use uuid::Uuid;

use super::{id_generator::IdGenerator, random_ids::RandomIds, span_id::SpanId, trace_id::TraceId};

/// Ids that count up from 1, so that they are the same in every run of a test.
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
#[derive(Debug, Default)]
pub struct SequentialIds(AtomicU64);

impl SequentialIds {
    /// Creates a generator whose first id is 1.
    pub fn new() -> Self {
        Self::default()
    }

    fn next(&self) -> u64 {
        1 + self.0.fetch_add(1, Ordering::Relaxed)
    }
}

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
