use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{write_error::WriteError, write_error_kind::WriteErrorKind};

/// A failed attempt to write events.
#[derive(Debug)]
pub(super) struct Failure {
    /// Events that were written nevertheless, counted from the first.
    pub(super) written: usize,
    /// Events that the destination dropped of those that it accepted.
    pub(super) rejected: usize,
    pub(super) kind: WriteErrorKind,
    pub(super) is_panic: bool,
    text: String,
}

impl Failure {
    /// Creates the failure of a writer that panicked. The event that it panicked at is found like a rejected one.
    pub(super) fn panic() -> Self {
        let text = "the writer panicked".to_owned();
        Self { written: 0, rejected: 0, kind: WriteErrorKind::Rejected, is_panic: true, text }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        // The error is formatted by user code.
        let text = catch_unwind(AssertUnwindSafe(|| error.to_string())).unwrap_or_default();
        Self { written: error.written(), rejected: error.rejected_events(), kind: error.kind(), is_panic: false, text }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
