use serde::Serialize;

use super::ExportToken;

/// The result of an export that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExportSummary {
    /// The number of requests in the export.
    pub rows: u64,
    /// The SHA-256 of the uncompressed content, as 64 lowercase hex digits.
    ///
    /// If the export ends with a summary line, that line is not part of it.
    pub sha256: String,
    /// The place at which another export continues.
    ///
    /// `None` if the export has all requests.
    pub next: Option<ExportToken>,
}
