use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use crate::time::millis;

pub(super) type Observer = Arc<dyn Fn(QueueFull<'_>) + Send + Sync>;

/// Events were dropped because the queue of a sink was full.
#[derive(Clone, Copy, Debug)]
pub struct QueueFull<'a> {
    sink: &'a str,
    dropped: u64,
}

impl QueueFull<'_> {
    /// What the sink is called.
    pub fn sink(&self) -> &str {
        self.sink
    }

    /// How many events were dropped since the observer last heard of it.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// How often the observer hears of a full queue.
const PERIOD: Duration = Duration::from_secs(60);

/// What the observer has not heard of yet.
pub(super) struct Drops {
    observer: Observer,
    unobserved: AtomicU64,
    /// When it may hear next, in milliseconds since `started`.
    observe_at: AtomicU64,
    started: Instant,
}

impl Drops {
    pub(super) fn new(observer: Observer) -> Self {
        Self { observer, unobserved: AtomicU64::new(0), observe_at: AtomicU64::new(0), started: Instant::now() }
    }

    pub(super) fn add(&self, events: usize) {
        self.unobserved.fetch_add(events as u64, SeqCst);
    }

    /// Tells the observer, when it is time or nothing comes after.
    pub(super) fn tell(&self, sink: &str, at_end: bool) {
        if self.unobserved.load(SeqCst) == 0 {
            return;
        }
        let now = millis(self.started.elapsed());
        let due = self.observe_at.load(SeqCst);
        let next = now.saturating_add(millis(PERIOD));
        if at_end || (now >= due && self.observe_at.compare_exchange(due, next, SeqCst, SeqCst).is_ok()) {
            let full = QueueFull { sink, dropped: self.unobserved.swap(0, SeqCst) };
            // An observer that panics must not cost anybody anything.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.observer)(full)));
        }
    }
}
