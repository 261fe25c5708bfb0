use std::time::Duration;

use super::{
    ObservedResponse, Tap, llm_call::LlmCall, llm_endpoint::LlmEndpoint, recorded::Recorded,
    request_facts::RequestFacts, settle::settle,
};

/// An LLM call while it is observed.
///
/// The response is collected while it passes. The call is settled, that is read and priced, in the lazy step of the event.
/// Requests reuse the buffers of earlier ones.
#[derive(Default)]
pub(crate) struct ObservedCall {
    /// Approximate memory, in bytes, as of the end of the response.
    bytes: usize,
    response: ObservedResponse,
}

impl ObservedCall {
    /// Clears the call for another request and keeps its buffer.
    pub(crate) fn recycle(&mut self) {
        self.response.reset();
        self.bytes = self.response.heap_bytes();
    }

    /// Sets the endpoint that the request calls.
    pub(crate) fn observe(&mut self, endpoint: LlmEndpoint) {
        self.response.observe(endpoint);
    }

    /// Begins to observe the response. `tap` creates its tap for the endpoint, and may take the buffer.
    pub(crate) fn begin(&mut self, tap: impl FnOnce(&LlmEndpoint, &mut Vec<u8>) -> Tap) {
        self.response.begin(tap);
    }

    /// Returns the tap that reads the response body.
    pub(crate) fn tap(&mut self) -> Option<&mut Tap> {
        self.response.tap()
    }

    /// Ends the observation, and releases the decoder of a body that was read as it passed.
    ///
    /// `has_ended` is `true` if the body reached its end, and `has_body` if it was not empty.
    pub(crate) fn end(&mut self, has_ended: bool, has_body: bool, now: Duration) {
        self.response.end(has_ended, has_body, now);
        self.bytes = self.response.heap_bytes();
    }

    /// Returns the approximate memory of the call, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        size_of::<Self>() + self.bytes
    }

    /// Reads and prices the call.
    pub(crate) fn settle(&mut self, recorded: &Recorded, request: &RequestFacts<'_>) -> Option<LlmCall> {
        settle(self.response.take(request.duration), recorded, request)
    }
}
