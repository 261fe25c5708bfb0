use std::sync::atomic::{AtomicU64, Ordering};

use super::LimitCounts;

/// The live form of [`LimitCounts`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) passed: Counter,
    pub(crate) rejected: Counter,
    pub(crate) shadowed: Counter,
    pub(crate) store_errors: Counter,
    pub(crate) unpriced: Counter,
    pub(crate) missing: Counter,
    pub(crate) unknown: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn read(&self, rule: &str) -> LimitCounts {
        let Self { passed, rejected, shadowed, store_errors, unpriced, missing, unknown } = self;
        LimitCounts {
            rule: rule.to_owned(),
            passed: passed.get(),
            rejected: rejected.get(),
            shadowed: shadowed.get(),
            store_errors: store_errors.get(),
            unpriced: unpriced.get(),
            missing: missing.get(),
            unknown: unknown.get(),
        }
    }
}
