//! Times and durations as whole numbers, within the range that events and stores can represent.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The last microsecond of the year 9999, counted from 1970.
///
/// RFC 3339 cannot represent later times, and neither can most databases. A clock may return any time.
pub(crate) const LAST_MICRO: u64 = 253_402_300_799_999_999;

/// Returns whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Returns whole milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the microseconds since 1970: 0 for earlier times, at most [`LAST_MICRO`].
pub(crate) fn micros_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, micros).min(LAST_MICRO)
}

/// Returns microseconds since 1970 as a signed number, with which times are subtracted.
#[cfg(feature = "limit")]
pub(crate) fn signed_micros(time: SystemTime) -> i64 {
    saturated(micros_since_1970(time))
}

/// Returns the time of microseconds since 1970. Earlier times become 1970.
#[cfg(feature = "limit")]
pub(crate) fn time_of_micros(micros: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

/// Returns a number as a signed one, at most the largest.
#[cfg(feature = "limit")]
pub(crate) fn saturated(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Adds a duration to an instant. Durations that are too long to represent count as one year.
pub(crate) fn after(now: Instant, time: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    now.checked_add(time).or_else(|| now.checked_add(YEAR)).unwrap_or(now)
}

/// Rounds down to a microsecond, the resolution of a serialized event. Clamps to the years 1970 to 9999, which RFC 3339 can
/// express.
pub(crate) fn whole_micros(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros_since_1970(time))
}
