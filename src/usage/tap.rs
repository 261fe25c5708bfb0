use std::time::Duration;

use http::HeaderMap;

use crate::{body::ContentDecoder, media::media_type};

use super::{
    body_reader::BodyReader,
    framing::{Framing, begins_as_sse},
    header_report::HeaderReport,
    llm_endpoint::LlmEndpoint,
    operation::Operation,
    response_report::ResponseReport,
};

/// Longest body that is kept to be read later, in bytes. Longer bodies are read as they pass.
pub(super) const MAX_KEPT_BYTES: usize = 8 * 1024;

/// Observes the body of a response.
pub(crate) enum Tap {
    /// A short body that is not a stream. It is read after its end, away from the request path.
    Kept { body: Vec<u8>, headers: Option<Box<HeaderReport>>, max_value_bytes: usize },
    /// A body that is read as it passes.
    Passing(Box<BodyReader>),
}

impl Tap {
    /// Creates the tap for a response with these headers. It takes `buffer` if it keeps the body.
    pub(super) fn new(
        headers: &HeaderMap,
        endpoint: &LlmEndpoint,
        max_value_bytes: usize,
        buffer: &mut Vec<u8>,
    ) -> Self {
        let media_type = media_type(headers);
        let is_transcript = endpoint.operation == Operation::Transcription && is_text(media_type);
        let framing = match endpoint.stream {
            _ if is_transcript => Framing::Unreadable,
            may_stream => Framing::for_media_type(media_type, may_stream == Some(true), max_value_bytes),
        };
        let decoder = ContentDecoder::for_headers(headers);
        let headers = HeaderReport::read(headers);
        if framing.is_probably_json() && decoder.as_ref().is_some_and(ContentDecoder::is_identity) {
            return Self::Kept { body: std::mem::take(buffer), headers, max_value_bytes };
        }
        let is_stream = framing.is_stream();
        let is_readable = !matches!(framing, Framing::Unreadable);
        Self::Passing(Box::new(match decoder.filter(|_| is_readable) {
            Some(decoder) => BodyReader::new(decoder, framing, is_stream, headers),
            None => BodyReader::unreadable(is_stream, headers, !(is_transcript || carries_no_usage(media_type))),
        }))
    }

    /// Returns `true` for a stream without content so far.
    pub(crate) fn waits_for_token(&self) -> bool {
        match self {
            Self::Kept { .. } => false,
            Self::Passing(reader) => reader.awaits_first_token(),
        }
    }

    /// Returns `true` once the stream's own end marker was seen.
    pub(crate) fn has_end_marker(&self) -> bool {
        match self {
            Self::Kept { .. } => false,
            Self::Passing(reader) => reader.has_end_marker(),
        }
    }

    /// Reads no more, because some part of the body cannot be read.
    pub(crate) fn give_up(&mut self) {
        let (mut reader, _) = std::mem::take(self).into_reader();
        reader.give_up();
        *self = Self::Passing(reader);
    }

    /// Returns the capacity of a kept body, or `None` for one that is read as it passes.
    pub(super) fn kept_bytes(&self) -> Option<usize> {
        match self {
            Self::Kept { body, .. } => Some(body.capacity()),
            Self::Passing(_) => None,
        }
    }

    /// Observes a chunk of the body. `now` is the time since the request head.
    pub(crate) fn feed(&mut self, chunk: &[u8], now: Duration) {
        match self {
            Self::Kept { body, .. } if body.len() + chunk.len() <= MAX_KEPT_BYTES && !begins_stream(body, chunk) => {
                body.extend_from_slice(chunk);
            }
            Self::Kept { .. } => {
                let (reader, kept) = std::mem::take(self).into_reader();
                *self = Self::Passing(reader);
                self.feed(&kept, now);
                self.feed(chunk, now);
            }
            Self::Passing(reader) => reader.read(chunk, now),
        }
    }

    /// Returns the reader of the body, and the kept part that it has not read yet.
    fn into_reader(self) -> (Box<BodyReader>, Vec<u8>) {
        match self {
            Self::Kept { body, headers, max_value_bytes } => {
                (Box::new(BodyReader::probably_json(headers, max_value_bytes)), body)
            }
            Self::Passing(reader) => (reader, Vec::new()),
        }
    }

