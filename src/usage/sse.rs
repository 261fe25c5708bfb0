use std::time::Duration;

use memchr::memchr2;

use crate::body::json_scan::{JsonScanner, Roots};

use super::{
    reading::{Field, Reading, has_content, scanner, speaks_of_usage},
    tap::MAX_TEXT_BYTES,
};

/// Reads a stream of server-sent events ([HTML, section 9.2](https://html.spec.whatwg.org/multipage/server-sent-events.html))
/// cut at any byte: line ends of all three kinds, a byte order mark, comments, data over several lines.
pub(super) struct SseReader {
    scanner: JsonScanner<Field>,
    /// How many bytes of a byte order mark were passed over; 3 once there can be none.
    mark: usize,
    /// A carriage return was the last byte: a line feed right behind it belongs to the same line end.
    after_return: bool,
    line: Line,
    /// The first bytes of the line at hand, until they tell its field.
    name: Vec<u8>,
    /// The event at hand has data.
    has_data: bool,
    /// The first bytes of its data.
    start: Vec<u8>,
    /// Its data, as long as content is waited for.
    text: Vec<u8>,
    /// Events that are looked at for what answers, before it is given up.
    head_events_left: usize,
    saw_broken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Its field is not known yet.
    Start,
    /// Data; a space right behind the colon does not belong to it.
    Data {
        at_start: bool,
    },
    Other,
}

const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
const DONE: &[u8] = b"[DONE]";

impl SseReader {
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
            head_events_left: 4,
            saw_broken: false,
        }
    }

    pub(super) fn feed(&mut self, chunk: &[u8], reading: &mut Reading, now: Duration) {
        if self.can_skip(chunk, reading) {
            return;
        }
        let mut rest = chunk;
        while let Some((byte, behind)) = rest.split_first() {
            if self.mark < MARK.len() {
                if MARK.get(self.mark) == Some(byte) {
                    self.mark += 1;
                    rest = behind;
                    continue;
                }
                self.mark = MARK.len();
            }
            if std::mem::take(&mut self.after_return) && *byte == b'\n' {
                rest = behind;
                continue;
            }
            let end = memchr2(b'\n', b'\r', rest);
            let (part, from_end) = rest.split_at(end.unwrap_or(rest.len()));
            self.line_part(part, reading);
            rest = from_end;
            if let Some((byte, behind)) = from_end.split_first() {
                self.after_return = *byte == b'\r';
                self.end_line(reading, now);
                rest = behind;
            }
        }
    }

    /// The stream is over, with or without the blank line that should end its last event.
    pub(super) fn end(&mut self, reading: &mut Reading, now: Duration) {
        self.end_event(reading, now);
        reading.is_unparsed |= self.saw_broken && reading.usage.is_empty();
    }

    /// Whether nothing in the chunk matters: whole events, none of which speaks of usage or of the end.
    fn can_skip(&self, chunk: &[u8], reading: &Reading) -> bool {
        let is_at_boundary = self.line == Line::Start && self.name.is_empty() && !self.has_data && !self.after_return;
        is_at_boundary
            && self.mark == MARK.len()
            && !self.wants_head(reading)
            && reading.first_token.is_some()
            && (chunk.ends_with(b"\n\n") || chunk.ends_with(b"\r\n\r\n"))
            && !speaks_of_usage(chunk)
    }

    fn wants_head(&self, reading: &Reading) -> bool {
        self.head_events_left > 0 && !reading.has_head()
    }

    fn line_part(&mut self, part: &[u8], reading: &mut Reading) {
        const FIELD: &[u8] = b"data:";
        let mut part = part;
        if self.line == Line::Start {
            let wanted = FIELD.len() - self.name.len();
            let (name, behind) = part.split_at(wanted.min(part.len()));
            self.name.extend_from_slice(name);
            part = behind;
            if self.name == FIELD {
                self.line = Line::Data { at_start: true };
            } else if !FIELD.starts_with(&self.name) {
                self.line = Line::Other;
            }
        }
        if let Line::Data { at_start } = &mut self.line
            && !part.is_empty()
        {
            let data = if std::mem::take(at_start) { part.strip_prefix(b" ").unwrap_or(part) } else { part };
            self.data(data, reading);
        }
    }

    fn end_line(&mut self, reading: &mut Reading, now: Duration) {
        if self.line == Line::Start && self.name.is_empty() {
            self.end_event(reading, now);
        } else if matches!(self.line, Line::Data { .. }) {
            // What follows is on another line of the same data.
            self.data(b"\n", reading);
        }
        self.line = Line::Start;
        self.name.clear();
    }

    fn data(&mut self, data: &[u8], reading: &mut Reading) {
        self.has_data = true;
        let room = (DONE.len() + 1).saturating_sub(self.start.len());
        self.start.extend(data.trim_ascii_start().iter().take(room));
        if reading.first_token.is_none() {
            let room = MAX_TEXT_BYTES.saturating_sub(self.text.len());
            self.text.extend(data.iter().take(room));
        }
        let every_counts = self.wants_head(reading);
        self.scanner.feed(data, &mut |field, value| reading.take(field, value, every_counts));
    }

    fn end_event(&mut self, reading: &mut Reading, now: Duration) {
        if !std::mem::take(&mut self.has_data) {
            return;
        }
        self.head_events_left = self.head_events_left.saturating_sub(1);
        if self.start.trim_ascii_end() == DONE {
            reading.is_final = true;
        } else if self.scanner.documents() == 0 && !self.start.is_empty() {
            self.saw_broken = true;
        }
        if reading.first_token.is_none() {
            if has_content(&self.text) {
                reading.first_token = Some(now);
                self.text = Vec::new();
            } else {
                self.text.clear();
            }
        }
        self.start.clear();
        self.scanner.restart();
        reading.clear_document();
    }
}
