use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderName, HeaderValue, request::Parts};

use crate::{
    event::{Facts, grpc::GrpcMethod},
    metadata::Diagnostic,
    request::{OpenRequest, RequestState, Tags},
    trace::{OnwardHeaders, TraceIdLayer},
};

use super::{
    admission::Admission,
    event_layer::EventLayer,
    events::{Events, describe_route},
    guard::Guard,
    metadata_layer::{CallingRequest, MetadataLayer},
    pending::Pending,
};

/// The parts of the middleware that are switched on.
#[derive(Clone, Default)]
pub(super) struct Steps {
    pub(super) event: Option<EventLayer>,
    pub(super) trace: Option<TraceIdLayer>,
    pub(super) metadata: Option<MetadataLayer>,
    /// An [`Admission`](super::Admission) within this layer identifies the caller, and reads the tags.
    pub(super) admission: Option<Arc<dyn Admission>>,
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, trace, metadata, admission: _ } = self;
        f.debug_struct("Steps")
            .field("event", event)
            .field("trace", trace)
            .field("metadata", metadata)
            .finish_non_exhaustive()
    }
}

/// A request that is ready for the service.
#[derive(Default)]
pub(super) struct Begun {
    pub(super) guard: Guard,
    /// The response header that carries the trace id.
    pub(super) reply: Option<(HeaderName, HeaderValue)>,
    pub(super) rejection: Option<Box<Diagnostic<'static>>>,
}

impl Steps {
    /// Prepares a request for the service.
    pub(super) fn begin(&self, head: &mut Parts) -> Begun {
        let events = self
            .event
            .as_ref()
            .map(|layer| &layer.events)
            .filter(|events| events.is_listening() && events.includes(head));
        if events.is_none() && self.trace.is_none() && self.metadata.is_none() {
            return Begun::default();
        }
        let mut starting = Starting::new(self, events, head);
        starting.begin_event();
        starting.detect_call();
        starting.begin_tags();
        starting.finish()
    }
}

/// A request on its way to the service. Its methods are the steps, in the order in which they run.
struct Starting<'a> {
    steps: &'a Steps,
    events: Option<&'a Arc<Events>>,
    head: &'a mut Parts,
    handle: Handle,
    /// No outer layer set the tags.
    is_new: bool,
    /// The request that makes this one, if this layer is around a client.
    caller: Option<CallingRequest>,
    pending: Option<Pending>,
    onward: Option<OnwardHeaders>,
    /// An observer replaced the trace ids.
    is_trace_replaced: bool,
    rejection: Option<Box<Diagnostic<'static>>>,
}

impl<'a> Starting<'a> {
    fn new(steps: &'a Steps, events: Option<&'a Arc<Events>>, head: &'a mut Parts) -> Self {
        // Tags of a request that has ended belong to another request, whose extensions were passed on.
        let existing = head.extensions.get::<Tags>().filter(|tags| !tags.is_finished()).cloned();
        let caller = steps.metadata.as_ref().and_then(|layer| layer.caller(existing.as_ref()));
        let is_new = existing.is_none();
        let new_state = || events.map_or_else(RequestState::detached, |events| events.new_state());
        let handle = Handle { unshared: is_new.then(new_state), shared: existing };
        Self {
            steps,
            events,
            head,
            handle,
            is_new,
            caller,
            pending: None,
            onward: None,
            is_trace_replaced: false,
            rejection: None,
        }
    }

    /// Starts the event, reads the trace ids, and announces the request to the observers.
    fn begin_event(&mut self) {
        let Self { steps, events, head, handle, caller, pending, onward, .. } = self;
        let start = events.map(|events| events.start());
        handle.change(|request| {
            let claimed = events.zip(start).filter(|_| request.claim());
            if let Some((events, start)) = claimed {
                events.describe(head, start, request.facts_mut());
                if let Some(admission) = &steps.admission {
                    let facts = request.facts_mut();
                    let screened = admission.screen_path(&facts.path);
                    facts.is_path_screened = screened.is_some();
                    if let Some(Cow::Owned(path)) = screened {
                        facts.path = path;
                    }
                }
            }
            describe_route(head, request);
            if let Some(layer) = &steps.trace
                && request.facts().trace.is_unset()
            {
                *onward = Some(match caller.as_ref().and_then(|caller| caller.trace_for(&head.headers)) {
                    Some(caller) => request.continue_trace(layer, caller, &head.headers),
                    None => request.read_trace(layer, &head.headers),
                });
            }
            if let Some((events, start)) = claimed {
                if !events.observers.is_empty() {
                    events.ensure_trace(request);
                }
                let new = pending.insert(Pending::new(Arc::clone(events), start, &head.method));
                if request.facts().grpc == GrpcMethod::Claimed {
                    new.expect_grpc();
                }
            }
        });
        if let (Some(events), Some(pending)) = (events, pending)
            && !events.observers.is_empty()
        {
            self.is_trace_replaced = handle.observe(|facts| pending.observe(facts, head));
        }
    }

