use std::time::Duration;

use crate::{media, usage::response_report::ResponseReport};

use super::{
    documents::Documents,
    event_stream::EventStream,
    json::Json,
    sse::ServerSentEvents,
    undecided::{Decision, Undecided},
};

/// A framing, with the state of the body being read.
pub(in crate::usage) enum Framing {
    /// The first bytes will show the framing.
    Undecided { undecided: Undecided, max_value_bytes: usize },
    /// One JSON document.
    Json(Json),
    /// Several JSON documents: one per line, one after the other, or in an array.
    Documents(Documents),
    /// `text/event-stream`
    Sse(Box<ServerSentEvents>),
    /// `application/vnd.amazon.eventstream`
    EventStream(EventStream),
    /// A body that cannot be read.
    Unreadable,
}

impl Framing {
    /// Creates the framing for a media type, or [`Framing::Unreadable`]. Where media types are often wrong, the first bytes
    /// decide. `may_stream` means that a JSON body may hold several documents.
    pub(in crate::usage) fn for_media_type(media_type: &[u8], may_stream: bool, max_value_bytes: usize) -> Self {
        /// Media types with one document per line. The last one is that of Cohere v1.
        const LINES: [&str; 4] =
            ["application/x-ndjson", "application/jsonl", "application/ndjson", "application/stream+json"];
        let is = |name: &str| media_type.eq_ignore_ascii_case(name.as_bytes());
        if is("application/vnd.amazon.eventstream") {
            Self::EventStream(EventStream::new(max_value_bytes))
        } else if LINES.into_iter().any(is) {
            Self::Documents(Documents::lines(max_value_bytes))
        } else if is("text/event-stream") {
            Self::Undecided { undecided: Undecided::new(true, false), max_value_bytes }
        } else if media::is_json(media_type) || media_type.is_empty() || is("text/plain") {
            Self::Undecided { undecided: Undecided::new(false, may_stream), max_value_bytes }
        } else {
            Self::Unreadable
        }
    }

    /// Creates the framing for a body that is expected to be a single JSON document.
    pub(in crate::usage) fn probably_json(max_value_bytes: usize) -> Self {
        Self::Undecided { undecided: Undecided::new(false, false), max_value_bytes }
    }

    /// Returns `true` if the body is expected to be a single JSON document.
    pub(in crate::usage) fn is_probably_json(&self) -> bool {
        matches!(self, Self::Undecided { undecided, .. } if !undecided.may_be_stream())
    }

    /// Returns `true` if the body is a stream, as far as is known.
    pub(in crate::usage) fn is_stream(&self) -> bool {
        match self {
            Self::Undecided { undecided, .. } => undecided.may_be_stream(),
            Self::Documents(_) | Self::Sse(_) | Self::EventStream(_) => true,
            Self::Json(_) | Self::Unreadable => false,
        }
    }

    /// Returns `true` once the stream's own end marker was seen.
    pub(in crate::usage) fn has_end_marker(&self, report: &ResponseReport) -> bool {
        report.has_end_marker || matches!(self, Self::Sse(events) if events.is_at_done())
    }

    fn decided(decision: &Decision, max_value_bytes: usize) -> Self {
        match decision {
            Decision::Json => Self::Json(Json::new(max_value_bytes)),
            Decision::Documents => Self::Documents(Documents::sequence(max_value_bytes)),
            Decision::Sse => Self::Sse(Box::new(ServerSentEvents::new(max_value_bytes))),
        }
    }

    /// Reads decoded bytes. `now` is the time since the request head.
    pub(in crate::usage) fn feed(&mut self, bytes: &[u8], report: &mut ResponseReport, now: Duration) {
        match self {
            Self::Undecided { undecided, max_value_bytes } => {
                if let Some((decision, head)) = undecided.decide(bytes) {
                    *self = Self::decided(&decision, *max_value_bytes);
                    self.feed(&head, report, now);
                }
            }
            Self::Json(json) => json.feed(bytes, report),
            Self::Documents(documents) => documents.feed(bytes, report, now),
            Self::Sse(events) => events.feed(bytes, report, now),
            Self::EventStream(events) => events.feed(bytes, report, now),
            Self::Unreadable => {}
        }
    }

    /// Completes the report when the body is over.
    pub(in crate::usage) fn end(self, report: &mut ResponseReport, now: Duration) {
        match self {
            Self::Undecided { undecided, max_value_bytes } => {
                let (decision, head) = undecided.end();
                let mut framing = Self::decided(&decision, max_value_bytes);
                framing.feed(&head, report, now);
                framing.end(report, now);
            }
            Self::Json(json) => json.end(report),
            Self::Documents(documents) => documents.end(report),
            Self::Sse(mut events) => events.end(report, now),
            Self::EventStream(events) => events.end(report),
            Self::Unreadable => {}
        }
    }
}
