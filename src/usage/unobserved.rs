//! Stand-ins for the observation of responses, which needs the feature `llm`.

use std::{convert::Infallible, time::Duration};

use super::{llm_call::LlmCall, llm_endpoint::LlmEndpoint, request_facts::RequestFacts, without_llm::Tap};

impl LlmEndpoint {
    /// Returns the provider that will serve a call, if an admission or the application chose it.
    pub(super) fn expected_provider(&self, _model: Option<&str>, request: &RequestFacts<'_>) -> Option<String> {
        request.provider.or(self.provider.as_deref()).map(str::to_owned)
    }
}

/// Has no value, since no response is read.
pub(super) struct Observation(Infallible);

impl Observation {
    pub(super) fn is_llm_call(&self, _is_recorded: bool, _request: &RequestFacts<'_>) -> bool {
        match self.0 {}
    }

    pub(super) fn describe(self, _request: &RequestFacts<'_>) -> LlmCall {
        match self.0 {}
    }

    pub(super) fn price(self, _request: &RequestFacts<'_>) -> LlmCall {
        match self.0 {}
    }
}

/// Has no value, since no response is read.
#[derive(Debug)]
pub(super) struct ReportedCall(Infallible);

impl ReportedCall {
    pub(super) fn call(&self) -> &LlmCall {
        match self.0 {}
    }

    pub(super) fn price_as(&self, _call: LlmCall, _request: &RequestFacts<'_>) -> LlmCall {
        match self.0 {}
    }
}

/// A response that is not observed.
#[derive(Default)]
pub(super) struct ObservedResponse;

#[allow(clippy::unused_self, reason = "the methods are those of the type that observes")]
impl ObservedResponse {
    pub(super) fn reset(&mut self) {}

    pub(super) fn observe(&mut self, _endpoint: LlmEndpoint) {}

    pub(super) fn begin(&mut self, _tap: impl FnOnce(&LlmEndpoint, &mut Vec<u8>) -> Tap) {}

    pub(super) fn tap(&mut self) -> Option<&mut Tap> {
        None
    }

    pub(super) fn end(&mut self, _has_ended: bool, _has_body: bool, _now: Duration) {}

    pub(super) fn heap_bytes(&self) -> usize {
        0
    }

    pub(super) fn take(&mut self, _now: Duration) -> Option<Observation> {
        None
    }
}
