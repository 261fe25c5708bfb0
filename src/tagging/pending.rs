use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Buf;
use http::{HeaderMap, Method, Response, StatusCode, header, request::Parts};
use http_body::Body;

use crate::{
    event::{Event, Facts, Outcome},
    request::{Entered, OpenRequest, Tags},
};

use super::{
    error_text::panic_text,
    events::{Events, Start},
    grpc::GrpcCall,
    observers::ObserverScopes,
    pending_call::PendingCall,
    receipt,
};

/// The guard of one request. It moves from the response future into the response body and emits the event exactly once: at
/// the end, on an error, or on drop.
#[allow(clippy::struct_excessive_bools, reason = "each is an independent fact about the request")]
pub(super) struct Pending {
    /// `None` before the request is armed, and once the event is emitted.
    tags: Option<Tags>,
    events: Arc<Events>,
    start: Instant,
    is_head: bool,
    is_connect: bool,
    /// The response has no body, whatever the service's body contains: HEAD, 204, 304.
    is_bodyless: bool,
    /// `None` unless the request has the form of a gRPC call.
    grpc: Option<Box<GrpcCall>>,
    status: Option<StatusCode>,
    time_to_head: Elapsed,
    time_to_first_byte: Elapsed,
    body_bytes: u64,
    /// [`UNKNOWN_LENGTH`] if it is not declared.
    content_length: u64,
    user_code: UserCode,
    call: PendingCall,
    scopes: ObserverScopes,
}

/// A flag that is set while user code runs: the service, its body, a resolver, or a hook. If it is still set when the guard
/// is dropped, a panic was caught in between. Atomic, because a body may be inspected through a shared reference.
#[derive(Default)]
struct UserCode(AtomicBool);

impl UserCode {
    /// Runs `code`. The flag remains set if it panics. The caller resumes the panic.
    #[inline]
    fn run<T>(&self, code: impl FnOnce() -> T) -> thread::Result<T> {
        self.0.store(true, Ordering::Relaxed);
        let result = catch_unwind(AssertUnwindSafe(code))?;
        self.0.store(false, Ordering::Relaxed);
        Ok(result)
    }

    fn has_panicked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A length that no body has.
const UNKNOWN_LENGTH: u64 = u64::MAX;

/// Nanoseconds since the start, if known. Half the size of `Option<Duration>`, because the guard moves with the response.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Elapsed(u64);

impl Elapsed {
    const NONE: Self = Self(u64::MAX);

    fn of(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1))
    }

    fn get(self) -> Option<Duration> {
        (self != Self::NONE).then(|| Duration::from_nanos(self.0))
    }
}

impl Pending {
    pub(super) fn new(events: Arc<Events>, start: Start, method: &Method) -> Self {
        Self {
            tags: None,
            events,
            start: start.instant,
            is_head: method == Method::HEAD,
            is_connect: method == Method::CONNECT,
            is_bodyless: false,
            grpc: None,
            status: None,
            time_to_head: Elapsed::NONE,
            time_to_first_byte: Elapsed::NONE,
            body_bytes: 0,
            content_length: UNKNOWN_LENGTH,
            user_code: UserCode::default(),
            call: PendingCall::default(),
            scopes: ObserverScopes::default(),
        }
    }

    /// Observes the response as that of a gRPC call.
    pub(super) fn expect_grpc(&mut self) {
        self.grpc = Some(Box::default());
    }

    /// Announces the request to the observers.
    pub(super) fn observe(&mut self, facts: &mut Facts, head: &Parts) {
        self.scopes = self.events.observe(facts, head);
    }

    /// Returns `true` if user code decides whether a request is an LLM call.
    pub(super) fn has_call_hook(&self) -> bool {
        PendingCall::has_hook(&self.events)
    }

    /// Detects whether the request is an LLM call. Runs user code if there is a hook; arm the guard before.
    pub(super) fn detect_call(&mut self, head: &Parts) {
        let events = Arc::clone(&self.events);
        let call = if self.has_call_hook() {
            self.run(|| PendingCall::detect(&events, head))
        } else {
            PendingCall::detect(&events, head)
        };
        self.call = call;
    }

