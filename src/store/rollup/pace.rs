use std::time::{Duration, Instant};

use super::Tier;

/// The number of quarter hours of the longest step.
const MAX_QUARTERS: i64 = 6_144;
/// The time that a step should take. Writers wait during a step.
const STEP_TIME: Duration = Duration::from_millis(200);

/// The number of buckets that a step of a long change covers: as many as fit into a fraction of a second.
#[derive(Debug, Default)]
pub(super) struct Pace {
    tier: Option<Tier>,
    buckets: i64,
    started: Option<Instant>,
}

impl Pace {
    /// Starts a step, and returns its number of buckets. The first step of a tier has one.
    pub(super) fn step(&mut self, tier: Tier) -> i64 {
        let most = (MAX_QUARTERS / tier.quarters()).max(1);
        self.buckets = if self.tier == Some(tier) { self.buckets.clamp(1, most) } else { 1 };
        (self.tier, self.started) = (Some(tier), Some(Instant::now()));
        self.buckets
    }

    /// Ends a step.
    pub(super) fn end(&mut self) {
        let Some(started) = self.started.take() else { return };
        self.buckets = if started.elapsed() < STEP_TIME { self.buckets * 2 } else { self.buckets / 2 };
    }
}
