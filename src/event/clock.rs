use std::time::{Instant, SystemTime};

/// A source of time for the layers.
///
/// The default is [`SystemClock`](super::SystemClock). Tests use a clock that moves only when they advance it.
///
/// It is called on the request path, also from `Drop`: it must not block, panic, or use the request's
/// [`Tags`](crate::Tags).
pub trait Clock: Send + Sync + 'static {
    /// Returns the time of day.
    fn now(&self) -> SystemTime;

    /// Returns a monotonic time, for durations.
    fn instant(&self) -> Instant;
}
