use std::time::Duration;

use http::HeaderMap;
use serde_json::{Map, Value};

use crate::{
    body::json_scan::{JsonScanner, Roots},
    media::{is_json, media_type},
    text::{MAX_NAME_CHARS, truncated},
};

use super::{
    Money,
    coding::Decoder,
    eventstream::EventStreamReader,
    reading::{Field, Reading, has_content, scanner, speaks_of_usage},
    sse::SseReader,
};

/// Reads the body of a response.
pub(crate) enum Tap {
    /// A short body that is no stream, to be read once it is over, off the request path.
    Kept { body: Vec<u8>, headers: Option<Box<HeaderFacts>>, max_value_bytes: usize },
    /// One that is read as it passes.
    Passing(Box<BodyReader>),
}

/// Reads a body as it passes.
pub(crate) struct BodyReader {
    decoder: Decoder,
    framing: Framing,
    reading: Reading,
    is_stream: bool,
}

enum Framing {
    Json(JsonScanner<Field>),
    /// Documents behind each other, or in an array; in lines of their own if so.
    Documents {
        scanner: JsonScanner<Field>,
        are_lines: bool,
        /// The document at hand, as long as content is waited for.
        text: Vec<u8>,
    },
    Sse(Box<SseReader>),
    EventStream(EventStreamReader),
    /// Nothing that can be read.
    None,
}

/// Media types of documents in lines of their own; the last is that of Cohere v1.
const LINES: [&str; 4] = ["application/x-ndjson", "application/jsonl", "application/ndjson", "application/stream+json"];

/// Longest document that is searched for content, in bytes.
pub(super) const MAX_TEXT_BYTES: usize = 8 * 1024;

/// Longest member that is known for content by where it begins: its name, and white space around the colon.
const MAX_MEMBER_BYTES: usize = 64;

/// Longest body that is kept to be read later, in bytes. A longer one is read as it passes.
pub(super) const MAX_KEPT_BYTES: usize = 8 * 1024;

impl Tap {
    /// A tap for a response with these headers, that takes the buffer if it keeps the body. `may_stream` says that what looks
    /// like a document may be several.
    pub(super) fn new(headers: &HeaderMap, may_stream: bool, max_value_bytes: usize, buffer: &mut Vec<u8>) -> Self {
        let media_type = media_type(headers);
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
        let documents = |are_lines| {
            let scanner = scanner(Roots::Many, max_value_bytes);
            Framing::Documents { scanner, are_lines, text: Vec::new() }
        };
        let decoder = Decoder::for_headers(headers);
        let facts = HeaderFacts::read(headers);
        let framing = if is("text/event-stream") {
            Framing::Sse(Box::new(SseReader::new(max_value_bytes)))
        } else if is("application/vnd.amazon.eventstream") {
            Framing::EventStream(EventStreamReader::new(max_value_bytes))
        } else if LINES.into_iter().any(is) {
            documents(true)
        } else if is("application/json") && may_stream {
            documents(false)
        } else if is_json(media_type) || media_type.is_empty() || is("text/plain") {
            // Some send JSON without saying so.
            if decoder.as_ref().is_some_and(Decoder::is_identity) {
                return Self::Kept { body: std::mem::take(buffer), headers: facts, max_value_bytes };
            }
            Framing::Json(scanner(Roots::One, max_value_bytes))
        } else {
            Framing::None
        };
        // Audio and images say nothing of usage.
        let is_mute = || {
            [&b"audio/"[..], b"image/", b"video/"]
                .iter()
                .any(|kind| media_type.get(..kind.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(kind)))
        };
        let is_readable = decoder.is_some() && !matches!(framing, Framing::None);
        let is_stream = !matches!(framing, Framing::Json(_) | Framing::None);
        let framing = if is_readable { framing } else { Framing::None };
        let mut reader = BodyReader::new(decoder.unwrap_or_default(), framing, is_stream, facts);
        reader.reading.is_unparsed = !is_readable && !is_mute();
        Self::Passing(Box::new(reader))
    }

    /// Whether the first event that bears content is still to come, on a stream.
    pub(crate) fn waits_for_token(&self) -> bool {
        match self {
            Self::Kept { .. } => false,
            Self::Passing(reader) => reader.is_stream && reader.reading.first_token.is_none(),
        }
    }

    /// Reads no more: something can't be looked at.
    pub(crate) fn give_up(&mut self) {
        let (mut reader, _) = std::mem::take(self).into_reader();
        reader.give_up();
        *self = Self::Passing(reader);
    }

    /// Bytes of the body that are kept to be read later; `None` for one that is read as it passes.
    pub(super) fn kept_bytes(&self) -> Option<usize> {
        match self {
            Self::Kept { body, .. } => Some(body.capacity()),
            Self::Passing(_) => None,
        }
    }

    /// Looks at a piece of the body. `now` is the time since the request head.
    pub(crate) fn feed(&mut self, chunk: &[u8], now: Duration) {
        match self {
            Self::Kept { body, .. } if body.len() + chunk.len() <= MAX_KEPT_BYTES => body.extend_from_slice(chunk),
            Self::Kept { .. } => {
                let (reader, kept) = std::mem::take(self).into_reader();
                *self = Self::Passing(reader);
                self.feed(&kept, now);
                self.feed(chunk, now);
            }
            Self::Passing(reader) => reader.read(chunk, now),
        }
    }

    /// The reader of the body, and what was kept that it is still to read.
    fn into_reader(self) -> (Box<BodyReader>, Vec<u8>) {
        match self {
            Self::Kept { body, headers, max_value_bytes } => {
                (Box::new(BodyReader::kept(headers, max_value_bytes)), body)
            }
            Self::Passing(reader) => (reader, Vec::new()),
        }
    }

