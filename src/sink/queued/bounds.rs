use std::time::Duration;

/// The reaction to a full queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overflow {
    DropNewest,
    DropOldest,
}

/// The bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) events: usize,
    pub(super) bytes: u64,
    pub(super) max_batch: usize,
    pub(super) max_delay: Duration,
    pub(super) overflow: Overflow,
    /// The longest time for one batch, after which the sink is reported as stalled.
    pub(super) stalled_after: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            events: 32_768,
            bytes: 64 * 1024 * 1024,
            max_batch: 512,
            max_delay: Duration::from_millis(50),
            overflow: Overflow::DropNewest,
            stalled_after: Duration::from_secs(30),
        }
    }
}
