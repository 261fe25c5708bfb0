//! Shared by the fuzz targets: a response that is split in two ways must result in the same event.

use std::{convert::Infallible, sync::LazyLock, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use serde_json::{Map, Value};
use tower::{Layer, Service};
use tower_tagging::{EventLayer, TaggingLayer, event::ManualClock, sink::MockSink, usage::UsageTap};

/// Takes one control byte from the input, or 0 if the input is empty.
pub fn control(input: &mut &[u8]) -> u8 {
    let Some((first, rest)) = input.split_first() else { return 0 };
    *input = rest;
    *first
}

/// The way a body is split into frames.
#[derive(Debug)]
pub struct Cuts {
    lengths: Vec<usize>,
    after_events: bool,
    after_lines: bool,
}

impl Cuts {
    /// Takes the cuts from the input. The low three bits of the first byte are the number of length bytes that follow. Bit 8
    /// also splits the body after blank lines, and bit 16 after every line feed.
    pub fn read(input: &mut &[u8]) -> Self {
        let how = control(input);
        let lengths = (0..how & 7).map(|_| match usize::from(control(input)) {
            short @ 0..192 => short,
            long => (long - 191) * 16,
        });
        Self { lengths: lengths.collect(), after_events: how & 8 != 0, after_lines: how & 16 != 0 }
    }

    /// Splits the body into frames of the repeated lengths, or into single bytes if there are none.
    fn frames(&self, body: &[u8]) -> Vec<Bytes> {
        let mut rest = Bytes::copy_from_slice(body);
        let mut lengths = self.lengths.iter().copied().cycle();
        let is_cut_by_length = self.lengths.iter().any(|length| *length > 0);
        let default = if self.after_events || self.after_lines { body.len() } else { 1 };
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let mut length = if is_cut_by_length { lengths.next().unwrap_or(default) } else { default };
            length = length.min(rest.len());
            let end =
                |mark: &[u8]| rest.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len());
            if self.after_lines {
                length = length.min(end(b"\n").unwrap_or(length));
            }
            if self.after_events {
                length = length.min(end(b"\n\n").unwrap_or(length));
            }
            frames.push(rest.split_to(length));
        }
        frames
    }
}

/// Runs the exchange with the whole body and with the split one.
///
/// # Panics
/// Panics unless the client receives the body unchanged and both events agree.
pub fn exchange(path: &str, content_type: Option<&str>, coding: Option<&str>, cuts: &Cuts, body: &[u8]) {
    let whole = run(path, content_type, coding, vec![Bytes::copy_from_slice(body)]);
    let frames = cuts.frames(body);
    let lengths: Vec<_> = frames.iter().map(Bytes::len).collect();
    let cut = run(path, content_type, coding, frames);
    let body = String::from_utf8_lossy(body);
    assert_eq!(whole, cut, "the event differs when split into {lengths:?}: {body:?}");
}

/// Runs the exchange with the whole body for each of the media types.
///
/// # Panics
/// Panics unless the client receives the body unchanged and all events agree.
pub fn exchange_as(path: &str, content_types: &[Option<&str>], body: &[u8]) {
    let events = content_types.iter().map(|content_type| {
        let event = run(path, *content_type, None, vec![Bytes::copy_from_slice(body)]);
        (content_type, event)
    });
    let events: Vec<_> = events.collect();
    for pair in events.windows(2) {
        let ((first_type, first), (second_type, second)) = (&pair[0], &pair[1]);
        let body = String::from_utf8_lossy(body);
        assert_eq!(first, second, "the event differs for {first_type:?} and {second_type:?}: {body:?}");
    }
}

/// Returns the `llm` member of the event without its timing. Empty if there is none.
fn run(path: &str, content_type: Option<&str>, coding: Option<&str>, frames: Vec<Bytes>) -> Map<String, Value> {
    static TAP: LazyLock<UsageTap> = LazyLock::new(UsageTap::new);
    let (sink, clock) = (MockSink::new(), ManualClock::new());
    let events = EventLayer::new(sink.clone()).clock(clock.clone());
    let layer = TaggingLayer::builder().usage(TAP.clone()).events(events).build().unwrap();

    let sent = frames.concat();
    let mut response = Response::builder();
    if let Some(content_type) = content_type {
        response = response.header("content-type", content_type);
    }
    if let Some(coding) = coding {
        response = response.header("content-encoding", coding);
    }
    let frames = frames.into_iter().map(move |frame| {
        clock.advance(Duration::from_millis(1));
        Ok::<_, Infallible>(Frame::data(frame))
    });
    let mut response = Some(response.body(StreamBody::new(futures_util::stream::iter(frames))).unwrap());
    let mut service = layer.layer(tower::service_fn(move |_: Request<_>| {
        std::future::ready(Ok::<_, Infallible>(response.take().unwrap()))
    }));

    let request = Request::post(path).body(Empty::<Bytes>::new()).unwrap();
    let response = service.call(request).now_or_never().unwrap().unwrap();
    let received = response.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
    assert_eq!(received, sent, "the client received other bytes");

    let text = serde_json::to_string(&*sink.single()).unwrap();
    let mut event: Value = serde_json::from_str(&text).unwrap();
    // Some paths are calls only if the response shows it.
    let mut llm = match event["llm"].take() {
        Value::Object(llm) => llm,
        _ => return Map::new(),
    };
    if llm["usage_status"] == "absent" {
        let counts = llm["usage"].as_object().into_iter().flatten();
        assert!(counts.filter(|(_, count)| !count.is_null()).count() == 0, "absent usage has counts: {text}");
    }
    llm.remove("duration_us");
    llm.remove("first_token_us");
    llm.remove("output_tokens_per_second");
    llm
}
