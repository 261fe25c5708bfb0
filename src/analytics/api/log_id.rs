//! The ids of logs, by which a log that is sent again is recognized.

use std::time::SystemTime;

use http::HeaderMap;
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::{
    analytics::Grant,
    tagging::Identity,
    trace::{IdGenerator, RandomIds, SpanId, TraceId},
};

use super::{api_error::ApiError, log_entry::LogEntry};

/// The header with one id for all logs of a request.
pub(crate) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The largest size of an id, in bytes.
const MAX_BYTES: usize = 256;

/// Returns the id of the event of a log: the same whenever the log is sent. `None` if the sender gave none.
///
/// It is derived from the sender's id within the workspace, so the id of one workspace is never that of another.
///
/// # Errors
/// Returns an error if an id is empty or too long.
pub(crate) fn event_id(
    (at, entry): (usize, &LogEntry),
    headers: &HeaderMap,
    identity: &Identity,
    grant: &Grant,
) -> Result<Option<Uuid>, ApiError> {
    let (kind, text, position) = match (&entry.id, headers.get(IDEMPOTENCY_KEY)) {
        (Some(id), _) => ("id", id.as_bytes(), String::new()),
        (None, Some(key)) => ("key", key.as_bytes(), at.to_string()),
        (None, None) => return Ok(None),
    };
    if text.is_empty() || text.len() > MAX_BYTES {
        let name = if kind == "id" { format!("id of logs [{at}]") } else { IDEMPOTENCY_KEY.to_owned() };
        return Err(ApiError::invalid(format!("invalid {name}: expected 1 to {MAX_BYTES} bytes")));
    }
    // A grant without a workspace may be that of a tenant by other conditions.
    let (owner_kind, owner) = match &identity.workspace {
        Some(workspace) => ("workspace", workspace.to_string()),
        None => ("grant", grant.scope()),
    };
    let mut digest = Sha256::new();
    for part in [owner_kind.as_bytes(), owner.as_bytes(), kind.as_bytes(), text, position.as_bytes()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let bytes = digest.finalize().first_chunk::<16>().copied().unwrap_or_default();
    Ok(Some(Builder::from_custom_bytes(bytes).into_uuid()))
}

/// The ids of the event of a log.
pub(crate) struct LogIds(pub(crate) Option<Uuid>);

impl IdGenerator for LogIds {
    fn event_id(&self, now: SystemTime) -> Uuid {
        self.0.unwrap_or_else(|| RandomIds.event_id(now))
    }

    fn trace_id(&self, now: SystemTime) -> TraceId {
        RandomIds.trace_id(now)
    }

    fn span_id(&self) -> SpanId {
        RandomIds.span_id()
    }
}
