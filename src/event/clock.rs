use std::{
    fmt,
    time::{Instant, SystemTime},
};
#[cfg(feature = "test-util")]
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Tells the time to the layers. [`SystemClock`] is the default; tests hand in one that stands still.
///
/// It is called on the request path, in `Drop` too: it must not block, panic, or use the request's [`Tags`](crate::Tags).
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// A time that never goes back, for durations.
    fn instant(&self) -> Instant;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
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
    elapsed_nanos: Arc<AtomicU64>,
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
        Self { start: Instant::now(), start_time: time, elapsed_nanos: Arc::default() }
    }

    /// Moves the clock on.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_nanos.fetch_add(nanos, Ordering::Relaxed);
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
