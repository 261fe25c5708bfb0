use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::load_counts::LoadCounts;

/// The largest number of queries that pages run at a time.
const MAX_QUERIES: usize = 2;

/// The slots of queries, and their counts.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    free: Arc<Semaphore>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    asked: AtomicU64,
    executed: AtomicU64,
    failed: AtomicU64,
    running: AtomicU64,
    most_running: AtomicU64,
}

/// The slot of a query that is executed.
pub(super) struct Slot {
    counts: Arc<Counts>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for Slots {
    fn default() -> Self {
        Self { free: Arc::new(Semaphore::new(MAX_QUERIES)), counts: Arc::default() }
    }
}

impl Slots {
    pub(super) fn ask(&self) {
        self.counts.asked.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits for a slot.
    pub(super) async fn take(&self) -> Slot {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        let running = self.counts.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.counts.most_running.fetch_max(running, Ordering::Relaxed);
        Slot { counts: Arc::clone(&self.counts), _permit: permit }
    }

    pub(super) fn counts(&self) -> LoadCounts {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LoadCounts {
            asked: count(&self.counts.asked),
            executed: count(&self.counts.executed),
            failed: count(&self.counts.failed),
            running: count(&self.counts.running),
            most_running: count(&self.counts.most_running),
        }
    }
}

impl Slot {
    /// Counts the query, which has ended, and frees the slot.
    pub(super) fn end(self, is_answered: bool) {
        self.counts.executed.fetch_add(1, Ordering::Relaxed);
        if !is_answered {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counts.running.fetch_sub(1, Ordering::Relaxed);
    }
}
