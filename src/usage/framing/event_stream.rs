use std::{borrow::Cow, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    body::json_scan::Roots,
    usage::{content::has_content, provider_error::described, response_report::ResponseReport, wire::scanner},
};

/// Largest frame that is read, in bytes. Bedrock's events take a few hundred bytes, and the format allows 16 MiB.
const MAX_FRAME_BYTES: usize = 1024 * 1024;
/// The total length, the length of the headers, and the checksum of both.
const PRELUDE_BYTES: usize = 12;
/// The prelude and the checksum of the frame.
const MIN_FRAME_BYTES: usize = PRELUDE_BYTES + 4;

/// Reads `application/vnd.amazon.eventstream`
/// ([encoding](https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html)).
///
/// Both checksums of every frame are verified. Nothing is read after a wrong one.
pub(in crate::usage) struct EventStream {
    frame: Vec<u8>,
    max_value_bytes: usize,
    is_broken: bool,
}

impl EventStream {
    pub(super) fn new(max_value_bytes: usize) -> Self {
        Self { frame: Vec::new(), max_value_bytes, is_broken: false }
    }

    pub(super) fn feed(&mut self, chunk: &[u8], report: &mut ResponseReport, now: Duration) {
        let mut rest = chunk;
        while !rest.is_empty() && !self.is_broken {
            let wanted = self.wanted_bytes();
            let (part, after) = rest.split_at(wanted.saturating_sub(self.frame.len()).min(rest.len()));
            self.frame.extend_from_slice(part);
            rest = after;
            if self.frame.len() == PRELUDE_BYTES {
                self.is_broken = !is_valid_prelude(&self.frame);
            } else if self.frame.len() > PRELUDE_BYTES && self.frame.len() == wanted {
                self.is_broken = self.read_frame(report, now).is_none();
                self.frame.clear();
            }
        }
        if self.is_broken {
            // The counts so far may be incomplete.
            report.usage.clear();
            report.metrics.clear();
            report.is_unparsed = true;
        }
    }

    /// Returns the length of the current frame, or that of the prelude while it is incomplete.
    fn wanted_bytes(&self) -> usize {
        if self.frame.len() < PRELUDE_BYTES { PRELUDE_BYTES } else { number(&self.frame, 0).unwrap_or(MIN_FRAME_BYTES) }
    }

    fn read_frame(&self, report: &mut ResponseReport, now: Duration) -> Option<()> {
        let frame = &*self.frame;
        let (body, checksum) = frame.split_last_chunk::<4>()?;
        if crc32fast::hash(body) != u32::from_be_bytes(*checksum) {
            return None;
        }
        let headers_len = number(frame, 4)?;
        let headers = body.get(PRELUDE_BYTES..PRELUDE_BYTES + headers_len)?;
        let payload = body.get(PRELUDE_BYTES + headers_len..)?;
        match text_header(headers, ":message-type") {
            Some(b"event") | None => {}
            Some(_) => {
                let kind = text_header(headers, ":exception-type").or_else(|| text_header(headers, ":error-code"));
                let kind = kind.map(|kind| String::from_utf8_lossy(kind).into_owned());
                let message = serde_json::from_slice::<Exception>(payload).ok().and_then(|exception| exception.message);
                report.set_error(described(kind, message));
            }
        }
        // `InvokeModel` wraps the model's own events.
        let wrapped = serde_json::from_slice::<Wrapped<'_>>(payload).ok().and_then(|wrapped| wrapped.bytes);
        let unwrapped = wrapped.and_then(|bytes| STANDARD.decode(bytes.as_bytes()).ok());
        let document = unwrapped.as_deref().unwrap_or(payload);
        scanner(Roots::One, self.max_value_bytes).feed(document, report, |_| true);
        report.clear_document();
        match text_header(headers, ":event-type") {
            Some(b"messageStart") => report.announces_end = true,
            Some(b"metadata") => {
                report.is_final = true;
                report.mark_end();
            }
            _ => {}
        }
        if report.first_token.is_none() && has_content(document) {
            report.first_token = Some(now);
        }
        Some(())
    }

