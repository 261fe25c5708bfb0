//! Times as the whole numbers that events, stores and counts hold.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999, since 1970: what RFC 3339 can write and databases can hold. A clock may say anything.
pub(crate) const LAST_SECOND: u64 = 253_402_300_799;

/// The most microseconds since 1970 for which that is so.
pub(crate) const LAST_MICRO: u64 = LAST_SECOND * 1_000_000 + 999_999;

/// Whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Microseconds since 1970, at most [`LAST_MICRO`]; 0 for what was before.
pub(crate) fn micros_since_1970(time: SystemTime) -> u64 {
    micros(time.duration_since(UNIX_EPOCH).unwrap_or_default()).min(LAST_MICRO)
}
