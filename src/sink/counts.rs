use std::sync::atomic::{AtomicU64, Ordering};

use super::{drop_reason::DropReason, sink_report::SinkReport};

/// Counters for the events of one sink.
///
/// Count each event once with [`accept`](Self::accept), and later once with [`deliver`](Self::deliver) or
/// [`drop_for`](Self::drop_for). [`report`](Self::report) then satisfies
/// `accepted = delivered + dropped + in_flight` on any thread and at any time. Counting takes no lock.
///
/// See [`DeliverySource`](super::DeliverySource) for a sink that uses it.
#[derive(Debug, Default)]
pub struct Counts {
    accepted: AtomicU64,
    delivered: AtomicU64,
    dropped: [AtomicU64; DropReason::ALL.len()],
    retried: AtomicU64,
}

impl Counts {
    /// Creates counters at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts an event as accepted. Call this before the event is delivered or dropped.
    pub fn accept(&self) {
        self.accept_all(1);
    }

    pub(super) fn accept_all(&self, events: u64) {
        self.accepted.fetch_add(events, Ordering::Release);
    }

    /// Counts events as delivered.
    pub fn deliver(&self, events: usize) {
        self.delivered.fetch_add(events as u64, Ordering::Release);
    }

    /// Counts events as dropped.
    pub fn drop_for(&self, reason: DropReason, events: usize) {
        if let Some(count) = self.dropped.get(reason as usize) {
            count.fetch_add(events as u64, Ordering::Release);
        }
    }

    /// Counts events that are written again after a failure.
    pub fn retry(&self, events: usize) {
        self.retried.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// Returns the counts as the report of a healthy sink.
    pub fn report(&self, name: &str) -> SinkReport {
        let mut report = SinkReport::new(name);
        // What became of events is read before their arrival, so that no event is delivered before it was accepted.
        for (reason, count) in DropReason::ALL.iter().zip(&self.dropped) {
            let count = count.load(Ordering::Acquire);
            if count > 0 {
                report.drops.insert(*reason, count);
            }
        }
        report.delivered = self.delivered.load(Ordering::Acquire);
        report.accepted = self.accepted.load(Ordering::Acquire);
        report.retried = self.retried.load(Ordering::Relaxed);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::{Counts, DropReason};

    #[test]
    fn every_reason_has_its_own_counter() {
        let counts = Counts::new();
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            counts.accept();
            counts.drop_for(*reason, index + 1);
            assert_eq!(counts.report("test").dropped_for(*reason), index as u64 + 1);
        }
    }

    #[test]
    fn reports_omit_reasons_that_did_not_occur() {
        let counts = Counts::new();
        counts.accept();
        counts.drop_for(DropReason::Closed, 1);
        assert_eq!(counts.report("test").drops.into_iter().collect::<Vec<_>>(), [(DropReason::Closed, 1)]);
    }
}
