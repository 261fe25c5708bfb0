use std::{
    any::Any,
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::SystemTime,
};

use http::{HeaderMap, request::Parts};
use uuid::Uuid;

use crate::{
    event::{Draft, Event, EventPoolOwner, Facts, Outcome},
    metadata::{Diagnostic, Scopes},
    trace::{IdGenerator, OnwardHeaders, RandomIds, TraceContext, TraceIdLayer},
};

use super::{caller::Caller, identity::Identity, tag_rules::TagRules, unsettled::Unsettled};

/// The state of a request: open until its event is finished.
pub(crate) struct RequestState {
    /// `None` once the event is finished.
    open: Option<OpenRequest>,
    /// `Some` once the event is finished.
    event: Option<Arc<Event>>,
}

/// A request that has not ended.
pub(crate) struct OpenRequest {
    draft: Draft,
    pub(crate) unsettled: Box<Unsettled>,
    /// An event layer will emit the event.
    is_claimed: bool,
    /// A layer answers instead of the service.
    is_rejected: bool,
    /// The shadowed tags have been counted.
    is_counted: bool,
    /// The reason why a layer cut the response off.
    cut: Option<&'static str>,
}

impl RequestState {
    /// Creates the state of a request without an event layer.
    pub(crate) fn detached() -> Self {
        let mut draft = Draft::new();
        draft.facts_mut().time = SystemTime::now();
        Self::new(draft)
    }

    /// Creates the state of a request whose event comes from a pool.
    pub(crate) fn recycled(pool: &EventPoolOwner) -> Self {
        Self::new(Draft::recycled(pool))
    }

    fn new(mut draft: Draft) -> Self {
        let recycled = draft.take_recycled().and_then(|unsettled| (unsettled as Box<dyn Any>).downcast().ok());
        let unsettled = recycled.unwrap_or_default();
        let open =
            OpenRequest { draft, unsettled, is_claimed: false, is_rejected: false, is_counted: false, cut: None };
        Self { open: Some(open), event: None }
    }

    /// Returns the request if it has not ended.
    pub(crate) fn open(&mut self) -> Option<&mut OpenRequest> {
        self.open.as_mut()
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.open.is_none()
    }

    pub(crate) fn event_id(&self) -> Option<Uuid> {
        match (&self.open, &self.event) {
            (Some(request), _) => Some(request.facts().id),
            (None, event) => event.as_ref().map(|event| event.id()),
        }
    }

    /// Returns the trace ids. Generates them if no layer has set any.
    pub(crate) fn trace(&mut self) -> TraceContext {
        if let Some(request) = &mut self.open {
            request.ensure_trace(&RandomIds);
            return request.facts().trace.clone();
        }
        self.event.as_ref().map_or_else(TraceContext::unset, |event| event.trace().clone())
    }

    /// Finishes the event, unless it is finished already. `complete` writes the facts about the end.
    pub(super) fn finish(&mut self, request_body_bytes: Option<u64>, complete: impl FnOnce(&mut OpenRequest)) {
        let Some(mut request) = self.open.take() else { return };
        request.facts_mut().request_body_bytes = request_body_bytes;
        complete(&mut request);
        let OpenRequest { mut draft, mut unsettled, is_rejected, is_counted, cut, .. } = request;
        let facts = draft.facts_mut();
        if let Some(reason) = cut {
            facts.outcome = Outcome::Failed;
            facts.error = Some(reason.to_owned());
        }
        if is_rejected && matches!(facts.outcome, Outcome::Completed | Outcome::Cancelled) {
            facts.outcome = Outcome::Rejected;
        }
        if facts.outcome != Outcome::Rejected {
            facts.rejection = None;
        }
        if let Some(caller) = unsettled.tags.caller() {
            draft.facts_mut().screen(|text| screened(&**caller, text));
        }
        unsettled.tags.finish(!is_counted);
        self.event = Some(draft.finish(unsettled));
    }

    pub(super) fn into_event(self) -> Option<Arc<Event>> {
        self.event
    }

    pub(super) fn event(&self) -> Option<&Arc<Event>> {
        self.event.as_ref()
    }
}

/// Returns the text that a caller's rules replace another one with. If they panic, the text is left out of the event.
fn screened(caller: &dyn Caller, text: &str) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| caller.screen(text))) {
        Ok(Cow::Borrowed(_)) => None,
        Ok(Cow::Owned(screened)) => Some(screened),
        Err(_) => Some(String::new()),
    }
}