    /// What was read, once the body is over, whether it was a stream, and the buffer; `has_ended` says that the body came to
    /// its end.
    pub(super) fn finish(self, has_ended: bool, now: Duration) -> (Reading, bool, Vec<u8>) {
        match self {
            Self::Kept { body, headers, max_value_bytes } => {
                let mut reader = BodyReader::kept(headers, max_value_bytes);
                reader.read(&body, now);
                let (reading, is_stream) = reader.finish(has_ended, now);
                (reading, is_stream, body)
            }
            Self::Passing(reader) => {
                let (reading, is_stream) = reader.finish(has_ended, now);
                (reading, is_stream, Vec::new())
            }
        }
    }
}

impl Default for Tap {
    /// Of a body that nothing is wanted of.
    fn default() -> Self {
        Self::Kept { body: Vec::new(), headers: None, max_value_bytes: 0 }
    }
}

/// What the headers of a response say of the call.
#[derive(Debug, Default)]
pub(crate) struct HeaderFacts {
    /// Counts of Bedrock.
    pub(super) metrics: Map<String, Value>,
    /// The service tier of Bedrock or Gemini.
    pub(super) service_tier: Option<String>,
    /// Who serves what Hugging Face hands on.
    pub(super) inference_provider: Option<String>,
    /// A gateway answered from its cache.
    pub(super) is_from_cache: bool,
    /// The cost by LiteLLM.
    pub(super) cost: Option<Money>,
}

impl HeaderFacts {
    /// What there is; few responses have any.
    fn read(headers: &HeaderMap) -> Option<Box<Self>> {
        let mut facts: Option<Box<Self>> = None;
        for (name, value) in headers {
            let Some(fact) = Fact::of(name.as_str()) else { continue };
            let Some(text) = value.to_str().ok().map(str::trim).filter(|text| !text.is_empty()) else { continue };
            let name = || Some(truncated(text, MAX_NAME_CHARS).to_owned());
            let facts = facts.get_or_insert_default();
            match fact {
                Fact::Count(key) => {
                    if let Ok(count) = text.parse::<u64>() {
                        facts.metrics.insert(key.to_owned(), count.into());
                    }
                }
                Fact::ServiceTier => facts.service_tier = name(),
                Fact::InferenceProvider => facts.inference_provider = name(),
                Fact::Cost => facts.cost = text.parse().ok().and_then(Money::from_usd),
                // `SEMANTIC HIT` is one too.
                Fact::CacheStatus => facts.is_from_cache |= text.to_ascii_uppercase().ends_with("HIT"),
            }
        }
        facts
    }
}

/// What a header tells of.
enum Fact {
    /// A count, by its name in bodies.
    Count(&'static str),
    ServiceTier,
    InferenceProvider,
    CacheStatus,
    Cost,
}

impl Fact {
    fn of(header: &str) -> Option<Self> {
        Some(match header {
            "x-amzn-bedrock-input-token-count" => Self::Count("inputTokenCount"),
            "x-amzn-bedrock-output-token-count" => Self::Count("outputTokenCount"),
            "x-amzn-bedrock-cache-read-input-token-count" => Self::Count("cacheReadInputTokenCount"),
            "x-amzn-bedrock-cache-write-input-token-count" => Self::Count("cacheWriteInputTokenCount"),
            "x-amzn-bedrock-service-tier" | "x-gemini-service-tier" => Self::ServiceTier,
            "x-inference-provider" => Self::InferenceProvider,
            "x-litellm-response-cost" => Self::Cost,
            "cf-aig-cache-status" | "x-portkey-cache-status" | "helicone-cache" | "x-openrouter-cache-status" => {
                Self::CacheStatus
            }
            _ => return None,
        })
    }
}

impl BodyReader {
    fn new(decoder: Decoder, framing: Framing, is_stream: bool, headers: Option<Box<HeaderFacts>>) -> Self {
        Self { decoder, framing, reading: Reading::after_headers(headers), is_stream }
    }

    /// A reader for a body that was kept.
    fn kept(headers: Option<Box<HeaderFacts>>, max_value_bytes: usize) -> Self {
        Self::new(Decoder::default(), Framing::Json(scanner(Roots::One, max_value_bytes)), false, headers)
    }

    /// Reads no more: something can't be looked at.
    fn give_up(&mut self) {
        self.framing = Framing::None;
        self.decoder = Decoder::default();
        self.reading.is_unparsed = true;
    }

    fn read(&mut self, chunk: &[u8], now: Duration) {
        if matches!(self.framing, Framing::None) {
            return;
        }
        let Self { decoder, framing, reading, .. } = self;
        let is_sound = decoder.decode(chunk, |bytes| match framing {
            Framing::Json(scanner) => scanner.feed(bytes, &mut |field, value| reading.take(field, value, true)),
            Framing::Documents { scanner, are_lines, text } => {
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
                if reading.first_token.is_none() {
                    // Only what is new, and what may begin before it: a document may come byte by byte.
                    let start = text.len().saturating_sub(MAX_MEMBER_BYTES);
                    let room = MAX_TEXT_BYTES.saturating_sub(text.len());
                    text.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                    if room > 0 && has_content(text.get(start..).unwrap_or_default()) {
                        reading.first_token = Some(now);
                        *text = Vec::new();
                    } else if scanner.is_between_documents() {
                        text.clear();
                    }
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

    fn finish(self, has_ended: bool, now: Duration) -> (Reading, bool) {
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
