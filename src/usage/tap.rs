use std::time::Duration;

use http::HeaderMap;

use crate::{
    json_scan::{JsonScanner, Roots},
    metadata::intake::{is_json, media_type},
};

use super::{
    coding::Decoder,
    eventstream::EventStreamReader,
    reading::{Field, Reading, has_content, scanner, speaks_of_usage},
    sse::SseReader,
};

/// Reads the body of a response as it passes.
pub(crate) struct Tap {
    decoder: Decoder,
    framing: Framing,
    reading: Reading,
    /// A short body that is no stream, to be read once it is over, off the request path.
    kept: Option<Vec<u8>>,
    is_stream: bool,
}

enum Framing {
    Json(JsonScanner<Field>),
    /// Documents behind each other, or in an array; in lines of their own if so.
    Documents {
        scanner: JsonScanner<Field>,
        are_lines: bool,
    },
    Sse(Box<SseReader>),
    EventStream(EventStreamReader),
    /// Nothing that can be read.
    None,
}

/// Longest body that is kept to be read later, in bytes. A longer one is read as it passes.
const MAX_KEPT_BYTES: usize = 8 * 1024;

impl Tap {
    /// A tap for a response with these headers. `may_stream` says that what looks like a document may be several.
    pub(super) fn new(headers: &HeaderMap, may_stream: bool, max_value_bytes: usize) -> Self {
        let media_type = media_type(headers);
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
        let json = |roots| scanner(roots, max_value_bytes);
        let framing = if is("text/event-stream") {
            Framing::Sse(Box::new(SseReader::new(max_value_bytes)))
        } else if is("application/vnd.amazon.eventstream") {
            Framing::EventStream(EventStreamReader::new(max_value_bytes))
        } else if is("application/x-ndjson") || is("application/jsonl") || is("application/ndjson") {
            Framing::Documents { scanner: json(Roots::Many), are_lines: true }
        } else if is("application/json") && may_stream {
            Framing::Documents { scanner: json(Roots::Many), are_lines: false }
        } else if is_json(media_type) || media_type.is_empty() || is("text/plain") {
            // Some send JSON without saying so.
            Framing::Json(json(Roots::One))
        } else {
            Framing::None
        };
        let decoder = Decoder::for_headers(headers);
        let is_plain = matches!(decoder, Some(Decoder::Identity));
        let is_readable = decoder.is_some() && !matches!(framing, Framing::None);
        let mut tap = Self {
            is_stream: !matches!(framing, Framing::Json(_) | Framing::None),
            kept: (is_plain && matches!(framing, Framing::Json(_))).then(Vec::new),
            framing: if is_readable { framing } else { Framing::None },
            decoder: decoder.unwrap_or(Decoder::Identity),
            reading: Reading::default(),
        };
        tap.reading.is_unparsed = !is_readable;
        tap.read_headers(headers);
        tap
    }

    /// Whether the first event that bears content is still to come, on a stream.
    pub(crate) fn waits_for_token(&self) -> bool {
        self.is_stream && self.reading.first_token.is_none()
    }

    /// Reads no more: something can't be looked at.
    pub(crate) fn give_up(&mut self) {
        self.kept = None;
        self.framing = Framing::None;
        self.decoder = Decoder::Identity;
        self.reading.is_unparsed = true;
    }

    /// Whether all of the body is kept, to be read later.
    pub(super) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Counts that Bedrock says in headers.
    fn read_headers(&mut self, headers: &HeaderMap) {
        for (name, key) in [
            ("x-amzn-bedrock-input-token-count", "inputTokenCount"),
            ("x-amzn-bedrock-output-token-count", "outputTokenCount"),
            ("x-amzn-bedrock-cache-read-input-token-count", "cacheReadInputTokenCount"),
            ("x-amzn-bedrock-cache-write-input-token-count", "cacheWriteInputTokenCount"),
        ] {
            let count = headers.get(name).and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
            if let Some(count) = count {
                self.reading.metrics.insert(key.to_owned(), count.into());
            }
        }
    }

    /// Looks at a piece of the body. `now` is the time since the request head.
    pub(crate) fn feed(&mut self, chunk: &[u8], now: Duration) {
        if let Some(kept) = &mut self.kept {
            if kept.len() + chunk.len() <= MAX_KEPT_BYTES {
                kept.extend_from_slice(chunk);
                return;
            }
            let kept = std::mem::take(kept);
            self.kept = None;
            self.read(&kept, now);
        }
        self.read(chunk, now);
    }

    fn read(&mut self, chunk: &[u8], now: Duration) {
        if matches!(self.framing, Framing::None) {
            return;
        }
        let Self { decoder, framing, reading, .. } = self;
        let is_sound = decoder.decode(chunk, |bytes| match framing {
            Framing::Json(scanner) => scanner.feed(bytes, &mut |field, value| reading.take(field, value, true)),
            Framing::Documents { scanner, are_lines } => {
                let can_skip = *are_lines
                    && scanner.is_between_documents()
                    && bytes.ends_with(b"\n")
                    && reading.has_head()
                    && reading.first_token.is_some()
                    && !speaks_of_usage(bytes);
                if !can_skip {
                    scanner.feed(bytes, &mut |field, value| {
                        let every_counts = !*are_lines || !reading.has_head();
                        reading.take(field, value, every_counts);
                    });
                }
                if reading.first_token.is_none() && has_content(bytes) {
                    reading.first_token = Some(now);
                }
            }
            Framing::Sse(reader) => reader.feed(bytes, reading, now),
            Framing::EventStream(reader) => reader.feed(bytes, reading, now),
            Framing::None => {}
        });
        if !is_sound {
            // What was handed out before the fault depends on how the body was cut.
            self.give_up();
            self.reading.break_off();
        }
    }

    /// Bytes of the body that are kept to be read later.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, Vec::capacity)
    }

    /// What was read, once the body is over; `has_ended` says that it came to its end.
    pub(super) fn finish(mut self, has_ended: bool, now: Duration) -> (Reading, bool) {
        if let Some(kept) = self.kept.take() {
            self.read(&kept, now);
        }
        let Self { framing, mut reading, .. } = self;
        match framing {
            Framing::Json(scanner) if scanner.documents() == 0 => reading.break_off(),
            Framing::Json(_) => reading.is_final = true,
            Framing::Documents { scanner, .. } => {
                reading.is_unparsed |= scanner.is_broken() || (scanner.documents() == 0 && reading.usage.is_empty());
            }
            Framing::Sse(mut reader) => reader.end(&mut reading, now),
            Framing::EventStream(reader) => reader.end(&mut reading),
            Framing::None => {}
        }
        reading.is_final |= has_ended && !reading.says_when_final;
        if !self.is_stream {
            reading.first_token = None;
        }
        (reading, self.is_stream)
    }
}
