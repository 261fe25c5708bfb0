use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::body::json_scan::Roots;

use super::reading::{Reading, has_content, scanner};

/// Largest frame that is read, in bytes: events of Bedrock are a few hundred, the format allows 16 MiB.
const MAX_FRAME_BYTES: usize = 1024 * 1024;
/// Total length, length of the headers, checksum of both.
const PRELUDE_BYTES: usize = 12;
/// The prelude and the checksum of the whole.
const LEAST_BYTES: usize = PRELUDE_BYTES + 4;

/// Reads `application/vnd.amazon.eventstream`
/// ([encoding](https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html)) cut at any byte. Both checksums of
/// every frame are checked; after a wrong one nothing is read any more.
pub(super) struct EventStreamReader {
    frame: Vec<u8>,
    max_value_bytes: usize,
    is_broken: bool,
}

impl EventStreamReader {
    pub(super) fn new(max_value_bytes: usize) -> Self {
        Self { frame: Vec::new(), max_value_bytes, is_broken: false }
    }

    pub(super) fn feed(&mut self, chunk: &[u8], reading: &mut Reading, now: Duration) {
        let mut rest = chunk;
        while !rest.is_empty() && !self.is_broken {
            let wanted = self.wanted();
            let (part, behind) = rest.split_at(wanted.saturating_sub(self.frame.len()).min(rest.len()));
            self.frame.extend_from_slice(part);
            rest = behind;
            if self.frame.len() == PRELUDE_BYTES {
                self.is_broken = !is_sound_prelude(&self.frame);
            } else if self.frame.len() > PRELUDE_BYTES && self.frame.len() == wanted {
                self.is_broken = self.read_frame(reading, now).is_none();
                self.frame.clear();
            }
        }
        if self.is_broken {
            // What was counted before may not be the whole.
            reading.usage.clear();
            reading.metrics.clear();
            reading.is_unparsed = true;
        }
    }

    /// How long the frame at hand is, as far as it is known.
    fn wanted(&self) -> usize {
        if self.frame.len() < PRELUDE_BYTES { PRELUDE_BYTES } else { number(&self.frame, 0).unwrap_or(LEAST_BYTES) }
    }

    fn read_frame(&self, reading: &mut Reading, now: Duration) -> Option<()> {
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
            Some(_) => reading.is_error = true,
        }
        // InvokeModel wraps the model's own events.
        let wrapped = serde_json::from_slice::<Wrapped<'_>>(payload).ok().and_then(|wrapped| wrapped.bytes);
        let unwrapped = wrapped.and_then(|bytes| STANDARD.decode(bytes.as_bytes()).ok());
        let document = unwrapped.as_deref().unwrap_or(payload);
        scanner(Roots::One, self.max_value_bytes).feed(document, &mut |field, value| reading.take(field, value, true));
        reading.clear_document();
        reading.is_final |= text_header(headers, ":event-type") == Some(b"metadata");
        if reading.first_token.is_none() && has_content(document) {
            reading.first_token = Some(now);
        }
        Some(())
    }

    /// The stream is over.
    pub(super) fn end(&self, reading: &mut Reading) {
        reading.is_unparsed |= !self.frame.is_empty() && reading.usage.is_empty();
    }
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    bytes: Option<std::borrow::Cow<'a, str>>,
}

fn is_sound_prelude(prelude: &[u8]) -> bool {
    let total = number(prelude, 0).unwrap_or_default();
    let headers = number(prelude, 4).unwrap_or_default();
    let checksum = number(prelude, 8).unwrap_or_default();
    let lengths = prelude.get(..8).unwrap_or_default();
    (LEAST_BYTES..=MAX_FRAME_BYTES).contains(&total)
        && headers <= total - LEAST_BYTES
        && u32::try_from(checksum).is_ok_and(|checksum| checksum == crc32fast::hash(lengths))
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}

/// The value of a header that is text.
fn text_header<'h>(headers: &'h [u8], wanted: &str) -> Option<&'h [u8]> {
    let mut rest = headers;
    while let Some((name_len, behind)) = rest.split_first() {
        let (name, behind) = behind.split_at_checked(usize::from(*name_len))?;
        let (kind, behind) = behind.split_first()?;
        let (value, behind) = match kind {
            // true, false
            0 | 1 => (&[][..], behind),
            // A byte, a short, an integer, a long, a time stamp and a UUID.
            2 => behind.split_at_checked(1)?,
            3 => behind.split_at_checked(2)?,
            4 => behind.split_at_checked(4)?,
            5 | 8 => behind.split_at_checked(8)?,
            9 => behind.split_at_checked(16)?,
            // Bytes and text, behind their length.
            6 | 7 => {
                let (len, behind) = behind.split_first_chunk::<2>()?;
                behind.split_at_checked(usize::from(u16::from_be_bytes(*len)))?
            }
            _ => return None,
        };
        if name == wanted.as_bytes() && *kind == 7 {
            return Some(value);
        }
        rest = behind;
    }
    None
}
