use std::time::Duration;

use memchr::memchr2;

use crate::{
    body::json_scan::Roots,
    usage::{
        content::{MAX_CONTENT_BYTES, has_content, may_report_usage},
        response_report::ResponseReport,
        wire::{ReportScanner, scanner},
    },
};

/// The number of events that are read completely to find the model.
const HEAD_EVENTS: usize = 4;

/// Reads a stream of server-sent events ([HTML, section 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html))
/// with line ends of all three kinds, a byte order mark, comments, and data over several lines.
pub(in crate::usage) struct ServerSentEvents {
    scanner: ReportScanner,
    /// The number of bytes of a byte order mark that were skipped. 3 once there can be none.
    mark: usize,
    /// The last byte was a carriage return. A line feed after it belongs to the same line end.
    after_return: bool,
    line: Line,
    /// The first bytes of the current line, until its field is known.
    name: Vec<u8>,
    /// The current event has data.
    has_data: bool,
    /// The first bytes of its data.
    start: Vec<u8>,
    /// Its data, until the first content.
    text: Vec<u8>,
    /// The number of events that are still searched for the model.
    head_events_left: usize,
    /// An event had data that is not a JSON document, or a line has no field.
    has_broken_event: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// The field is not known yet.
    Start,
    /// Data. A space after the colon does not belong to it.
    Data {
        at_start: bool,
    },
    Other,
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
const DONE: &[u8] = b"[DONE]";

impl ServerSentEvents {
    pub(super) fn new(max_value_bytes: usize) -> Self {
        Self {
            scanner: scanner(Roots::One, max_value_bytes),
            mark: 0,
            after_return: false,
            line: Line::Start,
            name: Vec::new(),
            has_data: false,
            start: Vec::new(),
            text: Vec::new(),
            head_events_left: HEAD_EVENTS,
            has_broken_event: false,
        }
    }

    pub(super) fn feed(&mut self, chunk: &[u8], report: &mut ResponseReport, now: Duration) {
        if self.can_skip(chunk, report) {
            return;
        }
        let mut rest = chunk;
        while let Some((byte, after)) = rest.split_first() {
            if self.mark < MARK.len() {
                if MARK.get(self.mark) == Some(byte) {
                    self.mark += 1;
                    rest = after;
                    continue;
                }
                self.mark = MARK.len();
            }
            if std::mem::take(&mut self.after_return) && *byte == b'\n' {
                rest = after;
                continue;
            }
            let end = memchr2(b'\n', b'\r', rest);
            let (part, from_end) = rest.split_at(end.unwrap_or(rest.len()));
            self.line_part(part, report);
            rest = from_end;
            if let Some((byte, after)) = from_end.split_first() {
                self.after_return = *byte == b'\r';
                self.end_line(report, now);
                rest = after;
            }
        }
    }

    /// Completes the report when the stream is over, with or without the blank line that should end the last event.
    pub(super) fn end(&mut self, report: &mut ResponseReport, now: Duration) {
        // The stream ended within the name of a field.
        self.has_broken_event |= self.line == Line::Start && !self.name.is_empty();
        self.end_event(report, now);
        report.is_unparsed |= self.has_broken_event && report.usage.is_empty();
    }

    /// Returns `true` for whole events, none of which reports usage or the end of the stream.
    fn can_skip(&self, chunk: &[u8], report: &ResponseReport) -> bool {
        let is_at_boundary = self.line == Line::Start && self.name.is_empty() && !self.has_data && !self.after_return;
        is_at_boundary
            && self.mark == MARK.len()
            && !self.wants_head(report)
            && report.first_token.is_some()
            && (chunk.ends_with(b"\n\n") || chunk.ends_with(b"\r\n\r\n"))
            && !may_report_usage(chunk)
    }

    fn wants_head(&self, report: &ResponseReport) -> bool {
        self.head_events_left > 0 && !report.has_head()
    }

