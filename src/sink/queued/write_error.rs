use std::{error::Error, fmt};

use super::write_error_kind::WriteErrorKind;

/// The error returned when a [`BatchWriter`](super::BatchWriter) did not write all events of a batch.
#[derive(Debug)]
pub struct WriteError {
    written: usize,
    rejected: usize,
    kind: WriteErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

impl WriteError {
    /// Creates a final error: no event was written, and another attempt would not help.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { written: 0, rejected: 0, kind: WriteErrorKind::Final, source: source.into() }
    }

    /// Creates a retryable error.
    ///
    /// No event was written, but the same batch may succeed later.
    pub fn retryable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: WriteErrorKind::Retryable, ..Self::new(source) }
    }

    /// Creates an error for a batch with an event that can never be stored.
    ///
    /// No event was written.
    pub fn rejected(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: WriteErrorKind::Rejected, ..Self::new(source) }
    }

    /// Creates an error for a batch that the destination accepted except for some events.
    ///
    /// `events` of them were dropped, and it is not known which. The others count as delivered, and none is written
    /// again. With 0, all count as delivered, and the error is a warning.
    pub fn partly_rejected(events: usize, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind: WriteErrorKind::PartlyRejected, rejected: events, ..Self::new(source) }
    }

    /// Sets how many events were written before the error, counted from the first.
    #[must_use]
    pub fn after(mut self, written: usize) -> Self {
        self.written = written;
        self
    }

    /// Returns how many events were written, counted from the first.
    pub fn written(&self) -> usize {
        self.written
    }

    /// Returns how many events the destination [rejected](Self::partly_rejected) of a batch that it accepted.
    pub fn rejected_events(&self) -> usize {
        self.rejected
    }

    /// Returns what to do with the other events.
    pub fn kind(&self) -> WriteErrorKind {
        self.kind
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.written > 0 {
            write!(f, "{} events were written, then: ", self.written)?;
        }
        self.source.fmt(f)
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
