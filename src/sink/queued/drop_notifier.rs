use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::time::millis;

use super::queue_full::QueueFull;

pub(super) type Observer = Arc<dyn Fn(QueueFull<'_>) + Send + Sync>;

/// The shortest time between two notifications.
const PERIOD: Duration = Duration::from_secs(60);

/// Notifies an observer of events that were dropped because the queue was full.
pub(super) struct DropNotifier {
    observer: Observer,
    /// Dropped events since the last notification.
    pending: AtomicU64,
    started: Instant,
    /// The time of the next notification, in milliseconds since `started`.
    due: AtomicU64,
}

impl DropNotifier {
    pub(super) fn new(observer: Observer) -> Self {
        Self { observer, pending: AtomicU64::new(0), started: Instant::now(), due: AtomicU64::new(0) }
    }

    /// Counts dropped events and notifies the observer if it is due.
    pub(super) fn add(&self, sink: &str, events: usize) {
        self.pending.fetch_add(events as u64, SeqCst);
        self.notify_if_due(sink);
    }

    pub(super) fn notify_if_due(&self, sink: &str) {
        if self.pending.load(SeqCst) == 0 {
            return;
        }
        let now = millis(self.started.elapsed());
        let due = self.due.load(SeqCst);
        let next = now.saturating_add(millis(PERIOD));
        if now >= due && self.due.compare_exchange(due, next, SeqCst, SeqCst).is_ok() {
            self.notify(sink);
        }
    }

    /// Notifies the observer of all events that it has not been notified of yet.
    pub(super) fn notify(&self, sink: &str) {
        let dropped = self.pending.swap(0, SeqCst);
        if dropped > 0 {
            // The observer is user code.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.observer)(QueueFull { sink, dropped })));
        }
    }
}
