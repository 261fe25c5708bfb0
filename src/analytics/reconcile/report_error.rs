use std::{error, fmt};

/// The error returned when text is not a report of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportError {
    /// The expected content, and its place.
    expected: String,
}

impl ReportError {
    pub(super) fn new(expected: impl Into<String>) -> Self {
        Self { expected: expected.into() }
    }
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid report: {}", self.expected)
    }
}

impl error::Error for ReportError {}
