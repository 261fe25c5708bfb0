use std::{
    cell::Cell,
    fmt,
    time::{Duration, Instant, SystemTime},
};

/// Tells the time to the layers. [`SystemClock`] is the default; tests hand in one that stands still.
///
/// It is called on the request path, in `Drop` too: it must not block, panic, or use the request's [`Tags`](crate::Tags).
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day, for [`Event::time`](super::Event::time).
    fn now(&self) -> SystemTime;

    /// A time that never goes back, for durations.
    fn instant(&self) -> Instant;

    /// The time of day at an instant that was read just now.
    fn time_at(&self, instant: Instant) -> SystemTime {
        let _ = instant;
        self.now()
    }
}

/// The clock of the operating system.
///
/// Each thread reads the time of day at most once in a millisecond for [`time_at`](Clock::time_at) and counts on from there by
/// the monotonic clock, which is read for each request anyway. What the two drift apart meanwhile is less than the microsecond
/// that events are written in (Linux slews by 500 ppm at most); a clock that is set anew is seen a millisecond later.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

thread_local! {
    /// When this thread last read the time of day, and what it was.
    static LAST_READING: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// How long a reading is counted on from.
const READING_LASTS: Duration = Duration::from_millis(1);

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn time_at(&self, instant: Instant) -> SystemTime {
        let count_on = |last: &Cell<Option<(Instant, SystemTime)>>| {
            let (then, time) = last.get()?;
            time.checked_add(instant.checked_duration_since(then).filter(|since| *since < READING_LASTS)?)
        };
        LAST_READING.try_with(count_on).ok().flatten().unwrap_or_else(|| {
            let time = self.now();
            _ = LAST_READING.try_with(|last| last.set(Some((instant, time))));
            time
        })
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
    elapsed_nanos: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

#[cfg(feature = "test-util")]
impl ManualClock {
    /// Seconds from the Unix epoch to 2026-01-01T00:00:00Z.
    const START: u64 = 1_767_225_600;

    /// A clock that stands at 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        Self { start: Instant::now(), elapsed_nanos: std::sync::Arc::default() }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_nanos.fetch_add(nanos, std::sync::atomic::Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_nanos.load(std::sync::atomic::Ordering::Relaxed))
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
        SystemTime::UNIX_EPOCH + Duration::from_secs(Self::START) + self.elapsed()
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
        // A thread of its own, which has read nothing yet.
        let start = Instant::now();
        let time = SystemClock.time_at(start);
        for micros in [0, 1, 999] {
            let since = Duration::from_micros(micros);
            assert_eq!(SystemClock.time_at(start + since), time + since);
        }
        let before = SystemTime::now();
        let later = start + READING_LASTS;
        let read = SystemClock.time_at(later);
        assert!((before..=SystemTime::now()).contains(&read));
        assert_eq!(SystemClock.time_at(later + Duration::from_micros(1)), read + Duration::from_micros(1));
        // One from before the reading does not count backwards.
        let before = SystemTime::now();
        let read = SystemClock.time_at(start);
        assert!((before..=SystemTime::now()).contains(&read));
    }
}
