//! The nearest value that every database can hold.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use crate::{
    metadata::Metadata,
    time::{LAST_MICRO, whole_micros},
    usage::LlmCall,
};

/// Replaces NUL, which Postgres cannot store, by `U+FFFD`.
pub(crate) fn stored_text(text: &str) -> Cow<'_, str> {
    match memchr::memchr(0, text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.replace('\0', "\u{FFFD}")),
    }
}

/// Returns the time that is `duration` after a stored time.
pub(super) fn stored_time_after(time: SystemTime, duration: Duration) -> SystemTime {
    let last = SystemTime::UNIX_EPOCH + Duration::from_micros(LAST_MICRO);
    whole_micros(time.checked_add(duration).unwrap_or(last))
}

/// Replaces NUL in keys and values. Shares the tags if there is none.
pub(super) fn stored_metadata(metadata: &Metadata) -> Metadata {
    let has_nul = |text: &str| memchr::memchr(0, text.as_bytes()).is_some();
    if !metadata.iter().any(|(key, value)| has_nul(key) || has_nul(value)) {
        return metadata.clone();
    }
    metadata.iter().map(|(key, value)| (stored_text(key), stored_text(value))).collect()
}

/// Whole milliseconds, at most the largest number that the column holds.
pub(super) fn stored_millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX).min(i32::MAX.unsigned_abs())
}

/// The count, at most the largest number that the column holds.
pub(super) fn stored_count(count: u64) -> u64 {
    count.min(i64::MAX.unsigned_abs())
}

/// The count of a unit of usage, at most 10¹².
pub(super) fn stored_tokens(count: u64) -> u64 {
    count.min(LlmCall::MAX_USAGE)
}
