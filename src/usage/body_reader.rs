use std::time::Duration;

use crate::body::ContentDecoder;

use super::{framing::Framing, header_report::HeaderReport, response_report::ResponseReport};

/// Reads a response body as it passes.
pub(crate) struct BodyReader {
    decoder: ContentDecoder,
    framing: Framing,
    report: ResponseReport,
    is_stream: bool,
}

impl BodyReader {
    pub(super) fn new(
        decoder: ContentDecoder,
        framing: Framing,
        is_stream: bool,
        headers: Option<Box<HeaderReport>>,
    ) -> Self {
        Self { decoder, framing, report: ResponseReport::new(headers), is_stream }
    }

    /// Creates a reader for a body without a content coding that is expected to be a JSON document.
    pub(super) fn probably_json(headers: Option<Box<HeaderReport>>, max_value_bytes: usize) -> Self {
        Self::new(ContentDecoder::default(), Framing::probably_json(max_value_bytes), false, headers)
    }

    /// Creates a reader for a body that it cannot read. `is_unparsed` means that its usage is lost.
    pub(super) fn unreadable(is_stream: bool, headers: Option<Box<HeaderReport>>, is_unparsed: bool) -> Self {
        let mut reader = Self::new(ContentDecoder::default(), Framing::Unreadable, is_stream, headers);
        reader.report.is_unparsed = is_unparsed;
        reader
    }

    /// Returns `true` for a stream without content so far.
    pub(super) fn awaits_first_token(&self) -> bool {
        self.is_stream && self.report.first_token.is_none()
    }

    /// Returns `true` once the stream's own end marker was seen.
    pub(super) fn has_end_marker(&self) -> bool {
        self.framing.has_end_marker(&self.report)
    }

    /// Reads no more, because some part of the body cannot be read.
    pub(super) fn give_up(&mut self) {
        self.framing = Framing::Unreadable;
        self.decoder = ContentDecoder::default();
        self.report.is_unparsed = true;
    }

    /// Reads a chunk. `now` is the time since the request head.
    pub(super) fn read(&mut self, chunk: &[u8], now: Duration) {
        if matches!(self.framing, Framing::Unreadable) {
            return;
        }
        let Self { decoder, framing, report, is_stream } = self;
        let is_valid = decoder.decode(chunk, |bytes| framing.feed(bytes, report, now));
        *is_stream = framing.is_stream();
        if !is_valid {
            // The output before the fault depends on how the body was cut, so none of it counts.
            self.give_up();
            self.report.discard_body();
        }
    }

    /// Returns the report once the body is over, and whether the body was a stream. `is_complete` means that the body came to
    /// its end.
    pub(super) fn finish(self, is_complete: bool, now: Duration) -> (ResponseReport, bool) {
        let Self { framing, mut report, is_stream, .. } = self;
        framing.end(&mut report, now);
        report.is_final |= is_complete && (!report.announces_end || report.has_finished);
        if !is_stream {
            report.first_token = None;
        }
        (report, is_stream)
    }
}
