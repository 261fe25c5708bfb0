//! The LLM call of a request, if it is one. All differences between builds with and without the feature `llm` are here.

use std::time::Duration;

use bytes::Buf;
use http::{Response, request::Parts};

use crate::{
    event::{Event, Outcome},
    request::{OpenRequest, Tags},
};

use super::events::Events;

#[cfg(feature = "llm")]
mod observed {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::{Buf, Duration, Event, Events, OpenRequest, Outcome, Parts, Response, Tags};
    use crate::{
        tagging::pieces,
        usage::{LlmEndpoint, LlmRecord, UsageTap},
    };

    /// The observation of an LLM call.
    #[derive(Default)]
    pub(in crate::tagging) struct PendingCall {
        endpoint: Option<Box<LlmEndpoint>>,
        record: Option<Box<LlmRecord>>,
        /// The request that makes the call, if costs are rolled up to it.
        caller: Option<Tags>,
    }

    impl PendingCall {
        pub(in crate::tagging) fn has_hook(events: &Events) -> bool {
            events.usage.as_ref().is_some_and(UsageTap::has_hook)
        }

        pub(in crate::tagging) fn detect(events: &Events, head: &Parts) -> Self {
            let endpoint = events.usage.as_ref().and_then(|usage| usage.detect(head)).map(Box::new);
            Self { endpoint, ..Self::default() }
        }

        pub(in crate::tagging) fn is_some(&self) -> bool {
            self.record.is_some() || self.endpoint.is_some()
        }

        pub(in crate::tagging) fn observe(&mut self, events: &Events, request: &mut OpenRequest) {
            let Some(endpoint) = self.endpoint.take() else { return };
            let mut record = request.unsettled.spare_call.take().unwrap_or_else(LlmRecord::empty);
            record.observe(*endpoint);
            if events.usage.as_ref().is_some_and(UsageTap::rolls_up) {
                self.caller = Tags::current();
            }
            self.record = Some(record);
        }

        pub(in crate::tagging) fn begin<B>(&mut self, events: &Events, response: &Response<B>) {
            if let Some(record) = &mut self.record
                && let Some(usage) = &events.usage
            {
                record.begin(|endpoint, buffer| usage.tap(endpoint, response, buffer));
            }
        }

        pub(in crate::tagging) fn read(&mut self, data: &impl Buf, now: impl FnOnce() -> Duration) {
            let Some(tap) = self.record.as_mut().and_then(|record| record.tap()) else { return };
            // The time matters only until the first token.
            let now = if tap.waits_for_token() { now() } else { Duration::ZERO };
            // A decoder or parser that fails must not affect the client.
            let read = || pieces::for_each(data, |piece| tap.feed(piece, now));
            if !matches!(catch_unwind(AssertUnwindSafe(read)), Ok(true)) {
                tap.give_up();
            }
        }

        pub(in crate::tagging) fn end(
            &mut self,
            events: &Events,
            request: &mut OpenRequest,
            outcome: Outcome,
            has_body: bool,
            duration: Duration,
        ) {
            let unsettled = &mut request.unsettled;
            if let Some(mut record) = self.record.take() {
                record.end(outcome == Outcome::Completed, has_body, duration);
                unsettled.call = Some(record);
            } else if !unsettled.recorded.is_empty() {
                unsettled.call = Some(unsettled.spare_call.take().unwrap_or_else(LlmRecord::empty));
            }
            if unsettled.call.is_some() {
                unsettled.price_by(events.usage.as_ref());
            }
        }

        /// Returns the request that the cost is rolled up to, unless it is this request.
        pub(in crate::tagging) fn caller(&mut self, tags: &Tags) -> Option<Tags> {
            self.caller.take().filter(|caller| !caller.is_of_same_request(tags))
        }

        /// Records the call on the request that made it.
        pub(in crate::tagging) fn roll_up(caller: &Tags, event: &Event) {
            // A failed call without usage is not billed. The cost of a call whose response nobody waited for is unknown.
            let may_be_billed =
                event.status().map_or(event.outcome() == Outcome::Cancelled, |status| status.is_success());
            if let Some(call) = event.llm()
                && (may_be_billed || call.usage().is_some() || call.cost().is_some())
            {
                caller.record_call(call);
            }
        }
    }
}

#[cfg(not(feature = "llm"))]
mod observed {
    use super::{Buf, Duration, Event, Events, OpenRequest, Outcome, Parts, Response, Tags};

    /// Without the feature `llm`, no request is an LLM call.
    #[derive(Default)]
    pub(in crate::tagging) struct PendingCall;

    #[allow(clippy::unused_self, clippy::needless_pass_by_ref_mut, reason = "the interface of the feature `llm`")]
    impl PendingCall {
        pub(in crate::tagging) fn has_hook(_: &Events) -> bool {
            false
        }

        pub(in crate::tagging) fn detect(_: &Events, _: &Parts) -> Self {
            Self
        }

        pub(in crate::tagging) fn is_some(&self) -> bool {
            false
        }

        pub(in crate::tagging) fn observe(&mut self, _: &Events, _: &mut OpenRequest) {}

        pub(in crate::tagging) fn begin<B>(&mut self, _: &Events, _: &Response<B>) {}

        pub(in crate::tagging) fn read(&mut self, _: &impl Buf, _: impl FnOnce() -> Duration) {}

        pub(in crate::tagging) fn end(&mut self, _: &Events, _: &mut OpenRequest, _: Outcome, _: bool, _: Duration) {}

        pub(in crate::tagging) fn caller(&mut self, _: &Tags) -> Option<Tags> {
            None
        }

        pub(in crate::tagging) fn roll_up(_: &Tags, _: &Event) {}
    }
}

pub(super) use self::observed::PendingCall;
