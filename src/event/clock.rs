use std::{
    fmt,
    time::{Instant, SystemTime},
};

/// Tells the time to the layers. [`SystemClock`] is the default; tests hand in one that stands still.
///
/// It is called on the request path, in `Drop` too: it must not block, panic, or use the request's [`Tags`](crate::Tags).
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of day, for [`Event::time`](super::Event::time).
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
    pub fn advance(&self, by: std::time::Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.elapsed_nanos.fetch_add(nanos, std::sync::atomic::Ordering::Relaxed);
    }

    fn elapsed(&self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.elapsed_nanos.load(std::sync::atomic::Ordering::Relaxed))
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
        SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(Self::START) + self.elapsed()
    }

    fn instant(&self) -> Instant {
        self.start + self.elapsed()
    }
}
