use std::collections::BTreeSet;

use crate::analytics::RowQuery;

use super::{Compression, ExportFormat, ExportToken, denied_fields::DeniedFields};

/// The content and the form of an export.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) query: RowQuery,
    pub(super) format: ExportFormat,
    pub(super) compression: Compression,
    pub(super) columns: Option<BTreeSet<String>>,
    pub(super) keys: Option<Vec<String>>,
    pub(super) denied: DeniedFields,
    pub(super) token: Option<ExportToken>,
    pub(super) max_rows: u64,
    pub(super) has_summary_line: bool,
}

impl Settings {
    pub(super) fn new(query: RowQuery) -> Self {
        Self {
            query,
            format: ExportFormat::default(),
            compression: Compression::default(),
            columns: None,
            keys: None,
            denied: DeniedFields::default(),
            token: None,
            max_rows: u64::MAX,
            has_summary_line: false,
        }
    }

    /// Returns the name of a file.
    pub(super) fn file_name(&self) -> String {
        format!("requests.{}{}", self.format, self.compression.suffix())
    }
}
