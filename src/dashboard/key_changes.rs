use std::{sync::Mutex, time::SystemTime};

use crate::{analytics::QueryError, sync::lock};

use super::page_error::PageError;

/// The largest number of failures that are shown.
const MAX_FAILURES: usize = 10;

/// The activations and deactivations of keys that failed since the process started.
#[derive(Debug, Default)]
pub(crate) struct KeyChanges {
    /// The oldest first, at most one of a key.
    failures: Mutex<Vec<FailedKeyChange>>,
}

/// A change of a key that failed.
#[derive(Clone, Debug)]
pub(crate) struct FailedKeyChange {
    pub(crate) key: String,
    /// The change, such as `activate`.
    pub(crate) action: &'static str,
    pub(crate) time: SystemTime,
    /// A sentence for the reader.
    pub(crate) reason: String,
}

impl KeyChanges {
    /// Notes the result of a change, which replaces the earlier one of the key.
    pub(crate) fn end(&self, key: &str, action: &'static str, result: Result<(), QueryError>) {
        let reason = result.map_err(PageError::from).err().map(|error| error.message);
        let mut failures = lock(&self.failures);
        failures.retain(|failure| failure.key != key);
        let Some(reason) = reason else { return };
        failures.push(FailedKeyChange { key: key.to_owned(), action, time: SystemTime::now(), reason });
        let excess = failures.len().saturating_sub(MAX_FAILURES);
        failures.drain(..excess);
    }

    /// Returns the failures, the oldest first.
    pub(crate) fn failures(&self) -> Vec<FailedKeyChange> {
        lock(&self.failures).clone()
    }
}
