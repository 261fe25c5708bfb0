use std::time::Duration;

use crate::{
    body::json_scan::Roots,
    usage::{
        content::{MAX_CONTENT_BYTES, has_content, may_report_usage},
        response_report::ResponseReport,
        wire::{ReportScanner, scanner},
    },
};

/// Longest name of a member with the white space around its colon, in bytes, by which content is recognized.
const MAX_MEMBER_BYTES: usize = 64;

/// Reads a body of several JSON documents.
pub(in crate::usage) struct Documents {
    scanner: ReportScanner,
    /// Each document is a line.
    are_lines: bool,
    /// The beginning of the current document, until the first content.
    text: Vec<u8>,
}

impl Documents {
    /// Creates a reader for documents that are one line each.
    pub(super) fn lines(max_value_bytes: usize) -> Self {
        Self { scanner: scanner(Roots::Many, max_value_bytes), are_lines: true, text: Vec::new() }
    }

    /// Creates a reader for documents that follow each other or are in an array.
    pub(super) fn sequence(max_value_bytes: usize) -> Self {
        Self { are_lines: false, ..Self::lines(max_value_bytes) }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], report: &mut ResponseReport, now: Duration) {
        if !self.can_skip(bytes, report) {
            let are_lines = self.are_lines;
            self.scanner.feed(bytes, report, |report| !are_lines || !report.has_head());
        }
        if report.first_token.is_none() {
            self.look_for_content(bytes, report, now);
        }
    }

    /// Returns `true` for whole lines, none of which reports usage.
    fn can_skip(&self, bytes: &[u8], report: &ResponseReport) -> bool {
        self.are_lines
            && self.scanner.is_between_documents()
            && bytes.ends_with(b"\n")
            && report.has_head()
            && report.first_token.is_some()
            && !may_report_usage(bytes)
    }

    fn look_for_content(&mut self, bytes: &[u8], report: &mut ResponseReport, now: Duration) {
        // Only the new bytes, and a member that may start before them: a document may come byte by byte.
        let start = self.text.len().saturating_sub(MAX_MEMBER_BYTES);
        let room = MAX_CONTENT_BYTES.saturating_sub(self.text.len());
        self.text.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if room > 0 && has_content(self.text.get(start..).unwrap_or_default()) {
            report.first_token = Some(now);
            self.text = Vec::new();
        } else if self.scanner.is_between_documents() {
            self.text.clear();
        }
    }

    pub(super) fn end(&self, report: &mut ResponseReport) {
        let is_empty = self.scanner.documents() == 0 && report.usage.is_empty();
        report.is_unparsed |= self.scanner.is_broken() || is_empty;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Documents, ResponseReport};

    fn read(mut documents: Documents, chunks: &[&[u8]]) -> ResponseReport {
        let mut report = ResponseReport::default();
        for chunk in chunks {
            documents.feed(chunk, &mut report, Duration::from_secs(1));
        }
        documents.end(&mut report);
        report
    }

    #[test]
    fn reads_lines_and_arrays_however_they_are_cut() {
        let lines = "{\"model\":\"m\",\"response\":\"Hi\"}\n{\"done\":true,\"eval_count\":7}\n";
        let array = "[{\"model\":\"m\",\"response\":\"Hi\"},\r\n{\"done\":true,\"eval_count\":7}]";
        for (text, is_lines) in [(lines, true), (array, false)] {
            for size in 1..=text.len() {
                let documents = if is_lines { Documents::lines(1024) } else { Documents::sequence(1024) };
                let report = read(documents, &text.as_bytes().chunks(size).collect::<Vec<_>>());
                assert_eq!(report.usage["eval_count"], 7, "{text} in chunks of {size}");
                assert!(report.is_final && !report.is_unparsed && report.first_token.is_some());
            }
        }
    }

    #[test]
    fn reports_a_body_that_is_not_json() {
        assert!(read(Documents::lines(1024), &[b"not json\n"]).is_unparsed);
        assert!(read(Documents::lines(1024), &[b""]).is_unparsed);
    }
}