impl OpenRequest {
    pub(crate) fn facts(&self) -> &Facts {
        self.draft.facts()
    }

    pub(crate) fn facts_mut(&mut self) -> &mut Facts {
        self.draft.facts_mut()
    }

    /// Generates trace ids if no layer has read any from the request.
    pub(crate) fn ensure_trace(&mut self, ids: &dyn IdGenerator) {
        if self.facts().trace.is_unset() {
            let facts = self.facts_mut();
            facts.trace = TraceContext::new(ids.trace_id(facts.time), ids.span_id());
        }
    }

    /// Reads the trace ids from the request headers.
    pub(crate) fn read_trace(&mut self, layer: &TraceIdLayer, headers: &HeaderMap) -> OnwardHeaders {
        let facts = self.draft.facts_mut();
        layer.read(headers, facts.time, &mut facts.trace, self.unsettled.tags.early_notes())
    }

    /// Continues the trace of the request that makes this one.
    pub(crate) fn continue_trace(
        &mut self,
        layer: &TraceIdLayer,
        caller: &TraceContext,
        headers: &HeaderMap,
    ) -> OnwardHeaders {
        layer.continue_trace(caller, headers, &mut self.draft.facts_mut().trace)
    }

    /// Sets the error unless there is one: the text that a handler recorded says more than an error type.
    pub(crate) fn fill_error(&mut self, error: Option<String>) {
        let facts = self.facts_mut();
        facts.error = facts.error.take().or(error);
    }

    /// Claims the event for a layer that emits it. Returns `false` if another layer has claimed it.
    pub(crate) fn claim(&mut self) -> bool {
        !std::mem::replace(&mut self.is_claimed, true)
    }

    /// Marks the request as rejected. The first reason is kept.
    pub(crate) fn reject(&mut self, reason: &str) {
        self.is_rejected = true;
        self.facts_mut().rejection.get_or_insert_with(|| reason.into());
    }

    /// Returns `true` if an event layer will emit the event.
    pub(crate) fn is_claimed(&self) -> bool {
        self.is_claimed
    }

    /// Marks the response as cut off by a layer, for this reason.
    pub(crate) fn cut(&mut self, reason: &'static str) {
        self.cut = Some(reason);
    }

    /// Names the limit rule that rejects the request.
    pub(crate) fn set_limit_rule(&mut self, rule: &str) {
        self.facts_mut().limit_rule = Some(rule.into());
    }

    pub(crate) fn is_rejected(&self) -> bool {
        self.is_rejected
    }

    /// Takes back a rejection.
    pub(crate) fn accept(&mut self) {
        self.is_rejected = false;
        if self.facts().rejection.is_some() {
            self.facts_mut().rejection = None;
        }
    }

    /// Captures the tags of the request. Returns the reason if it is rejected.
    pub(crate) fn begin_tags(
        &mut self,
        rules: &TagRules,
        head: &Parts,
        trusted: Option<Scopes>,
        awaits_caller: bool,
    ) -> Option<Diagnostic<'static>> {
        let rejection = self.unsettled.tags.begin(rules, &head.headers, trusted, awaits_caller);
        if let Some(reason) = &rejection {
            self.reject(reason.code().as_str());
        }
        // No event will count the shadowed tags.
        if !self.is_claimed && !self.is_counted && !awaits_caller {
            self.is_counted = self.unsettled.tags.count_shadowed();
        }
        rejection
    }

    /// Sets the caller of the request, and reads its tags. Returns the reason if the request is rejected because of them.
    pub(crate) fn identify(&mut self, identity: Identity) -> Option<Diagnostic<'static>> {
        let Identity { api_key, workspace, virtual_key, provider, scopes, limits, caller, notes, .. } = identity;
        let facts = self.facts_mut();
        facts.api_key = facts.api_key.take().or(api_key);
        facts.workspace = facts.workspace.take().or(workspace);
        facts.virtual_key = facts.virtual_key.take().or(virtual_key);
        self.unsettled.provider = self.unsettled.provider.take().or(provider);
        let rejection = self.unsettled.tags.identify(caller, limits, scopes);
        for note in notes {
            self.unsettled.tags.note(note);
        }
        if !self.is_claimed && !self.is_counted {
            self.is_counted = self.unsettled.tags.count_shadowed();
        }
        rejection
    }
}