    /// Returns the report once the body is over, whether the body was a stream, and the buffer. `is_complete` means that the
    /// body came to its end.
    pub(super) fn finish(self, is_complete: bool, now: Duration) -> (ResponseReport, bool, Vec<u8>) {
        match self {
            Self::Kept { body, headers, max_value_bytes } => {
                let mut reader = BodyReader::probably_json(headers, max_value_bytes);
                reader.read(&body, now);
                let (report, is_stream) = reader.finish(is_complete, now);
                (report, is_stream, body)
            }
            Self::Passing(reader) => {
                let (report, is_stream) = reader.finish(is_complete, now);
                (report, is_stream, Vec::new())
            }
        }
    }
}

impl Default for Tap {
    /// Creates a tap for a body from which nothing is wanted.
    fn default() -> Self {
        Self::Kept { body: Vec::new(), headers: None, max_value_bytes: 0 }
    }
}

/// Returns `true` if the first chunk of a body shows that it is a stream, whose events have times.
fn begins_stream(body: &[u8], chunk: &[u8]) -> bool {
    body.is_empty() && begins_as_sse(chunk)
}

/// Returns `true` for texts, such as subtitles, but not for server-sent events.
fn is_text(media_type: &[u8]) -> bool {
    const SUBTITLES: [&str; 2] = ["application/x-subrip", "application/ttml+xml"];
    let is_event_stream = media_type.eq_ignore_ascii_case(b"text/event-stream");
    let is_text = media_type.get(..5).is_some_and(|begin| begin.eq_ignore_ascii_case(b"text/")) && !is_event_stream;
    is_text || SUBTITLES.iter().any(|name| media_type.eq_ignore_ascii_case(name.as_bytes()))
}

/// Returns `true` for media types whose bodies never report usage, so nothing is lost if they cannot be read.
fn carries_no_usage(media_type: &[u8]) -> bool {
    [&b"audio/"[..], b"image/", b"video/"]
        .iter()
        .any(|kind| media_type.get(..kind.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(kind)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, Request, header};

    use super::Tap;
    use crate::usage::{LlmEndpoint, Operation, Usage, response_report::ResponseReport, wire};

    fn read(content_type: &str, chunks: &[&str]) -> (ResponseReport, bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        let endpoint = LlmEndpoint::new("acme", Operation::Chat);
        let mut tap = Tap::new(&headers, &endpoint, 1024, &mut Vec::new());
        for chunk in chunks {
            tap.feed(chunk.as_bytes(), Duration::from_secs(1));
        }
        let (report, is_stream, _) = tap.finish(true, Duration::from_secs(2));
        (report, is_stream)
    }

    #[test]
    fn reads_a_long_body_as_it_passes() {
        let start = format!(r#"{{"text":"{}","#, "x".repeat(10_000));
        let (report, is_stream) = read("application/json", &[&start, r#""usage":{"prompt_tokens":3}}"#]);
        assert_eq!(report.usage["prompt_tokens"], 3);
        assert!(report.is_final && !is_stream);
    }

    #[test]
    fn only_bodies_that_could_report_usage_are_unparsed() {
        assert!(!read("audio/mpeg", &["ID3"]).0.is_unparsed);
        assert!(read("text/html", &["<html>"]).0.is_unparsed);
    }

    /// The format `wire/example.rs` is one file, and one entry in the list of formats.
    #[test]
    fn a_new_format_is_one_file_and_one_entry() {
        let request = Request::post("/v1/acme/acme-large/answers").body(()).unwrap();
        let endpoint = LlmEndpoint::detect(&request.into_parts().0).unwrap();
        assert_eq!(endpoint.operation(), &Operation::Chat);
        assert_eq!(endpoint.model.as_deref(), Some("acme-large"));
        assert_eq!(endpoint.default_provider, Some("acme"));

        let chunks = [
            "data: {\"type\":\"start\",\"acme_model\":\"acme-large-2\"}\n\n",
            "data: {\"utterance\":\"Hello\"}\n\n",
            "data: {\"utterance\":\" world\"}\n\n",
            "data: {\"type\":\"bill.final\",\"bill\":{\"words_in\":12,\"words_out\":2}}\n\n",
        ];
        let (report, is_stream) = read("text/event-stream", &chunks);
        assert!(is_stream && report.is_final);
        assert_eq!(report.first_token, Some(Duration::from_secs(1)));
        assert_eq!(report.model.as_deref(), Some("acme-large-2"));
        let normalized = wire::normalize(Some("acme"), report.model.as_deref(), Some(&Operation::Chat), &report);
        assert_eq!(normalized.usage, Usage::tokens(12, 2));
    }
}
