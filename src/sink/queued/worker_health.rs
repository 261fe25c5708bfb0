use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::{
    event::Event,
    sink::sink_health::SinkHealth,
    sync::lock,
    time::{micros_since_1970, millis},
};

/// The activity and the health of a worker, for reports.
pub(super) struct WorkerHealth {
    stalled_after: Duration,
    started: Instant,
    /// The end of the oldest event that the worker holds, in microseconds since 1970, or 0.
    oldest: AtomicU64,
    /// The start of the current write, in milliseconds since `started`, or 0.
    busy_since: AtomicU64,
    is_unavailable: AtomicBool,
    last_error: Mutex<Option<String>>,
}

impl WorkerHealth {
    pub(super) fn new(stalled_after: Duration) -> Self {
        Self {
            stalled_after,
            started: Instant::now(),
            oldest: AtomicU64::new(0),
            busy_since: AtomicU64::new(0),
            is_unavailable: AtomicBool::new(false),
            last_error: Mutex::default(),
        }
    }

    /// Returns the milliseconds since the start.
    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// Sets the oldest event that the worker holds.
    pub(super) fn set_oldest(&self, oldest: Option<&Event>) {
        let ended = oldest.map(|event| event.time().checked_add(event.duration()).unwrap_or(event.time()));
        self.oldest.store(ended.map_or(0, |ended| micros_since_1970(ended).max(1)), SeqCst);
    }

    pub(super) fn set_busy(&self, is_busy: bool) {
        self.busy_since.store(if is_busy { self.now().max(1) } else { 0 }, SeqCst);
    }

    pub(super) fn set_unavailable(&self, is_unavailable: bool) {
        self.is_unavailable.store(is_unavailable, SeqCst);
    }

    pub(super) fn set_last_error(&self, error: String) {
        *lock(&self.last_error) = Some(error);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    /// Returns the age of the oldest event, which the worker updates after it has counted events as delivered.
    pub(super) fn oldest_age(&self, has_events: bool) -> Option<Duration> {
        let oldest = self.oldest.load(SeqCst);
        let age = Duration::from_micros(micros_since_1970(SystemTime::now()).saturating_sub(oldest));
        (has_events && oldest > 0).then_some(age)
    }

    pub(super) fn get(&self, is_closed: bool, has_events: bool) -> SinkHealth {
        let busy_since = self.busy_since.load(SeqCst);
        if is_closed {
            SinkHealth::Stopped
        } else if busy_since > 0 && self.now().saturating_sub(busy_since) > millis(self.stalled_after) {
            SinkHealth::Stalled
        } else if self.is_unavailable.load(SeqCst) && has_events && self.oldest.load(SeqCst) > 0 {
            // With nothing to write, the destination may be back without the worker noticing.
            SinkHealth::Unavailable
        } else {
            SinkHealth::Healthy
        }
    }
}
