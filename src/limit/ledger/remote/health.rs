use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::circuit::Circuit;

/// The health of the server, as far as calls show it.
pub(super) struct Health {
    pub(super) circuit: Circuit,
    is_available: AtomicBool,
    errors: AtomicU64,
}

impl Health {
    pub(super) fn new() -> Self {
        Self { circuit: Circuit::default(), is_available: AtomicBool::new(true), errors: AtomicU64::new(0) }
    }

    pub(super) fn succeeded(&self) {
        self.is_available.store(true, Relaxed);
    }

    /// Counts calls that failed.
    pub(super) fn failed(&self, calls: usize) {
        self.is_available.store(false, Relaxed);
        self.errors.fetch_add(u64::try_from(calls).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn is_available(&self) -> bool {
        self.is_available.load(Relaxed)
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors.load(Relaxed)
    }
}
