use std::time::SystemTime;

/// One attempt to deliver an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryAttempt {
    /// The time of the attempt.
    pub time: SystemTime,
    /// The number of the attempt, from 1.
    pub number: u64,
}

impl DeliveryAttempt {
    /// Creates an attempt, for tests of a target.
    pub const fn new(time: SystemTime, number: u64) -> Self {
        Self { time, number }
    }
}
