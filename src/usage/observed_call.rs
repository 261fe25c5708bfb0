use std::{
    fmt,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use crate::sync::lock;

use super::{
    ObservedResponse, Tap, exchange::LlmEndpoint, llm_call::LlmCall, request_facts::RequestFacts, settle::settle,
};

/// An LLM call while it is observed, and afterwards its result.
///
/// The response is collected while it passes. The call is settled, that is read and priced, when its result is first
/// requested, on that thread.
///
/// Requests reuse the buffers of earlier ones. Memory that one thread allocates and another one frees is slow to get again.
pub(crate) struct ObservedCall {
    /// Approximate memory, in bytes, as of the end of the response.
    bytes: usize,
    response: Mutex<ObservedResponse>,
    settled: OnceLock<Option<LlmCall>>,
}

impl ObservedCall {
    /// Creates a call of which nothing has been observed. Settling it yields the recorded usage and costs.
    pub(crate) fn empty() -> Box<Self> {
        Box::new(Self { bytes: size_of::<Self>(), response: Mutex::default(), settled: OnceLock::new() })
    }

    /// Creates a call that is already settled.
    pub(crate) fn settled(call: LlmCall) -> Box<Self> {
        Box::new(Self { settled: OnceLock::from(Some(call)), ..*Self::empty() })
    }

    /// Clears the call for another request and keeps its buffer.
    pub(crate) fn reset(&mut self) {
        self.settled.take();
        self.response().reset();
        self.bytes = size_of::<Self>() + self.response().heap_bytes();
    }

    fn response(&mut self) -> &mut ObservedResponse {
        self.response.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the endpoint that the request calls.
    pub(crate) fn observe(&mut self, endpoint: LlmEndpoint) {
        self.response().observe(endpoint);
    }

    /// Begins to observe the response. `tap` creates its tap for the endpoint, and may take the buffer.
    pub(crate) fn begin(&mut self, tap: impl FnOnce(&LlmEndpoint, &mut Vec<u8>) -> Tap) {
        self.response().begin(tap);
    }

    /// Returns the tap that reads the response body.
    pub(crate) fn tap(&mut self) -> Option<&mut Tap> {
        self.response().tap()
    }

    /// Ends the observation, and releases the decoder of a body that was read as it passed.
    ///
    /// `has_ended` is `true` if the body reached its end, and `has_body` if it was not empty.
    pub(crate) fn end(&mut self, has_ended: bool, has_body: bool, now: Duration) {
        self.response().end(has_ended, has_body, now);
        self.bytes = size_of::<Self>() + self.response().heap_bytes();
    }

    /// Returns the approximate memory of the call, in bytes.
    pub(crate) fn approximate_bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the settled call. The first request settles it; later ones return the same result.
    pub(crate) fn settle(&self, request: &RequestFacts<'_>) -> Option<&LlmCall> {
        self.settled.get_or_init(|| settle(lock(&self.response).take(request.duration), request)).as_ref()
    }
}

impl fmt::Debug for ObservedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.settled.fmt(f)
    }
}