    fn line_part(&mut self, part: &[u8], report: &mut ResponseReport) {
        const FIELD: &[u8] = b"data:";
        let mut part = part;
        if self.line == Line::Start {
            let wanted = FIELD.len() - self.name.len();
            let (name, after) = part.split_at(wanted.min(part.len()));
            self.name.extend_from_slice(name);
            part = after;
            if self.name == FIELD {
                self.line = Line::Data { at_start: true };
            } else if !FIELD.starts_with(&self.name) {
                self.line = Line::Other;
                // Comments, and the fields `event`, `id`, and `retry`.
                self.has_broken_event |= !matches!(self.name.first(), Some(b':' | b'e' | b'i' | b'r'));
            }
        }
        if let Line::Data { at_start } = &mut self.line
            && !part.is_empty()
        {
            let data = if std::mem::take(at_start) { part.strip_prefix(b" ").unwrap_or(part) } else { part };
            self.data(data, report);
        }
    }

    fn end_line(&mut self, report: &mut ResponseReport, now: Duration) {
        if self.line == Line::Start && self.name.is_empty() {
            self.end_event(report, now);
        } else if matches!(self.line, Line::Data { .. }) {
            // The next line may continue the data.
            self.data(b"\n", report);
        }
        self.line = Line::Start;
        self.name.clear();
    }

    fn data(&mut self, data: &[u8], report: &mut ResponseReport) {
        self.has_data = true;
        let room = (DONE.len() + 1).saturating_sub(self.start.len());
        self.start.extend(data.trim_ascii_start().iter().take(room));
        if report.first_token.is_none() {
            let room = MAX_CONTENT_BYTES.saturating_sub(self.text.len());
            self.text.extend(data.iter().take(room));
        }
        let wants_head = self.wants_head(report);
        self.scanner.feed(data, report, |_| wants_head);
    }

    fn end_event(&mut self, report: &mut ResponseReport, now: Duration) {
        if !std::mem::take(&mut self.has_data) {
            return;
        }
        self.head_events_left = self.head_events_left.saturating_sub(1);
        if self.start.trim_ascii_end() == DONE {
            report.is_final = true;
        } else if self.scanner.documents() == 0 && !self.start.is_empty() {
            self.has_broken_event = true;
        }
        if report.first_token.is_none() {
            if has_content(&self.text) {
                report.first_token = Some(now);
                self.text = Vec::new();
            } else {
                self.text.clear();
            }
        }
        self.start.clear();
        self.scanner.restart();
        report.clear_document();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ResponseReport, ServerSentEvents};

    fn read<'c, I: IntoIterator<Item = &'c [u8]>>(chunks: I) -> ResponseReport {
        let (mut events, mut report) = (ServerSentEvents::new(1024), ResponseReport::default());
        for chunk in chunks {
            events.feed(chunk, &mut report, Duration::from_secs(1));
        }
        events.end(&mut report, Duration::from_secs(2));
        report
    }

    const STREAM: &str = "\u{feff}: comment\r\nevent: a\rdata: {\"id\":\"1\",\"model\":\"m\"}\r\n\r\n\
        data:{\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n\
        data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":3}}\n\ndata: [DONE]\n\n";

    #[test]
    fn reads_the_same_however_the_stream_is_cut() {
        for size in 1..=STREAM.len() {
            let report = read(STREAM.as_bytes().chunks(size));
            assert_eq!(report.model.as_deref(), Some("m"), "chunks of {size}");
            assert_eq!(report.usage["prompt_tokens"], 3, "chunks of {size}");
            assert!(report.is_final && !report.is_unparsed, "chunks of {size}");
            assert_eq!(report.first_token, Some(Duration::from_secs(1)), "chunks of {size}");
        }
    }

    #[test]
    fn reads_a_last_event_without_a_blank_line() {
        let report = read([&b"data: {\"usage\":{\"prompt_tokens\":3}}"[..]]);
        assert_eq!(report.usage["prompt_tokens"], 3);
    }

    #[test]
    fn reports_data_that_is_not_json() {
        assert!(read([&b"data: <html>\n\n"[..]].into_iter()).is_unparsed);
        assert!(read([&b"<html>\n\n"[..]].into_iter()).is_unparsed);
        assert!(!read([&b": nothing but a comment\n\n"[..]].into_iter()).is_unparsed);
    }
}
