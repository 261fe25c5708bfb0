//! The times of logs.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::{api_error::ApiError, log_entry::LogResponse};

/// The longest time of a request, in milliseconds: a week.
const MAX_MILLIS: f64 = 7.0 * 24.0 * 3_600_000.0;
/// The largest difference by which the clock of another system may be ahead.
const MAX_AHEAD: Duration = Duration::from_secs(300);

/// Returns the time that the request of a log took.
///
/// # Errors
/// Returns an error if it is not a number of milliseconds from 0 to a week.
pub(crate) fn duration(response: &LogResponse) -> Result<Duration, ApiError> {
    let millis = response.response_time.unwrap_or(0.0);
    if !(0.0..=MAX_MILLIS).contains(&millis) {
        return Err(ApiError::invalid(format!(
            "invalid response_time {millis}: expected milliseconds of at most a week"
        )));
    }
    Ok(Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default())
}

/// Returns the time at which the request of a log began. Without one, it ended now.
///
/// # Errors
/// Returns an error if the time cannot be read, is older than `max_age`, or if the request would end in the future.
pub(crate) fn start(
    created_at: Option<&str>,
    duration: Duration,
    now: SystemTime,
    max_age: Duration,
) -> Result<SystemTime, ApiError> {
    let Some(text) = created_at else { return Ok(now.checked_sub(duration).unwrap_or(now)) };
    let time = text.parse::<Timestamp>().ok().and_then(|time| SystemTime::try_from(time).ok()).ok_or_else(|| {
        ApiError::invalid(format!(
            "invalid created_at {text:?}: expected ISO 8601 with an offset, such as 2026-06-01T00:00:00Z"
        ))
    })?;
    let first = now.checked_sub(max_age).unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
    if time < first {
        let first = humantime::format_rfc3339_seconds(first);
        return Err(ApiError::invalid(format!("invalid created_at {text:?}: expected a time from {first} on")));
    }
    let last = now.checked_add(MAX_AHEAD).unwrap_or(now);
    if time.checked_add(duration).is_none_or(|end| end > last) {
        return Err(ApiError::invalid(format!(
            "invalid created_at {text:?}: the request would end in the future, after {} ms",
            duration.as_millis()
        )));
    }
    Ok(time)
}
