use std::time::{Duration, SystemTime};

/// The state of the keys of a [`JwtVerifier`](super::JwtVerifier).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JwksStatus {
    /// The number of usable keys.
    pub keys: usize,
    /// The time at which the keys were last read without an error. `None` if they have never been.
    pub updated_at: Option<SystemTime>,
    /// The problem of the last attempt to read the keys. `None` if it succeeded.
    pub last_error: Option<String>,
    /// The number of attempts to read the keys.
    pub attempts: u64,
}

impl JwksStatus {
    /// Returns the age of the keys.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        self.updated_at.map(|time| now.duration_since(time).unwrap_or_default())
    }
}
