use std::{mem, time::Duration};

use super::{
    llm_endpoint::LlmEndpoint,
    observation::Observation,
    response_report::ResponseReport,
    tap::{MAX_KEPT_BYTES, Tap},
};

/// The observed part of the response to an LLM call.
#[derive(Default)]
pub(super) struct ObservedResponse {
    endpoint: Option<LlmEndpoint>,
    progress: Progress,
    /// The body reached its end.
    has_ended: bool,
    /// The body was not empty.
    has_body: bool,
    /// Reused for the bodies of short responses.
    buffer: Vec<u8>,
}

#[derive(Default)]
enum Progress {
    /// There is no response yet.
    #[default]
    Awaited,
    /// The response is under way, or it was short and is kept to be read later.
    Tapped(Tap),
    /// The response was read.
    Read { report: Box<ResponseReport>, is_stream: bool },
}

impl ObservedResponse {
    /// Clears the response and keeps its buffer.
    pub(super) fn reset(&mut self) {
        let mut buffer = match mem::take(&mut self.progress) {
            // The call was never settled.
            Progress::Tapped(Tap::Kept { body, .. }) => body,
            _ => mem::take(&mut self.buffer),
        };
        buffer.clear();
        buffer.shrink_to(MAX_KEPT_BYTES);
        *self = Self { buffer, ..Self::default() };
    }

    pub(super) fn observe(&mut self, endpoint: LlmEndpoint) {
        self.endpoint = Some(endpoint);
    }

    pub(super) fn begin(&mut self, tap: impl FnOnce(&LlmEndpoint, &mut Vec<u8>) -> Tap) {
        if let Some(endpoint) = &self.endpoint {
            self.progress = Progress::Tapped(tap(endpoint, &mut self.buffer));
        }
    }

    pub(super) fn tap(&mut self) -> Option<&mut Tap> {
        match &mut self.progress {
            Progress::Tapped(tap) => Some(tap),
            Progress::Awaited | Progress::Read { .. } => None,
        }
    }

    pub(super) fn end(&mut self, has_ended: bool, has_body: bool, now: Duration) {
        (self.has_ended, self.has_body) = (has_ended, has_body);
        let is_passing = |tap: &mut Tap| tap.kept_bytes().is_none();
        if self.tap().is_some_and(is_passing)
            && let Some((report, is_stream)) = self.read(now)
        {
            self.progress = Progress::Read { report: Box::new(report), is_stream };
        }
    }

    /// Returns the heap memory of the buffers, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        let progress = match &self.progress {
            Progress::Awaited => 0,
            Progress::Tapped(tap) => tap.kept_bytes().unwrap_or(0),
            Progress::Read { .. } => size_of::<ResponseReport>(),
        };
        self.buffer.capacity() + progress
    }

    /// Takes the observation, and reads a response that was kept. `None` if the request is not an LLM call.
    pub(super) fn take(&mut self, now: Duration) -> Option<Observation> {
        let read = self.read(now);
        let has_response = read.is_some();
        let (report, is_stream) = read.unwrap_or_default();
        let endpoint = self.endpoint.take()?;
        let Self { has_ended, has_body, .. } = *self;
        Some(Observation { endpoint, report, is_stream, has_response, has_ended, has_body })
    }

    /// Returns the report of the response, and whether it was a stream.
    fn read(&mut self, now: Duration) -> Option<(ResponseReport, bool)> {
        match mem::take(&mut self.progress) {
            Progress::Awaited => None,
            Progress::Tapped(tap) => {
                let (report, is_stream, kept) = tap.finish(self.has_ended, now);
                if kept.capacity() > 0 {
                    self.buffer = kept;
                    self.buffer.clear();
                }
                Some((report, is_stream))
            }
            Progress::Read { report, is_stream } => Some((*report, is_stream)),
        }
    }
}
