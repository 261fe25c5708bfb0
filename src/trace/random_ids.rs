use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{Builder, Uuid};

use super::{id_generator::IdGenerator, span_id::SpanId, trace_id::TraceId};

/// UUIDv7 event and trace ids, and random span ids.
///
/// Ids are sorted by time, with a precision of one millisecond
/// ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7)). The last 8 bytes of a trace id are entirely
/// random, whereas two bits of a strict UUIDv7 are fixed there: OpenTelemetry's ratio samplers decide by these bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomIds;

impl IdGenerator for RandomIds {
    fn event_id(&self, now: SystemTime) -> Uuid {
        // Times before 1970 count as 1970.
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = since_epoch.as_secs().saturating_mul(1000).saturating_add(u64::from(since_epoch.subsec_millis()));
        // Random bits follow the milliseconds. With a counter instead, all threads would share one lock. Bytes 6 and 8 of
        // a random id hold its version and variant. The bytes used here are entirely random.
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
            // The version makes the id nonzero, so the first attempt succeeds.
            if let Some(id) = TraceId::from_bytes(bytes) {
                return id;
            }
        }
    }

    fn span_id(&self) -> SpanId {
        loop {
            // The version and variant bits of one half are combined with random bits of the other.
            let (high, low) = Uuid::new_v4().as_u64_pair();
            if let Some(id) = SpanId::from_bytes((high ^ low).to_be_bytes()) {
                return id;
            }
        }
    }
}
