use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use memchr::{memchr2_iter, memmem};
use pin_project_lite::pin_project;
use serde::{Deserialize, de::IgnoredAny};

/// Maximum size of an event that is held back until it is complete, in bytes.
const MAX_EVENT_BYTES: usize = 64 * 1024;

pin_project! {
    /// Response body of [`InjectIncludeUsage`](super::InjectIncludeUsage).
    pub struct ResponseBody<R> {
        #[pin]
        inner: R,
        // `None` if nothing is hidden.
        events: Option<EventFilter>,
        // Trailers that wait for held data to be sent.
        trailers: Option<HeaderMap>,
        has_ended: bool,
    }
}

impl<R> ResponseBody<R> {
    /// Wraps a body that passes unchanged.
    pub(super) fn passing(inner: R) -> Self {
        Self { inner, events: None, trailers: None, has_ended: false }
    }

    /// Wraps an event stream, and leaves out the chunk that has usage and no choices.
    pub(super) fn hiding(inner: R) -> Self {
        Self { inner, events: Some(EventFilter::default()), trailers: None, has_ended: false }
    }
}

impl<R> ResponseBody<R> {
    /// Returns a reference to the inner body.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    /// Returns a mutable reference to the inner body. Frames that are read through it are not filtered.
    pub fn get_mut(&mut self) -> &mut R {
        &mut self.inner
    }
}

impl<R: Default> Default for ResponseBody<R> {
    fn default() -> Self {
        Self::passing(R::default())
    }
}

impl<R> fmt::Debug for ResponseBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<R: Body> Body for ResponseBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let mut this = self.project();
        loop {
            if *this.has_ended {
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let frame = match ready!(this.inner.as_mut().poll_frame(context)) {
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => Some(frame),
                None => None,
            };
            let data = match frame.map(Frame::into_data) {
                Some(Ok(mut data)) => {
                    let data = data.copy_to_bytes(data.remaining());
                    match this.events.as_mut() {
                        None => return Poll::Ready(Some(Ok(Frame::data(data)))),
                        Some(events) => events.push(&data),
                    }
                }
                // Held data is sent before the end and the trailers.
                end => {
                    *this.trailers = end.and_then(|frame| frame.err()?.into_trailers().ok());
                    *this.has_ended = true;
                    this.events.take().map(EventFilter::finish).unwrap_or_default()
                }
            };
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.events {
            None => self.trailers.is_none() && (self.has_ended || self.inner.is_end_stream()),
            Some(events) => events.is_empty() && self.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.events.is_some() { SizeHint::default() } else { self.inner.size_hint() }
    }
}

/// Splits a stream into server-sent events, and leaves out those that have usage and no choices.
#[derive(Default)]
struct EventFilter {
    /// The current event.
    held: BytesMut,
    /// Bytes of the current event that do not contain its end.
    searched: usize,
}

impl EventFilter {
    /// Takes a chunk of the stream, and returns the complete events that are not left out.
    fn push(&mut self, chunk: &[u8]) -> Bytes {
        self.held.extend_from_slice(chunk);
        let mut shown = BytesMut::new();
        while let Some(end) = event_end(&self.held, self.searched) {
            self.searched = 0;
            let event = self.held.split_to(end);
            if !is_usage_without_choices(&event) {
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
    fn finish(self) -> Bytes {
        self.held.freeze()
    }

    fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// Returns the index after the first event, including its blank line. The search begins at `from`.
fn event_end(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    memchr2_iter(b'\n', b'\r', rest).find_map(|index| {
        let line_ends = rest.get(index..)?;
        let len = [&b"\n\n"[..], b"\r\r", b"\r\n\r\n"].into_iter().find(|end| line_ends.starts_with(end))?.len();
        Some(from + index + len)
    })
}

#[derive(Deserialize)]
struct Chunk {
    choices: Vec<IgnoredAny>,
    usage: Option<IgnoredAny>,
}

fn is_usage_without_choices(event: &[u8]) -> bool {
    const FIELD: &[u8] = b"data:";
    let data = memmem::find(event, FIELD).and_then(|index| event.get(index + FIELD.len()..));
    // Most chunks have no usage, and need not be parsed.
    let data = data.filter(|data| memmem::find(data, b"\"usage\"").is_some());
    let chunk = data.and_then(|data| serde_json::from_slice::<Chunk>(data.trim_ascii()).ok());
    chunk.is_some_and(|chunk| chunk.choices.is_empty() && chunk.usage.is_some())
}

#[cfg(test)]
mod tests {
    use super::{EventFilter, MAX_EVENT_BYTES};

    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}";

    #[test]
    fn hides_usage_at_any_cut_and_line_end() {
        for end in ["\n\n", "\r\r", "\r\n\r\n"] {
            let stream = format!("data: 1{end}{USAGE}{end}data: [DONE]{end}rest");
            for cut in 0..stream.len() {
                let mut filter = EventFilter::default();
                let mut shown =
                    [&stream.as_bytes()[..cut], &stream.as_bytes()[cut..]].map(|part| filter.push(part)).concat();
                shown.extend(filter.finish());
                assert_eq!(shown, format!("data: 1{end}data: [DONE]{end}rest").as_bytes(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn releases_events_that_are_too_large() {
        let mut filter = EventFilter::default();
        assert!(filter.push(&vec![b'x'; MAX_EVENT_BYTES]).is_empty());
        assert_eq!(filter.push(b"x").len(), MAX_EVENT_BYTES + 1);
        assert!(filter.is_empty());
    }

    #[test]
    fn shows_usage_with_choices() {
        let mut filter = EventFilter::default();
        for event in ["data: {\"choices\":[{}],\"usage\":{}}\n\n", "data: {\"choices\":[],\"usage\":null}\n\n"] {
            assert_eq!(filter.push(event.as_bytes()), event);
        }
    }
}
