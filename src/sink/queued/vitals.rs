use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant, SystemTime},
};

use crate::{
    event::Event,
    sink::SinkHealth,
    time::{micros_since_1970, millis},
};

/// What tells how a worker is doing.
pub(super) struct Vitals {
    /// How long a writer may be busy with one batch before its sink is called stalled.
    stalled_after: Duration,
    started: Instant,
    /// When the oldest event at hand ended (microseconds since 1970), and when the writer was given a batch (milliseconds
    /// since `started`); 0 for none.
    oldest: AtomicU64,
    busy_since: AtomicU64,
    is_away: AtomicBool,
    /// What the last attempt that failed said.
    last_error: Mutex<Option<String>>,
}

impl Vitals {
    pub(super) fn new(stalled_after: Duration) -> Self {
        Self {
            stalled_after,
            started: Instant::now(),
            oldest: AtomicU64::new(0),
            busy_since: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            last_error: Mutex::default(),
        }
    }

    /// Milliseconds since the start.
    fn now(&self) -> u64 {
        millis(self.started.elapsed())
    }

    /// The oldest event that the worker has, if it has any.
    pub(super) fn holds(&self, oldest: Option<&Event>) {
        let ended = oldest.map(|event| event.time().checked_add(event.duration()).unwrap_or(event.time()));
        self.oldest.store(ended.map_or(0, |ended| micros_since_1970(ended).max(1)), SeqCst);
    }

    pub(super) fn writer_is_busy(&self, is_busy: bool) {
        self.busy_since.store(if is_busy { self.now().max(1) } else { 0 }, SeqCst);
    }

    pub(super) fn destination_is_away(&self, is_away: bool) {
        self.is_away.store(is_away, SeqCst);
    }

    pub(super) fn failed(&self, error: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub(super) fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn oldest_age(&self) -> Option<Duration> {
        let oldest = self.oldest.load(SeqCst);
        let age = Duration::from_micros(micros_since_1970(SystemTime::now()).saturating_sub(oldest));
        (oldest > 0).then_some(age)
    }

    pub(super) fn health(&self, is_closed: bool) -> SinkHealth {
        let busy_since = self.busy_since.load(SeqCst);
        if is_closed {
            SinkHealth::Stopped
        } else if busy_since > 0 && self.now().saturating_sub(busy_since) > millis(self.stalled_after) {
            SinkHealth::Stalled
        } else if self.is_away.load(SeqCst) && self.oldest.load(SeqCst) > 0 {
            // While there is nothing to write, nobody can know.
            SinkHealth::Unavailable
        } else {
            SinkHealth::Healthy
        }
    }
}
