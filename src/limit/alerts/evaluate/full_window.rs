use std::time::{Duration, SystemTime};

use crate::{
    analytics::{QueryError, TimeRange},
    limit::alerts::finding::{interval_start, timestamp},
    time::signed_micros,
};

/// How long events may take to be stored after the end of their hour.
const DELAY: Duration = Duration::from_secs(5 * 60);

/// The latest time of a length that has passed, counted from 1970, and whose events are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FullWindow {
    /// In microseconds since 1970.
    pub(super) from: i64,
    pub(super) to: i64,
}

impl FullWindow {
    /// Returns `None` for times near 1970.
    pub(super) fn before(time: SystemTime, length: Duration) -> Option<Self> {
        let to = interval_start(signed_micros(time.checked_sub(DELAY)?), length);
        let from = to.checked_sub(i64::try_from(length.as_micros()).ok()?)?;
        (from > 0).then_some(Self { from, to })
    }

    /// Returns the window of the same length before this one.
    pub(super) fn previous(self) -> Self {
        Self { from: self.from - (self.to - self.from), to: self.from }
    }

    pub(super) fn range(self) -> Result<TimeRange, QueryError> {
        TimeRange::new(timestamp(self.from), timestamp(self.to))
    }
}
