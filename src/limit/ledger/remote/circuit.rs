use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{sync::lock, time::after};

/// The time for which the circuit stays open after the first failure. Each failed probe doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Stops calls to a server that does not answer, so that an outage does not make each request wait.
///
/// Closed until a call fails. Then it is open for a short time, after which one call, the probe, is let through.
#[derive(Default)]
pub(super) struct Circuit(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
        pause: Duration,
    },
    Probing {
        /// After this time, another probe is let through: the first one was lost.
        until: Instant,
        pause: Duration,
    },
}

/// The decision about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    Pass,
    Probe,
    Refused,
}

impl Circuit {
    /// Decides about a call that takes at most `patience`.
    pub(super) fn permit(&self, now: Instant, patience: Duration) -> Permit {
        let mut state = lock(&self.0);
        match *state {
            State::Closed => Permit::Pass,
            State::Open { until, .. } | State::Probing { until, .. } if now < until => Permit::Refused,
            State::Open { pause, .. } | State::Probing { pause, .. } => {
                *state = State::Probing { until: after(now, patience.saturating_mul(2)), pause };
                Permit::Probe
            }
        }
    }

    /// Returns `true` unless calls pass.
    pub(super) fn is_open(&self) -> bool {
        !matches!(*lock(&self.0), State::Closed)
    }

    /// Records an answer.
    pub(super) fn succeeded(&self) {
        *lock(&self.0) = State::Closed;
    }

    /// Records that the server did not answer.
    pub(super) fn failed(&self, now: Instant) {
        let mut state = lock(&self.0);
        let pause = match *state {
            State::Closed => FIRST_PAUSE,
            // A call from before the failure that opened the circuit.
            State::Open { .. } => return,
            State::Probing { pause, .. } => (pause * 2).min(LONGEST_PAUSE),
        };
        *state = State::Open { until: after(now, pause), pause };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lets_one_probe_through_after_a_pause_that_doubles() {
        let (circuit, start, patience) = (Circuit::default(), Instant::now(), Duration::from_secs(1));
        assert_eq!(circuit.permit(start, patience), Permit::Pass);
        circuit.failed(start);
        circuit.failed(start + Duration::from_millis(50));
        assert!(circuit.is_open());
        assert_eq!(circuit.permit(start + Duration::from_millis(99), patience), Permit::Refused);
        let probe = start + Duration::from_millis(100);
        assert_eq!(circuit.permit(probe, patience), Permit::Probe);
        assert_eq!(circuit.permit(probe, patience), Permit::Refused);
        circuit.failed(probe);
        assert_eq!(circuit.permit(probe + Duration::from_millis(199), patience), Permit::Refused);
        assert_eq!(circuit.permit(probe + Duration::from_millis(200), patience), Permit::Probe);
        circuit.succeeded();
        assert_eq!(circuit.permit(probe, patience), Permit::Pass);
    }

    #[test]
    fn probes_again_if_a_probe_is_lost() {
        let (circuit, start, patience) = (Circuit::default(), Instant::now(), Duration::from_secs(1));
        circuit.failed(start);
        let probe = start + Duration::from_secs(1);
        assert_eq!(circuit.permit(probe, patience), Permit::Probe);
        assert_eq!(circuit.permit(probe + Duration::from_millis(1_999), patience), Permit::Refused);
        assert_eq!(circuit.permit(probe + Duration::from_secs(2), patience), Permit::Probe);
    }

    #[test]
    fn pauses_for_two_seconds_at_most() {
        let (circuit, mut now, patience) = (Circuit::default(), Instant::now(), Duration::from_secs(1));
        for _ in 0..20 {
            circuit.failed(now);
            now += LONGEST_PAUSE;
            assert_eq!(circuit.permit(now, patience), Permit::Probe);
        }
    }
}
