use super::{ExportSummary, ExportToken};

/// The state of a running export.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) rows: u64,
    pub(super) token: Option<ExportToken>,
    pub(super) summary: Option<ExportSummary>,
}