    /// Prepares the observation of the LLM call, if the request is one.
    pub(super) fn observe_call(&mut self, request: &mut OpenRequest) {
        self.call.observe(&self.events, request);
    }

    /// Returns `true` if the request is an LLM call.
    pub(super) fn has_call(&self) -> bool {
        self.call.is_some()
    }

    /// Arms the guard: from now on, the event is emitted whatever happens.
    pub(super) fn arm(&mut self, tags: &Tags) {
        self.tags.get_or_insert_with(|| tags.clone());
    }

    /// Returns `true` once the event was emitted.
    pub(super) fn is_over(&self) -> bool {
        self.tags.is_none()
    }

    /// Runs user code within the scopes of the observers.
    #[inline]
    pub(super) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        let Self { user_code, scopes, tags, .. } = self;
        let result = user_code.run(|| {
            scopes.run(|| {
                let _current = tags.is_some().then_some(tags).map(Entered::new);
                code()
            })
        });
        result.unwrap_or_else(|panic| self.resume(panic))
    }

    /// Runs user code that needs no scope, such as `Body::size_hint`.
    #[inline]
    pub(super) fn inspect<T>(&self, code: impl FnOnce() -> T) -> T {
        self.user_code.run(code).unwrap_or_else(|panic| self.resume(panic))
    }

    /// Records the message of a panic, and lets the panic continue.
    #[cold]
    fn resume(&self, panic: Box<dyn Any + Send>) -> ! {
        if let (Some(tags), Some(text)) = (&self.tags, panic_text(&*panic)) {
            tags.fill_error(text);
        }
        resume_unwind(panic)
    }

    pub(super) fn sends_receipt(&self) -> bool {
        self.events.sends_receipts
    }

    /// Writes the part of the receipt that is known with the response head.
    fn write_receipt<B>(&self, response: &mut Response<B>, exact_length: Option<u64>) {
        let Some(tags) = self.tags.as_ref().filter(|_| self.sends_receipt()) else { return };
        receipt::write_head(response.headers_mut(), tags);
        let is_streamed = exact_length.is_none() && !response.headers().contains_key(header::CONTENT_LENGTH);
        if self.has_call() && is_streamed {
            receipt::announce_trailers(response.headers_mut());
        }
    }

    /// Records the response head.
    pub(super) fn head<B: Body>(&mut self, response: &mut Response<B>) {
        let body = response.body();
        let (has_ended, exact_length) = self.inspect(|| (body.is_end_stream(), body.size_hint().exact()));
        self.write_receipt(response, exact_length);
        let status = response.status();
        self.status = Some(status);
        let now = self.elapsed();
        self.time_to_head = Elapsed::of(now);
        self.is_bodyless = self.is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        // Servers send `Content-Length`, or else the exact size of the body, and drop the body once it is written.
        let content_length = response.headers().get(header::CONTENT_LENGTH);
        self.content_length = content_length
            .and_then(|length| length.to_str().ok()?.trim_ascii().parse().ok())
            .or(exact_length)
            .unwrap_or(UNKNOWN_LENGTH);
        // The answer of a layer is not that of a provider.
        if !self.tags.as_ref().is_some_and(Tags::is_rejected) {
            self.call.begin(&self.events, response);
        }
        if self.grpc.as_mut().is_some_and(|call| call.head(response)) {
            self.content_length = UNKNOWN_LENGTH;
        }
        if status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success()) {
            self.finish_at(now, Outcome::Upgraded, None);
        } else if has_ended {
            self.end_response(now);
        }
    }

    /// Records that the whole response was sent.
    fn end_response(&mut self, now: Duration) -> Option<Arc<Event>> {
        if let Some(call) = &mut self.grpc {
            call.end();
        }
        self.finish_at(now, Outcome::Completed, None)
    }

    /// Records a data frame. `has_ended` is `true` for the last one. Returns the trailers of the receipt at the end.
    pub(super) fn data(&mut self, data: &impl Buf, has_ended: bool) -> Option<Box<HeaderMap>> {
        let bytes = data.remaining();
        self.body_bytes += bytes as u64;
        let Self { call, events, start, .. } = self;
        call.read(data, || events.now().saturating_duration_since(*start));
        let is_over = has_ended || self.has_sent_all();
        let is_first = bytes > 0 && self.time_to_first_byte == Elapsed::NONE;
        if !is_first && !is_over {
            return None;
        }
        let now = self.elapsed();
        if is_first {
            self.time_to_first_byte = Elapsed::of(now);
        }
        if !is_over {
            return None;
        }
        let event = self.end_response(now);
        self.trailers(event)
    }

    /// Records the end of the body, with its trailers. Returns the trailers of the receipt.
    pub(super) fn complete(&mut self, trailers: Option<&HeaderMap>) -> Option<Box<HeaderMap>> {
        if self.is_over() {
            return None;
        }
        if let (Some(call), Some(trailers)) = (&mut self.grpc, trailers) {
            call.trailers(trailers);
        }
        let event = self.end_response(self.elapsed());
        self.trailers(event)
    }

    fn trailers(&self, event: Option<Arc<Event>>) -> Option<Box<HeaderMap>> {
        let event = event.filter(|_| self.sends_receipt())?;
        receipt::trailers(&event).map(Box::new)
    }

    /// Records the end of work that has no response.
    pub(super) fn end(&mut self, outcome: Outcome, error: Option<String>) {
        self.finish(outcome, error);
    }

    /// Records that a layer answers with `status` instead of the service.
    pub(super) fn reject(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.time_to_head = Elapsed::of(self.elapsed());
        self.finish(Outcome::Rejected, None);
    }

    /// Records an error of the service or its body.
    pub(super) fn fail(&mut self, error: String) {
        self.finish(Outcome::Failed, Some(error));
    }

    fn has_sent_all(&self) -> bool {
        self.body_bytes >= self.content_length
    }

    fn elapsed(&self) -> Duration {
        self.events.now().saturating_duration_since(self.start)
    }

    fn finish(&mut self, outcome: Outcome, error: Option<String>) -> Option<Arc<Event>> {
        if self.is_over() { None } else { self.finish_at(self.elapsed(), outcome, error) }
    }

    /// Emits and returns the event.
    fn finish_at(&mut self, duration: Duration, outcome: Outcome, error: Option<String>) -> Option<Arc<Event>> {
        let call = self.grpc.take();
        let has_method = call.as_ref().map(|call| call.has_method());
        let (grpc_status, outcome, error) = match call {
            Some(call) => call.finish(outcome, error),
            None => (None, outcome, error),
        };
        let tags = self.tags.take()?;
        self.scopes.close();
        let caller = self.call.caller(&tags);
        let event = tags.finish(|request| {
            self.call.end(&self.events, request, outcome, self.body_bytes > 0, duration);
            self.events.ensure_trace(request);
            let facts = request.facts_mut();
            facts.status = self.status;
            facts.grpc_status = grpc_status;
            if let Some(has_method) = has_method {
                self.events.settle_method(facts, has_method && outcome != Outcome::Rejected);
            }
            facts.time_to_head = self.time_to_head.get();
            facts.time_to_first_byte = self.time_to_first_byte.get();
            facts.response_body_bytes = self.body_bytes;
            facts.duration = duration;
            facts.outcome = outcome;
            request.fill_error(error);
        })?;
        if let Some(caller) = caller {
            PendingCall::roll_up(&caller, &event, self.start, &self.events.observers);
        }
        let for_receipt = self.sends_receipt().then(|| Arc::clone(&event));
        self.events.emit(event);
        for_receipt
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let has_head = self.status.is_some();
        let outcome = if has_head && (self.is_bodyless || self.has_sent_all()) {
            Outcome::Completed
        } else if self.user_code.has_panicked() || thread::panicking() {
            Outcome::Panicked
        } else if self.call.has_end_marker() {
            // SDKs hang up as soon as they have read the marker.
            Outcome::Completed
        } else {
            Outcome::Cancelled
        };
        // Also for a request that was never armed.
        self.scopes.close();
        self.finish(outcome, None);
    }
}
