use crate::{
    body::json_scan::Roots,
    usage::{
        response_report::ResponseReport,
        wire::{ReportScanner, scanner},
    },
};

/// Reads a body that is one JSON document.
pub(in crate::usage) struct Json {
    scanner: ReportScanner,
}

impl Json {
    pub(super) fn new(max_value_bytes: usize) -> Self {
        Self { scanner: scanner(Roots::One, max_value_bytes) }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], report: &mut ResponseReport) {
        self.scanner.feed(bytes, report, |_| true);
    }

    pub(super) fn end(&self, report: &mut ResponseReport) {
        if self.scanner.documents() == 0 {
            report.discard_body();
        } else {
            report.is_final = true;
        }
    }
}
