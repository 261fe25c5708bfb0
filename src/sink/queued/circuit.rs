use std::time::{Duration, Instant};

use backon::ExponentialBackoff;

use crate::time::after;

use super::retry_policy::RetryPolicy;

/// Spaces out attempts as long as they fail.
pub(super) struct Circuit {
    policy: RetryPolicy,
    failures: u32,
    delays: ExponentialBackoff,
    next_attempt: Option<Instant>,
}

impl Circuit {
    /// The destination is considered unavailable after as many failures in a row.
    const OPENS_AFTER: u32 = 3;

    pub(super) fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0, delays: policy.delays(), next_attempt: None }
    }

    /// Returns `true` if the destination is considered unavailable.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= Self::OPENS_AFTER
    }

    /// Returns the time until the next attempt is due.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        self.next_attempt.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    /// Records a failure. Returns `true` if it opens the circuit.
    pub(super) fn fail(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let delay = self.delays.next().unwrap_or(self.policy.longest_delay());
        self.next_attempt = Some(after(now, delay));
        self.failures == Self::OPENS_AFTER
    }

    /// Records a success. Returns `true` if it closes the circuit.
    pub(super) fn succeed(&mut self) -> bool {
        let was_open = self.is_open();
        if self.failures > 0 {
            *self = Self::new(self.policy);
        }
        was_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_at_the_third_failure_in_a_row() {
        let mut circuit = Circuit::new(RetryPolicy::new());
        let now = Instant::now();
        assert!(!circuit.fail(now) && !circuit.fail(now) && !circuit.succeed());
        assert!(!circuit.fail(now) && !circuit.fail(now) && circuit.fail(now) && !circuit.fail(now));
        assert!(circuit.is_open() && circuit.succeed() && !circuit.is_open());
    }

    #[test]
    fn delays_double_up_to_the_maximum() {
        let (min, max) = (Duration::from_millis(100), Duration::from_millis(400));
        let mut circuit = Circuit::new(RetryPolicy::new().min_delay(min).max_delay(max));
        let now = Instant::now();
        assert_eq!(circuit.delay(now), Duration::ZERO);
        for expected in [min, 2 * min, max, max] {
            circuit.fail(now);
            let delay = circuit.delay(now);
            assert!((expected..=2 * expected).contains(&delay), "{delay:?}, expected {expected:?}");
        }
        circuit.succeed();
        assert_eq!(circuit.delay(now), Duration::ZERO);
    }
}
