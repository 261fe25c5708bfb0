use super::{ExportSummary, ExportToken};

/// What a running export has returned so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) token: Option<ExportToken>,
    pub(super) summary: Option<ExportSummary>,
}