    /// Detects whether the request is an LLM call.
    fn detect_call(&mut self) {
        let Some(pending) = &mut self.pending else { return };
        if pending.has_call_hook() {
            // The hook is user code: the tags are shared and the event is emitted even if it panics.
            pending.arm(self.handle.share());
        }
        pending.detect_call(self.head);
        if pending.has_call() {
            self.handle.change(|request| pending.observe_call(request));
        }
    }

    /// Captures the tags and sets the trusted ones.
    fn begin_tags(&mut self) {
        let Some(layer) = &self.steps.metadata else { return };
        let Self { steps, head, handle, caller, pending, .. } = self;
        let caller = caller.take();
        if let Some(rules) = caller.as_ref().and_then(CallingRequest::rules) {
            handle.change(|request| request.unsettled.tags.inherit(rules));
        }
        let inherited = caller.map(|caller| caller.scopes());
        let trusted = match pending {
            Some(pending) if layer.has_resolver() => {
                // The resolver is user code: it runs without the lock, and its panic belongs to the request.
                pending.arm(handle.share());
                pending.run(|| layer.trusted(head, inherited))
            }
            _ => layer.trusted(head, inherited),
        };
        if let Some(admission) = &steps.admission {
            admission.mark_credentials(&mut head.headers);
        }
        self.rejection = handle
            .change(|request| request.begin_tags(&layer.rules, head, trusted, steps.admission.is_some()))
            .flatten()
            .map(Box::new);
        // An admission reads the credentials first.
        if steps.admission.is_none() {
            layer.strip(&mut head.headers);
        }
    }

    /// Writes the outgoing headers and shares the tags with the service.
    fn finish(mut self) -> Begun {
        let Self { head, handle, onward, is_trace_replaced, .. } = &mut self;
        if *is_trace_replaced && onward.is_none() {
            // An outer layer has written its headers. Those for the service are written again.
            *onward = OnwardHeaders::again(&head.headers);
        }
        // Last, so that the client's headers and tags have been read.
        let reply = onward.take().and_then(|onward| {
            let write = |request: &mut OpenRequest| {
                let trace = &request.facts().trace;
                let onward = if *is_trace_replaced { onward.with_tracestate_of(trace) } else { onward };
                onward.write(trace, &mut head.headers)
            };
            handle.change(write).flatten()
        });
        let tags = self.handle.share().clone();
        if let Some(pending) = &mut self.pending {
            pending.arm(&tags);
        }
        let guard = Guard::new(self.pending, &tags, self.is_new);
        if self.is_new {
            self.head.extensions.insert(tags);
        }
        Begun { guard, reply, rejection: self.rejection }
    }
}

/// The tags of a request that starts.
struct Handle {
    /// The state while no other code has it, so that nothing is locked.
    unshared: Option<RequestState>,
    /// The handle once an outer layer or user code has it.
    shared: Option<Tags>,
}

impl Handle {
    fn change<T>(&mut self, change: impl FnOnce(&mut OpenRequest) -> T) -> Option<T> {
        match (&mut self.unshared, &self.shared) {
            (Some(state), _) => state.open().map(change),
            (None, Some(tags)) => tags.state().open().map(change),
            (None, None) => None,
        }
    }

    /// Passes the facts so far to observers, which may use the handle. Returns `true` if they replaced the trace ids.
    fn observe(&mut self, observe: impl FnOnce(&mut Facts)) -> bool {
        let ids = |facts: &Facts| (*facts.trace.trace_id(), *facts.trace.span_id());
        let (mut facts, tags) = match (&mut self.unshared, &self.shared) {
            (Some(state), _) => {
                let Some(request) = state.open() else { return false };
                let before = ids(request.facts());
                observe(request.facts_mut());
                return ids(request.facts()) != before;
            }
            (None, Some(tags)) => match tags.state().open().map(|request| request.facts().clone()) {
                Some(facts) => (facts, tags),
                None => return false,
            },
            (None, None) => return false,
        };
        let before = ids(&facts);
        observe(&mut facts);
        let is_replaced = ids(&facts) != before;
        if let Some(request) = tags.state().open() {
            let current = request.facts_mut();
            current.attachments = facts.attachments;
            current.trace = facts.trace;
        }
        is_replaced
    }

    /// Returns the handle for user code.
    fn share(&mut self) -> &Tags {
        let unshared = &mut self.unshared;
        self.shared.get_or_insert_with(|| unshared.take().map_or_else(Tags::new, Tags::of))
    }
}
