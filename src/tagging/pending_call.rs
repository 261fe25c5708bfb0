use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use bytes::Buf;
use http::{Response, request::Parts};

use crate::{
    event::{Event, Outcome},
    request::{OpenRequest, Tags},
    usage::{LlmEndpoint, ObservedCall, UsageTap},
};

use super::{events::Events, observers::Observers, pieces};

/// The observation of a request that is an LLM call.
#[derive(Default)]
pub(super) struct PendingCall {
    endpoint: Option<Box<LlmEndpoint>>,
    observed: Option<Box<ObservedCall>>,
    /// The request that makes the call, if costs are rolled up to it.
    caller: Option<Tags>,
}

impl PendingCall {
    /// Returns `true` if user code decides whether a request is an LLM call.
    pub(super) fn has_hook(events: &Events) -> bool {
        events.usage.as_ref().is_some_and(UsageTap::has_hook)
    }

    /// Detects whether the request is an LLM call. Runs user code if there is a hook.
    pub(super) fn detect(events: &Events, head: &Parts) -> Self {
        let endpoint = events.usage.as_ref().and_then(|usage| usage.detect(head)).map(Box::new);
        Self { endpoint, ..Self::default() }
    }

    pub(super) fn is_some(&self) -> bool {
        self.observed.is_some() || self.endpoint.is_some()
    }

    /// Prepares the observation with the buffers of an earlier call.
    pub(super) fn observe(&mut self, events: &Events, request: &mut OpenRequest) {
        let Some(endpoint) = self.endpoint.take() else { return };
        let mut observed = request.unsettled.spare_call.take().unwrap_or_default();
        observed.observe(*endpoint);
        if events.usage.as_ref().is_some_and(UsageTap::rolls_up) {
            self.caller = Tags::current();
        }
        self.observed = Some(observed);
    }

    /// Begins to observe the response.
    pub(super) fn begin<B>(&mut self, events: &Events, response: &Response<B>) {
        if let Some(observed) = &mut self.observed
            && let Some(usage) = &events.usage
        {
            observed.begin(|endpoint, buffer| usage.tap(endpoint, response, buffer));
        }
    }

    /// Passes a data frame to the tap.
    pub(super) fn read(&mut self, data: &impl Buf, now: impl FnOnce() -> Duration) {
        let Some(tap) = self.observed.as_mut().and_then(|observed| observed.tap()) else { return };
        // The time matters only until the first token.
        let now = if tap.waits_for_token() { now() } else { Duration::ZERO };
        // A decoder or parser that fails must not affect the client.
        let read = || pieces::for_each(data, |piece| tap.feed(piece, now));
        if !matches!(catch_unwind(AssertUnwindSafe(read)), Ok(true)) {
            tap.give_up();
        }
    }

    /// Returns `true` once the end marker of the LLM stream was seen.
    pub(super) fn has_end_marker(&mut self) -> bool {
        self.observed.as_mut().and_then(|observed| observed.tap()).is_some_and(|tap| tap.has_end_marker())
    }

    /// Hands the observation over to the event.
    pub(super) fn end(
        &mut self,
        events: &Events,
        request: &mut OpenRequest,
        outcome: Outcome,
        has_body: bool,
        duration: Duration,
    ) {
        let unsettled = &mut request.unsettled;
        if let Some(mut observed) = self.observed.take() {
            observed.end(outcome == Outcome::Completed, has_body, duration);
            unsettled.call = Some(observed);
        }
        if unsettled.call.is_some() || !unsettled.recorded.is_empty() {
            unsettled.price_by(events.usage.as_ref());
        }
    }

    /// Returns the request that the cost is rolled up to, unless it is this request.
    pub(super) fn caller(&mut self, tags: &Tags) -> Option<Tags> {
        self.caller.take().filter(|caller| !caller.is_of_same_request(tags))
    }

    /// Records the call on the request that made it.
    pub(super) fn roll_up(caller: &Tags, event: &Event, start: Instant, observers: &Observers) {
        // A failed call without usage is not billed. The cost of a call whose response was dropped is unknown.
        let may_be_billed = event.status().map_or(event.outcome() == Outcome::Cancelled, |status| status.is_success());
        if let Some(call) = event.llm().filter(|call| !call.is_pending())
            && (may_be_billed || call.usage().is_some() || call.cost().is_some())
        {
            let is_whole = event.outcome() == Outcome::Completed;
            let call = if is_whole { Cow::Borrowed(call) } else { Cow::Owned(call.cut_off()) };
            caller.record_call_since(start, &call);
            observers.rolled_up(caller, event);
        }
    }
}
