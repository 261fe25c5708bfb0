use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Tells the time to the layers. [`SystemClock`] is the default; tests hand in one that stands still.
///
/// It is called on the request path, in `Drop` too: it must not block, panic, or use the request's [`Tags`](crate::Tags).
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// A time that never goes back, for durations.
    fn instant(&self) -> Instant;

    /// The time of day, for [`Event::time`](super::Event::time), at an instant that [`instant`](Self::instant) gave just now:
    /// that is [`now`](Self::now), unless the clock knows it without being read again. Called once when a request's head is
    /// seen.
    fn time_at(&self, instant: Instant) -> SystemTime {
        let _ = instant;
        self.now()
    }
}

/// The clock of the operating system.
///
/// It reads the time of day once in a millisecond, and counts on from there, to the microsecond that events are written in, by
/// the monotonic clock, which is read for each request anyway. A clock that is set anew, or a machine that slept, is seen
/// within a millisecond.
#[derive(Debug)]
pub struct SystemClock {
    made: Instant,
    /// The time of day when it was made, by the last reading: nanoseconds since 1970.
    made_at: AtomicU64,
    /// Until when that holds: nanoseconds since it was made.
    valid_until: AtomicU64,
}

/// How long a reading of the time of day is counted on from, in nanoseconds.
const VALID: u64 = 1_000_000;
/// How far an instant and a reading may lie apart to be taken for the same time. A thread may lose its core between them.
const MAX_GAP: Duration = Duration::from_micros(1);

impl SystemClock {
    /// A clock that has not been read.
    pub fn new() -> Self {
        Self { made: Instant::now(), made_at: AtomicU64::new(0), valid_until: AtomicU64::new(0) }
    }

    /// The time of day, kept for what comes after.
    fn read(&self, instant: Instant, since_made: u64) -> SystemTime {
        let time = self.now();
        let is_apart = Instant::now().saturating_duration_since(instant) > MAX_GAP;
        let made_at = time.duration_since(UNIX_EPOCH).ok().and_then(|since| nanos(since)?.checked_sub(since_made));
        if let Some(made_at) = made_at.filter(|_| !is_apart) {
            self.made_at.store(made_at, Ordering::Relaxed);
            self.valid_until.store(since_made.saturating_add(VALID), Ordering::Release);
        }
        time
    }
}

/// `None` for what is longer than 584 years.
fn nanos(time: Duration) -> Option<u64> {
    u64::try_from(time.as_nanos()).ok()
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn time_at(&self, instant: Instant) -> SystemTime {
        let Some(since_made) = instant.checked_duration_since(self.made).and_then(nanos) else { return self.now() };
        if since_made >= self.valid_until.load(Ordering::Acquire) {
            return self.read(instant, since_made);
        }
        UNIX_EPOCH + Duration::from_nanos(self.made_at.load(Ordering::Relaxed).saturating_add(since_made))
    }
}

/// A clock that moves only when it is told to; clones move together.
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
#[cfg(feature = "test-util")]
#[derive(Clone, Debug)]
pub struct ManualClock {
    start: Instant,
    start_time: SystemTime,
    elapsed_nanos: std::sync::Arc<AtomicU64>,
}

#[cfg(feature = "test-util")]
impl ManualClock {
    /// From the Unix epoch to 2026-01-01T00:00:00Z.
    const START: Duration = Duration::from_secs(1_767_225_600);

    /// A clock that stands at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Self::START)
    }

    /// A clock that stands at this time.
    pub fn at(time: SystemTime) -> Self {
        Self { start: Instant::now(), start_time: time, elapsed_nanos: std::sync::Arc::default() }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        self.elapsed_nanos.fetch_add(nanos(by).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_nanos.load(Ordering::Relaxed))
    }
}

#[cfg(feature = "test-util")]
impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(feature = "test-util")]
impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        self.start_time + self.elapsed()
    }

    fn instant(&self) -> Instant {
        self.start + self.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_counted_on_for_a_millisecond() {
        let clock = SystemClock::new();
        // Ahead, so that no reading comes too late for it.
        let start = Instant::now() + Duration::from_secs(3600);
        let time = clock.time_at(start);
        for micros in [0, 1, 999] {
            let since = Duration::from_micros(micros);
            assert_eq!(clock.time_at(start + since), time + since);
        }
        let later = start + Duration::from_nanos(VALID);
        let before = SystemTime::now();
        let read = clock.time_at(later);
        assert!((before..=SystemTime::now()).contains(&read));
        assert_eq!(clock.time_at(later + Duration::from_micros(1)), read + Duration::from_micros(1));
    }

    #[test]
    fn a_reading_that_comes_late_is_not_counted_on_from() {
        let clock = SystemClock::new();
        let instant = Instant::now();
        while instant.elapsed() < Duration::from_nanos(VALID / 2) {}
        clock.time_at(instant);
        let time = clock.time_at(Instant::now());
        // It would be half a millisecond ahead.
        assert!(time <= SystemTime::now() + MAX_GAP);
    }

    #[test]
    fn what_was_before_the_clock_is_read() {
        let before = Instant::now();
        let clock = SystemClock::new();
        let now = SystemTime::now();
        let read = clock.time_at(before);
        assert!((now..=SystemTime::now()).contains(&read));
    }
}
