use std::sync::atomic::{AtomicU64, Ordering};

/// The counts of an API key, of a workspace, or of callers without a known key, since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyCounters {
    /// Requests.
    pub requests: u64,
    /// Tags of the client that a trusted tag shadows. A high number hints at spoofing.
    pub shadowed: u64,
    /// Tags of the client that the claims of the key do not allow.
    pub denied_claims: u64,
    /// Requests that were rejected.
    pub rejected: u64,
}

/// [`KeyCounters`] that are being counted.
#[derive(Debug, Default)]
pub(crate) struct LiveCounters {
    pub(crate) requests: AtomicU64,
    pub(crate) shadowed: AtomicU64,
    pub(crate) denied_claims: AtomicU64,
    pub(crate) rejected: AtomicU64,
}

impl LiveCounters {
    pub(crate) fn read(&self) -> KeyCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        KeyCounters {
            requests: read(&self.requests),
            shadowed: read(&self.shadowed),
            denied_claims: read(&self.denied_claims),
            rejected: read(&self.rejected),
        }
    }
}
