use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::Clock;

/// A clock for tests that moves only when [`advance`](Self::advance) is called.
///
/// Clones move together.
///
/// ```
/// use std::time::Duration;
/// use tower_tagging::event::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let before = clock.instant();
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.instant() - before, Duration::from_secs(90));
/// assert_eq!(humantime::format_rfc3339_seconds(clock.now()).to_string(), "2026-01-01T00:01:30Z");
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: Instant,
    start_time: SystemTime,
    elapsed_nanos: Arc<AtomicU64>,
}

impl ManualClock {
    /// The time from the Unix epoch to 2026-01-01T00:00:00Z.
    const START: Duration = Duration::from_secs(1_767_225_600);

    /// Creates a clock that starts at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Self::START)
    }

    /// Creates a clock that starts at `time`.
    pub fn at(time: SystemTime) -> Self {
        Self { start: Instant::now(), start_time: time, elapsed_nanos: Arc::default() }
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_nanos.load(Ordering::Relaxed))
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.start_time + self.elapsed()
    }

    fn instant(&self) -> Instant {
        self.start + self.elapsed()
    }
}
