use super::tables::Tables;
use crate::{
    body::json_scan::{JsonScanner, Roots},
    usage::{field::Field, response_report::ResponseReport},
};

/// Finds the wanted members of response documents that arrive in chunks, and adds them to a report.
pub(in crate::usage) struct ReportScanner {
    json: JsonScanner<Field>,
    tables: &'static Tables,
}

impl ReportScanner {
    pub(super) fn new(tables: &'static Tables, roots: Roots, max_value_bytes: usize) -> Self {
        let json = JsonScanner::new(tables.wanted, roots, max_value_bytes).names_end(Field::DocumentEnd);
        Self { json, tables }
    }

    /// Reads a chunk. Documents without a mark only count while `every_document_counts` returns `true`.
    pub(in crate::usage) fn feed(
        &mut self,
        chunk: &[u8],
        report: &mut ResponseReport,
        every_document_counts: impl Fn(&ResponseReport) -> bool,
    ) {
        let tables = self.tables;
        self.json.feed(chunk, &mut |field, value| {
            let field = if matches!(field, Field::EventType) { tables.event(value) } else { field };
            let counts = every_document_counts(report);
            report.take(field, value, counts);
        });
    }

    /// Prepares for the next document and keeps the buffer.
    pub(in crate::usage) fn restart(&mut self) {
        self.json.restart();
    }

    /// Returns the number of complete documents.
    pub(in crate::usage) fn documents(&self) -> usize {
        self.json.documents()
    }

    pub(in crate::usage) fn is_between_documents(&self) -> bool {
        self.json.is_between_documents()
    }

    /// Returns `true` if the body is not JSON.
    pub(in crate::usage) fn is_broken(&self) -> bool {
        self.json.is_broken()
    }
}
