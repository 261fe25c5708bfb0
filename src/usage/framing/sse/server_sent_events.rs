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
    /// The first bytes of the current line, until its field is known, or the beginning of a line without one.
    name: Vec<u8>,
    /// The length of the current line so far.
    line_bytes: usize,
    /// The current event has data.
    has_data: bool,
    /// The first bytes of its data.
    start: Vec<u8>,
    /// The beginning of its data.
    text: Vec<u8>,
    /// The length of the longest line of the current event.
    longest_line: usize,
    /// The number of documents in earlier events.
    documents: usize,
    /// The number of events that are still searched for the model.
    head_events_left: usize,
    /// A part of the stream that may have reported usage could not be read.
    has_lost_part: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// The field is not known yet.
    Start,
    /// Data. A space after the colon does not belong to it.
    Data { at_start: bool },
    /// A comment, or the field `event`, `id`, or `retry`.
    Other,
    /// A line without a field.
    Broken,
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
const DONE: &[u8] = b"[DONE]";

impl ServerSentEvents {
    pub(in crate::usage::framing) fn new(max_value_bytes: usize) -> Self {
        Self {
            scanner: scanner(Roots::One, max_value_bytes),
            mark: 0,
            after_return: false,
            line: Line::Start,
            name: Vec::new(),
            line_bytes: 0,
            has_data: false,
            start: Vec::new(),
            text: Vec::new(),
            longest_line: 0,
            documents: 0,
            head_events_left: HEAD_EVENTS,
            has_lost_part: false,
        }
    }

    pub(in crate::usage::framing) fn feed(&mut self, chunk: &[u8], report: &mut ResponseReport, now: Duration) {
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
            if self.is_between_events() && is_line_end(*byte) {
                // A keep-alive may consist of line ends only.
                let line_ends = rest.iter().position(|byte| !is_line_end(*byte)).unwrap_or(rest.len());
                let (line_ends, after) = rest.split_at(line_ends);
                self.after_return = line_ends.ends_with(b"\r");
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
    pub(in crate::usage::framing) fn end(&mut self, report: &mut ResponseReport, now: Duration) {
        // The stream ended within the name of a field.
        self.has_lost_part |= self.line == Line::Start && !self.name.is_empty();
        if self.line == Line::Broken {
            self.end_line(report, now);
        }
        self.end_event(report, now);
        report.is_unparsed |= self.has_lost_part && report.usage.is_empty();
    }

    /// Returns `true` if the data of the current event is the end marker of OpenAI's format so far.
    pub(in crate::usage::framing) fn is_at_done(&self) -> bool {
        self.has_data && self.start.trim_ascii_end() == DONE
    }

    /// Returns `true` for whole events, none of which reports usage or the end of the stream.
    ///
    /// The result is the same as if they were read: broken events without a mark do not count, except for very long ones.
    fn can_skip(&self, chunk: &[u8], report: &ResponseReport) -> bool {
        self.is_between_events()
            && !self.after_return
            && self.mark == MARK.len()
            && !self.wants_head(report)
            && report.first_token.is_some()
            && (chunk.ends_with(b"\n\n") || chunk.ends_with(b"\r\n\r\n"))
            && !has_long_line(chunk)
            && !may_report_usage(chunk)
    }

    fn is_between_events(&self) -> bool {
        self.line == Line::Start && self.name.is_empty() && !self.has_data
    }

    fn wants_head(&self, report: &ResponseReport) -> bool {
        self.head_events_left > 0 && !report.has_head()
    }

    fn line_part(&mut self, part: &[u8], report: &mut ResponseReport) {
        const FIELD: &[u8] = b"data:";
        let mut part = part;
        self.line_bytes += part.len();
        self.longest_line = self.longest_line.max(self.line_bytes);
        if self.line == Line::Start {
            let wanted = FIELD.len() - self.name.len();
            let (name, after) = part.split_at(wanted.min(part.len()));
            self.name.extend_from_slice(name);
            part = after;
            if self.name == FIELD {
                self.line = Line::Data { at_start: true };
            } else if !FIELD.starts_with(&self.name) {
                let has_field = matches!(self.name.first(), Some(b':' | b'e' | b'i' | b'r'));
                self.line = if has_field { Line::Other } else { Line::Broken };
            }
        }
        if part.is_empty() {
            return;
        }
        match &mut self.line {
            Line::Data { at_start } => {
                let data = if std::mem::take(at_start) { part.strip_prefix(b" ").unwrap_or(part) } else { part };
                self.data(data, report);
            }
            Line::Broken => extend_within(&mut self.name, part, MAX_CONTENT_BYTES),
            Line::Start | Line::Other => {}
        }
    }

    fn end_line(&mut self, report: &mut ResponseReport, now: Duration) {
        match self.line {
            Line::Start if self.name.is_empty() => self.end_event(report, now),
            // The next line may continue the data.
            Line::Data { .. } => self.data(b"\n", report),
            Line::Broken => self.has_lost_part |= self.may_have_reported(&self.name),
            Line::Start | Line::Other => {}
        }
        self.line = Line::Start;
        self.line_bytes = 0;
        self.name.clear();
    }

    fn data(&mut self, data: &[u8], report: &mut ResponseReport) {
        self.has_data = true;
        extend_within(&mut self.start, data.trim_ascii_start(), DONE.len() + 1);
        extend_within(&mut self.text, data, MAX_CONTENT_BYTES);
        let wants_head = self.wants_head(report);
        self.scanner.feed(data, report, |_| wants_head);
    }

    fn end_event(&mut self, report: &mut ResponseReport, now: Duration) {
        if std::mem::take(&mut self.has_data) {
            self.head_events_left = self.head_events_left.saturating_sub(1);
            let is_document = self.scanner.documents() > self.documents;
            if self.start.trim_ascii_end() == DONE {
                report.is_final = true;
                report.mark_end();
            } else if !is_document && !self.start.is_empty() {
                self.has_lost_part |= self.may_have_reported(&self.text);
            }
            if report.first_token.is_none() && has_content(&self.text) {
                report.first_token = Some(now);
            }
            self.start.clear();
            self.text.clear();
            self.documents = self.scanner.documents();
            self.scanner.restart();
            report.clear_document();
        }
        self.longest_line = 0;
    }

    /// Returns `true` if something that could not be read may have reported usage.
    fn may_have_reported(&self, text: &[u8]) -> bool {
        self.documents == 0 || self.longest_line > MAX_CONTENT_BYTES || may_report_usage(text)
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Returns `true` if a line of the chunk is too long to be kept.
fn has_long_line(chunk: &[u8]) -> bool {
    chunk.len() > MAX_CONTENT_BYTES && chunk.split(|byte| is_line_end(*byte)).any(|line| line.len() > MAX_CONTENT_BYTES)
}

/// Appends bytes up to a total length.
fn extend_within(buffer: &mut Vec<u8>, bytes: &[u8], max_bytes: usize) {
    let room = max_bytes.saturating_sub(buffer.len());
    buffer.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
}
