//! Hides the chunk of usage in a stream of server-sent events.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use memchr::{memchr2, memchr2_iter, memmem};
use serde::{Deserialize, de::IgnoredAny};

/// Maximum size of an event that is held back until it is complete, in bytes.
const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Splits a stream into server-sent events, and leaves out those that have usage and no choices.
#[derive(Default)]
pub(super) struct EventFilter {
    /// The current event.
    held: BytesMut,
    /// Bytes of the current event that do not contain its end.
    searched: usize,
    /// The last event was left out, and ended with a carriage return. A line feed after it is a part of it.
    hides_line_feed: bool,
}

impl EventFilter {
    /// Takes a chunk of the stream, and returns the complete events that are not left out.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Bytes {
        let after_return = !chunk.is_empty() && std::mem::take(&mut self.hides_line_feed);
        let chunk = if after_return { chunk.strip_prefix(b"\n").unwrap_or(chunk) } else { chunk };
        self.held.extend_from_slice(chunk);
        let mut shown = BytesMut::new();
        loop {
            if self.searched == 0 {
                // Further blank lines after an event, which also keep connections alive.
                let line_ends = self.held.iter().take_while(|byte| is_line_end(**byte)).count();
                shown.extend_from_slice(&self.held.split_to(line_ends));
            }
            let Some(end) = event_end(&self.held, self.searched) else { break };
            self.searched = 0;
            let event = self.held.split_to(end);
            if is_usage_without_choices(&event) {
                self.hides_line_feed = self.held.is_empty() && event.ends_with(b"\r");
            } else {
                shown.extend_from_slice(&event);
            }
        }
        // The end of an event may begin in its last three bytes.
        self.searched = self.held.len().saturating_sub(3);
        if self.held.len() > MAX_EVENT_BYTES {
            shown.extend_from_slice(&self.held.split());
            self.searched = 0;
        }
        shown.freeze()
    }

    /// Returns the data after the last complete event.
    pub(super) fn finish(self) -> Bytes {
        self.held.freeze()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// Returns the index after the first event, including its blank line. The search begins at `from`.
fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    memchr2_iter(b'\n', b'\r', rest).find_map(|index| {
        let line_end = line_end_len(rest.get(index..)?)?;
        let blank_line = line_end_len(rest.get(index + line_end..)?)?;
        Some(from + index + line_end + blank_line)
    })
}

/// Returns the length of the line end that the bytes begin with.
fn line_end_len(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\r', b'\n', ..] => Some(2),
        [b'\r' | b'\n', ..] => Some(1),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<IgnoredAny>>,
    usage: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<IgnoredAny>,
}

fn is_usage_without_choices(event: &[u8]) -> bool {
    // Most chunks have no usage, and need not be parsed.
    if memmem::find(event, b"\"usage\"").is_none() {
        return false;
    }
    let chunk = serde_json::from_slice::<Chunk>(&data_of(event));
    chunk.is_ok_and(|chunk| {
        chunk.choices.is_none_or(|choices| choices.is_empty()) && chunk.usage.is_some() && chunk.error.is_none()
    })
}

/// Returns the data of an event.
fn data_of(event: &[u8]) -> Cow<'_, [u8]> {
    let mut data: Cow<'_, [u8]> = Cow::Borrowed(b"");
    let mut rest = event;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(memchr2(b'\n', b'\r', rest).unwrap_or(rest.len()));
        if let Some(part) = line.strip_prefix(b"data:") {
            if data.is_empty() {
                data = Cow::Borrowed(part);
            } else {
                data.to_mut().push(b'\n');
                data.to_mut().extend_from_slice(part);
            }
        }
        rest = after.get(1..).unwrap_or_default();
    }
    data
}

#[cfg(test)]
mod tests {
    use super::{EventFilter, MAX_EVENT_BYTES};

    /// Returns what remains visible of a stream in chunks.
    fn shown<'c, I: IntoIterator<Item = &'c [u8]>>(chunks: I) -> String {
        let mut filter = EventFilter::default();
        let mut shown: Vec<u8> = chunks.into_iter().flat_map(|chunk| filter.push(chunk)).collect();
        shown.extend(filter.finish());
        String::from_utf8(shown).unwrap()
    }

    #[test]
    fn hides_usage_at_any_cut_and_line_end() {
        let usage = [
            "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}",
            "data: {\"usage\":{\"prompt_tokens\":1}}",
            "data:{\"object\":\"chat.completion.chunk\",\"choices\":null,\"usage\":{}}",
            "id: 1\ndata: {\"choices\":[],\ndata: \"usage\":{}}\nretry: 1",
            "event: usage\ndata: {\"choices\":[],\"usage\":{}}",
            ": comment\ndata: {\"choices\":[],\"usage\":{},\"error\":null}",
        ];
        for usage in usage {
            for end in ["\n", "\r", "\r\n"] {
                let blank = format!("{end}{end}");
                let usage = usage.replace('\n', end);
                let stream = format!("data: 1{blank}{usage}{blank}data: [DONE]{blank}{blank}rest");
                let visible = format!("data: 1{blank}data: [DONE]{blank}{blank}rest");
                for cut in 0..stream.len() {
                    let (start, rest) = stream.as_bytes().split_at(cut);
                    assert_eq!(shown([start, rest]), visible, "{stream:?} cut at {cut}");
                }
                assert_eq!(shown(stream.as_bytes().chunks(1)), visible, "{stream:?} in single bytes");
            }
        }
    }

    #[test]
    fn shows_everything_else() {
        for event in [
            "data: {\"choices\":[{}],\"usage\":{}}\n\n",
            "data: {\"choices\":[],\"usage\":null}\n\n",
            "data: {\"error\":{\"message\":\"broke\"},\"usage\":{}}\n\n",
            "data: {\"choices\":\"usage\",\"usage\":{}}\n\n",
            "data: {\"choices\":[],\"usage\":{}\n\n",
            "\n\r\r\n\n\n: ping\n\r\n\n",
        ] {
            assert_eq!(shown([event.as_bytes()]), event);
            assert_eq!(shown(event.as_bytes().chunks(1)), event);
        }
    }

    #[test]
    fn releases_events_that_are_too_large() {
        let mut filter = EventFilter::default();
        assert!(filter.push(&vec![b'x'; MAX_EVENT_BYTES]).is_empty());
        assert_eq!(filter.push(b"x").len(), MAX_EVENT_BYTES + 1);
        assert!(filter.is_empty());
    }
}