    /// Completes the report when the stream is over.
    pub(super) fn end(&self, report: &mut ResponseReport) {
        report.is_unparsed |= !self.frame.is_empty() && report.usage.is_empty();
    }
}

#[derive(Deserialize)]
struct Exception {
    #[serde(alias = "Message")]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    bytes: Option<Cow<'a, str>>,
}

fn is_valid_prelude(prelude: &[u8]) -> bool {
    let total = number(prelude, 0).unwrap_or_default();
    let headers = number(prelude, 4).unwrap_or_default();
    let checksum = number(prelude, 8).unwrap_or_default();
    let lengths = prelude.get(..8).unwrap_or_default();
    (MIN_FRAME_BYTES..=MAX_FRAME_BYTES).contains(&total)
        && headers <= total - MIN_FRAME_BYTES
        && u32::try_from(checksum).is_ok_and(|checksum| checksum == crc32fast::hash(lengths))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}

/// Returns the value of a string header.
fn text_header<'h>(headers: &'h [u8], wanted: &str) -> Option<&'h [u8]> {
    let mut rest = headers;
    while let Some((name_len, after)) = rest.split_first() {
        let (name, after) = after.split_at_checked(usize::from(*name_len))?;
        let (kind, after) = after.split_first()?;
        let (value, after) = match kind {
            // true, false
            0 | 1 => (&[][..], after),
            // byte, short, integer, long, timestamp, UUID
            2 => after.split_at_checked(1)?,
            3 => after.split_at_checked(2)?,
            4 => after.split_at_checked(4)?,
            5 | 8 => after.split_at_checked(8)?,
            9 => after.split_at_checked(16)?,
            // bytes and string, after their length
            6 | 7 => {
                let (len, after) = after.split_first_chunk::<2>()?;
                after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?
            }
            _ => return None,
        };
        if name == wanted.as_bytes() && *kind == 7 {
            return Some(value);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{EventStream, ResponseReport};

    /// Encodes a frame with the header `:event-type`.
    fn frame(kind: &str, payload: &str) -> Vec<u8> {
        let mut headers = vec![11];
        headers.extend(b":event-type");
        headers.extend([7, 0, u8::try_from(kind.len()).unwrap()]);
        headers.extend(kind.as_bytes());
        let total = 12 + headers.len() + payload.len() + 4;
        let mut frame = Vec::new();
        frame.extend(u32::try_from(total).unwrap().to_be_bytes());
        frame.extend(u32::try_from(headers.len()).unwrap().to_be_bytes());
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        frame.extend(headers);
        frame.extend(payload.as_bytes());
        frame.extend(crc32fast::hash(&frame).to_be_bytes());
        frame
    }

    fn read<'c, I: IntoIterator<Item = &'c [u8]>>(chunks: I) -> ResponseReport {
        let (mut events, mut report) = (EventStream::new(1024), ResponseReport::default());
        for chunk in chunks {
            events.feed(chunk, &mut report, Duration::from_secs(1));
        }
        events.end(&mut report);
        report
    }

    fn stream() -> Vec<u8> {
        let mut stream = frame("contentBlockDelta", r#"{"delta":{"text":"Hi"}}"#);
        stream.extend(frame("metadata", r#"{"usage":{"inputTokens":5,"outputTokens":2}}"#));
        stream
    }

    #[test]
    fn reads_the_same_however_the_stream_is_cut() {
        let stream = stream();
        for size in 1..=stream.len() {
            let report = read(stream.chunks(size));
            assert_eq!(report.usage["inputTokens"], 5, "chunks of {size}");
            assert!(report.is_final && !report.is_unparsed && report.first_token.is_some(), "chunks of {size}");
        }
    }

    #[test]
    fn discards_the_counts_of_a_corrupt_stream() {
        for at in 0..stream().len() {
            let mut stream = stream();
            stream[at] ^= 1;
            let report = read(stream.chunks(7));
            assert!(report.is_unparsed && report.usage.is_empty(), "byte {at}");
        }
    }

    #[test]
    fn reports_a_stream_that_is_cut_off() {
        let stream = stream();
        assert!(read(stream[..20].chunks(20)).is_unparsed);
    }
}
