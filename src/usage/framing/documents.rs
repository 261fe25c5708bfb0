use std::time::Duration;

use crate::{
    body::json_scan::Roots,
    usage::{
        content::{MAX_CONTENT_BYTES, has_content},
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
    /// The last byte was a line feed.
    at_line_start: bool,
    /// A line is not a document.
    has_broken_line: bool,
    /// The beginning of the current document, until the first content.
    text: Vec<u8>,
}

impl Documents {
    /// Creates a reader for documents that are one line each.
    ///
    /// A line that is not a document does not affect other lines. Documents of several lines are read too, unless one of
    /// their lines begins with a brace.
    pub(super) fn lines(max_value_bytes: usize) -> Self {
        Self { are_lines: true, ..Self::sequence(max_value_bytes) }
    }

    /// Creates a reader for documents that follow each other or are in an array.
    pub(super) fn sequence(max_value_bytes: usize) -> Self {
        Self {
            scanner: scanner(Roots::Many, max_value_bytes),
            are_lines: false,
            at_line_start: true,
            has_broken_line: false,
            text: Vec::new(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], report: &mut ResponseReport, now: Duration) {
        if self.are_lines {
            for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                self.line_part(line, report);
            }
        } else {
            self.scanner.feed(bytes, report, |_| true);
        }
        if report.first_token.is_none() {
            self.look_for_content(bytes, report, now);
        }
    }

    /// Reads a part of a line.
    fn line_part(&mut self, part: &[u8], report: &mut ResponseReport) {
        let begins_document = self.at_line_start && part.starts_with(b"{");
        if begins_document && !self.scanner.is_between_documents() {
            self.skip_broken(report);
        }
        self.scanner.feed(part, report, |_| true);
        self.at_line_start = part.ends_with(b"\n");
        if self.at_line_start && self.scanner.is_broken() {
            self.skip_broken(report);
        }
    }

    /// Starts over after something that is not a document.
    fn skip_broken(&mut self, report: &mut ResponseReport) {
        self.has_broken_line = true;
        self.scanner.restart();
        report.clear_document();
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
        let is_incomplete = self.scanner.documents() == 0 || !self.scanner.is_between_documents();
        report.is_unparsed |= (is_incomplete || self.has_broken_line) && report.usage.is_empty();
        // Nothing after this point was read.
        report.is_unparsed |= !self.are_lines && self.scanner.is_broken();
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
    fn a_broken_line_does_not_affect_the_others_however_the_body_is_cut() {
        let good = ["{\"model\":\"m\",\"response\":\"Hi\"}", "{\"done\":true,\"eval_count\":7}"];
        let broken = [
            "not json",
            "warning: low memory {",
            "\"text\"",
            "]}",
            "{\"response\":\"cut",
            "{\"response\":{\"a\":[1,",
            "{\"response\":",
            "{",
            "{\"eval_count\":9",
            "",
            "\r",
        ];
        for line in broken {
            for at in 0..2 {
                let mut lines = good.to_vec();
                lines.insert(at, line);
                let text = format!("{}\n", lines.join("\n"));
                for size in 1..=text.len() {
                    let report = read(Documents::lines(1024), &text.as_bytes().chunks(size).collect::<Vec<_>>());
                    assert_eq!(report.usage.get("eval_count"), Some(&7.into()), "{text} in chunks of {size}");
                    assert!(
                        report.is_final && !report.is_unparsed && report.has_end_marker,
                        "{text} in chunks of {size}"
                    );
                    assert_eq!(report.model.as_deref(), Some("m"), "{text} in chunks of {size}");
                }
            }
        }
    }

    #[test]
    fn usage_that_may_be_in_a_broken_line_is_unparsed() {
        for last in ["{\"done\":true,\"eval_count\":7", "{\"done\":true,\"eval_count\":7\n", "oops\n", "oops"] {
            let text = format!("{{\"model\":\"m\"}}\n{last}");
            for size in 1..=text.len() {
                let report = read(Documents::lines(1024), &text.as_bytes().chunks(size).collect::<Vec<_>>());
                assert!(report.is_unparsed && report.usage.is_empty(), "{text} in chunks of {size}");
            }
        }
    }

    #[test]
    fn reads_documents_of_several_lines() {
        let text = "{\n  \"model\": \"m\",\n  \"eval_count\": 7,\n  \"message\": {\n    \"a\": 1\n  }\n}\n";
        for size in 1..=text.len() {
            let report = read(Documents::lines(1024), &text.as_bytes().chunks(size).collect::<Vec<_>>());
            assert_eq!(report.usage["eval_count"], 7, "chunks of {size}");
        }
    }

    #[test]
    fn reports_a_body_that_is_not_json() {
        assert!(read(Documents::lines(1024), &[b"not json\n"]).is_unparsed);
        assert!(read(Documents::lines(1024), &[b""]).is_unparsed);
    }
}
