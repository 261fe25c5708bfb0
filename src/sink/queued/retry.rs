use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::time::after;

/// When a [`Queued`](super::Queued) tries again what its writer calls [retryable](super::WriteError::retryable), and when it
/// gives up.
///
/// The delay doubles from attempt to attempt, up to a largest one, and is drawn at random up to twice as long, so that many
/// processes do not come back at the same moment. It goes on doubling from one batch to the next, until a batch is written:
/// a server that is away sees one attempt for each delay, however many events wait for it.
///
/// ```
/// use std::time::Duration;
/// use tower_tagging::sink::RetryPolicy;
///
/// let patient = RetryPolicy::new().max_delay(Duration::from_secs(60)).give_up_after(Duration::from_secs(3600));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Delays from 100 ms to 10 s, for 5 minutes.
    pub const fn new() -> Self {
        Self {
            min_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(10),
            give_up_after: Duration::from_secs(300),
        }
    }

    /// The delay after the first failure, before chance makes it longer; 1 ms at least.
    #[must_use]
    pub fn min_delay(mut self, delay: Duration) -> Self {
        self.min_delay = delay.max(Duration::from_millis(1));
        self
    }

    /// The longest delay, before chance makes it longer.
    #[must_use]
    pub fn max_delay(mut self, delay: Duration) -> Self {
        self.max_delay = delay;
        self
    }

    /// How long after its first attempt a batch is still tried. What is left of it then is dropped as
    /// [`DropReason::WriteFailed`](crate::sink::DropReason::WriteFailed). A sink with a spool does not give up while the
    /// disk takes its events.
    #[must_use]
    pub fn give_up_after(mut self, time: Duration) -> Self {
        self.give_up_after = time;
        self
    }

    pub(super) fn deadline(&self, first_attempt: Instant) -> Option<Instant> {
        first_attempt.checked_add(self.give_up_after)
    }

    fn delays(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.min_delay)
            .with_max_delay(self.max_delay.max(self.min_delay))
            .with_factor(2.0)
            .with_jitter()
            .without_max_times()
            .build()
    }
}

/// Keeps attempts apart from each other while they fail.
pub(super) struct Circuit {
    policy: RetryPolicy,
    failures: u32,
    delays: ExponentialBackoff,
    /// The moment before which there is no attempt.
    pub(super) not_before: Option<Instant>,
}

impl Circuit {
    /// So many failures in a row mean that the destination is away.
    const OPENS_AFTER: u32 = 3;

    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0, delays: policy.delays(), not_before: None }
    }

    /// Whether the destination is taken to be away.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= Self::OPENS_AFTER
    }

    /// Whether that is new.
    pub(super) fn fail(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let delay = self.delays.next().unwrap_or(self.policy.max_delay);
        self.not_before = Some(after(now, delay));
        self.failures == Self::OPENS_AFTER
    }

    /// Whether it was taken to be away until now.
    pub(super) fn succeed(&mut self) -> bool {
        let was_open = self.is_open();
        if self.failures > 0 {
            *self = Self::new(self.policy);
        }
        was_open
    }
}
