//! Times as the whole numbers that events, stores and counts hold, and those that are too far to be written down.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The last microsecond of the year 9999, since 1970: what RFC 3339 can write and databases can hold. A clock may say anything.
pub(crate) const LAST_MICRO: u64 = 253_402_300_799_999_999;

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

/// So long after that; where it is too far to be written down, a year.
pub(crate) fn after(now: Instant, time: Duration) -> Instant {
    now.checked_add(time).unwrap_or(now + Duration::from_secs(365 * 24 * 3600))
}

/// Rounds down to a microsecond, the resolution of a serialized event. Clamps to the years 1970 to 9999, which RFC 3339 can
/// express.
pub(crate) fn whole_micros(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros_since_1970(time))
}
