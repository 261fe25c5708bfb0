use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The policy for retries of [retryable](super::WriteError::retryable) writes by a [`Queued`](super::Queued) sink.
///
/// The delay doubles with each failure up to a maximum. A random part of up to the same length is added, so that many
/// processes do not retry at the same moment. The delay keeps growing from one batch to the next until a batch is
/// written. An unavailable server therefore sees one attempt for each delay, however many events are waiting.
///
/// ```
/// use std::time::Duration;
/// use tower_tagging::sink::RetryPolicy;
///
/// let patient = RetryPolicy::new().max_delay(Duration::from_secs(60)).give_up_after(Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    min_delay: Duration,
    max_delay: Duration,
    give_up_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new()
    }
}

impl RetryPolicy {
    /// Creates a policy with delays from 100 ms to 10 s that gives up after 5 minutes.
    pub const fn new() -> Self {
        Self {
            min_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            give_up_after: Duration::from_secs(300),
        }
    }

    /// Sets the delay after the first failure, without the random part.
    ///
    /// The minimum is 1 ms.
    pub fn min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = delay.max(Duration::from_millis(1));
        self
    }

    /// Sets the longest delay, without the random part.
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// Sets how long a batch is retried after its first attempt.
    ///
    /// Events that are left then are dropped as
    /// [`DropReason::WriteFailed`](crate::sink::DropReason::WriteFailed). A sink with a spool does not give up as long
    /// as the spool accepts its events.
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = time;
        self
    }

    /// Returns the time until which a batch is retried, or `None` if it is too far in the future.
    pub(super) fn deadline(&self, first_attempt: Instant) -> Option<Instant> {
        first_attempt.checked_add(self.give_up_after)
    }

    /// Returns how long something is retried after its first attempt.
    #[cfg(feature = "limit")]
    pub(crate) const fn time_until_giving_up(&self) -> Duration {
        self.give_up_after
    }

    /// Returns the delay after a number of failures in a row, with its random part.
    #[cfg(feature = "limit")]
    pub(crate) fn delay_after(&self, failures: u64) -> Duration {
        // After as many failures, every delay is the longest one.
        const MOST: u64 = 64;
        let earlier = usize::try_from(failures.saturating_sub(1).min(MOST)).unwrap_or_default();
        self.delays().nth(earlier).unwrap_or(self.longest_delay())
    }

    pub(super) fn longest_delay(&self) -> Duration {
        self.max_delay.max(self.min_delay)
    }

    pub(super) fn delays(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.min_delay)
            .with_max_delay(self.longest_delay())
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build()
    }
}
