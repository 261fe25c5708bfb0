#[cfg(feature = "llm")]
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{
    any::type_name,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Buf;
#[cfg(feature = "llm")]
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, header};
use http_body::Body;

use crate::{
    Tags,
    event::{Event, Outcome},
};

#[cfg(all(feature = "propagate", feature = "llm"))]
use crate::usage::{LlmCall, UsageTap};
#[cfg(feature = "llm")]
use crate::usage::{LlmEndpoint, ObservedCall};

use super::{event_layer::Events, receipt};

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the request")]
/// The guard of one request: moves from the response future into the response body and emits the event once, at the
/// end, at an error, or when it is dropped.
pub(crate) struct Pending {
    /// `None` before the request is under way, and once the event is emitted.
    tags: Option<Tags>,
    events: Arc<Events>,
    start: Instant,
    is_head: bool,
    is_connect: bool,
    status: Option<StatusCode>,
    head: Elapsed,
    first_byte: Elapsed,
    body_bytes: u64,
    /// [`UNKNOWN_LENGTH`] when it is not declared.
    content_length: u64,
    /// No body is sent, whatever the service's body holds: HEAD, 204, 304.
    is_bodyless: bool,
    user_code: UserCode,
    #[cfg(feature = "llm")]
    llm: Option<Box<ObservedCall>>,
    /// The request that makes the LLM call, if the cost of the call is recorded on it.
    #[cfg(all(feature = "propagate", feature = "llm"))]
    caller: Option<Tags>,
    /// What the service runs within, and where the request is counted among the active ones.
    #[cfg(feature = "otel")]
    otel: Option<(opentelemetry::Context, crate::otel::ActivePlace)>,
    /// Boxed, as the guard moves with the response and seldom has one.
    span: Option<Box<tracing::Span>>,
}

/// Whether the user's code runs: the service, its body, a resolver or a hook. Still set when the guard is dropped, it tells of
/// a panic that was caught in between. An atomic, since a body may be looked at through a shared reference.
#[derive(Default)]
struct UserCode(AtomicBool);

impl UserCode {
    /// Runs it. The mark stays when it panics.
    #[inline]
    fn run<T>(&self, code: impl FnOnce() -> T) -> T {
        self.0.store(true, Ordering::Relaxed);
        let result = code();
        self.0.store(false, Ordering::Relaxed);
        result
    }

    fn has_panicked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A length that no body has.
const UNKNOWN_LENGTH: u64 = u64::MAX;

/// Nanoseconds since the start, once there are any; half as large as `Option<Duration>`, since the guard moves with the
/// response.
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
    pub(super) fn new(events: Arc<Events>, start: Instant, method: &Method) -> Self {
        Self {
            tags: None,
            events,
            start,
            is_head: method == Method::HEAD,
            is_connect: method == Method::CONNECT,
            status: None,
            head: Elapsed::NONE,
            first_byte: Elapsed::NONE,
            body_bytes: 0,
            content_length: UNKNOWN_LENGTH,
            is_bodyless: false,
            user_code: UserCode::default(),
            #[cfg(feature = "llm")]
            llm: None,
            #[cfg(all(feature = "propagate", feature = "llm"))]
            caller: None,
            #[cfg(feature = "otel")]
            otel: None,
            span: None,
        }
    }

    /// Runs the request within a context of OpenTelemetry.
    #[cfg(feature = "otel")]
    pub(super) fn within_context(mut self, context: opentelemetry::Context, place: crate::otel::ActivePlace) -> Self {
        self.otel = Some((context, place));
        self
    }

    /// Runs the request within a span.
    pub(super) fn within(mut self, span: tracing::Span) -> Self {
        self.span = (!span.is_none()).then(|| Box::new(span));
        self
    }

    /// Looks whether the request is an LLM exchange. May run the user's code.
    #[cfg(feature = "llm")]
    pub(super) fn detect(&mut self, head: &Parts) -> Option<LlmEndpoint> {
        let usage = self.events.usage()?;
        // It is armed before the user's code runs, and not where there is none.
        if self.tags.is_none() {
            return usage.detect(head);
        }
        let usage = usage.clone();
        self.run(|| usage.detect(head))
    }

    /// What is seen of the exchange goes into this record.
    #[cfg(feature = "llm")]
    pub(super) fn observe(&mut self, exchange: LlmEndpoint, mut record: Box<ObservedCall>) {
        record.observe(exchange);
        #[cfg(feature = "propagate")]
        if self.events.usage().is_some_and(UsageTap::rolls_up) {
            self.caller = Tags::current();
        }
        self.llm = Some(record);
    }

    /// Makes the request's context the current one.
    #[cfg(feature = "otel")]
    pub(super) fn attach(&self) -> Option<opentelemetry::ContextGuard> {
        self.otel.as_ref().map(|otel| otel.0.clone().attach())
    }

    /// Hands in the tags: from now on the event is emitted, whatever happens.
    pub(super) fn armed(&mut self, tags: &Tags) -> &mut Self {
        self.tags.get_or_insert_with(|| tags.clone());
        self
    }

    /// Whether the event was emitted.
    pub(super) fn is_over(&self) -> bool {
        self.tags.is_none()
    }

    /// Calls or polls the user's code within the request's span and context.
    #[inline]
    pub(super) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        self.user_code.run(|| {
            // The context of OpenTelemetry is the first to come and the last to go, so that a span of `tracing` is a child of
            // ours.
            #[cfg(feature = "otel")]
            let _attached = self.otel.as_ref().map(|otel| otel.0.clone().attach());
            let _span = self.span.as_ref().map(|span| span.enter());
            #[cfg(feature = "propagate")]
            let _current = self.tags.is_some().then_some(&mut self.tags).map(crate::request::current::Entered::new);
            code()
        })
    }

    /// Asks the user's code something that needs neither span nor context.
    #[inline]
    pub(super) fn look<T>(&self, code: impl FnOnce() -> T) -> T {
        self.user_code.run(code)
    }

    /// Whether the client is to get a receipt.
    pub(super) fn gives_receipt(&self) -> bool {
        self.events.gives_receipts()
    }

    /// Writes the part of the receipt that is known with the response head.
    fn write_receipt<B>(&self, response: &mut Response<B>, exact_length: Option<u64>) {
        let Some(tags) = self.tags.as_ref().filter(|_| self.gives_receipt()) else { return };
        let diagnostics = tags.diagnostics();
        receipt::write_head(response.headers_mut(), tags.state().event(), &diagnostics);
        #[cfg(feature = "llm")]
        let may_use_tokens = self.llm.is_some();
        #[cfg(not(feature = "llm"))]
        let may_use_tokens = false;
        if may_use_tokens && exact_length.is_none() && !response.headers().contains_key(header::CONTENT_LENGTH) {
            receipt::announce(response.headers_mut());
        }
    }

    /// The response head is there.
    pub(super) fn head<B: Body>(&mut self, response: &mut Response<B>) {
        let body = response.body();
        let (has_ended, exact_length) = self.look(|| (body.is_end_stream(), body.size_hint().exact()));
        self.write_receipt(response, exact_length);
        let status = response.status();
        self.status = Some(status);
        let now = self.elapsed();
        self.head = Elapsed::of(now);
        self.is_bodyless = self.is_head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        // Servers send `Content-Length`, or else the exact size of the body, and drop the body once all of it is written.
        let content_length = response.headers().get(header::CONTENT_LENGTH);
        self.content_length = content_length
            .and_then(|length| length.to_str().ok()?.trim_ascii().parse().ok())
            .or(exact_length)
            .unwrap_or(UNKNOWN_LENGTH);
        #[cfg(feature = "llm")]
        if let Some(record) = &mut self.llm
            && let Some(usage) = self.events.usage()
        {
            record.begin(|exchange, buffer| usage.tap(exchange, response, buffer));
        }
        if status == StatusCode::SWITCHING_PROTOCOLS || (self.is_connect && status.is_success()) {
            self.finish_at(now, Outcome::Upgraded, None, false);
        } else if has_ended {
            self.finish_at(now, Outcome::Completed, None, false);
        }
    }

    /// A data frame passes. `has_ended` says whether it was the last. Gives what the trailers are to say, if that was all.
    pub(super) fn data(&mut self, data: &impl Buf, has_ended: bool) -> Option<Box<HeaderMap>> {
        let bytes = data.remaining();
        self.body_bytes += bytes as u64;
        #[cfg(feature = "llm")]
        self.show_tap(data);
        let is_over = has_ended || self.has_sent_all();
        let is_first = bytes > 0 && self.first_byte == Elapsed::NONE;
        if !is_first && !is_over {
            return None;
        }
        let now = self.elapsed();
        if is_first {
            self.first_byte = Elapsed::of(now);
        }
        let event = if is_over { self.finish_at(now, Outcome::Completed, None, true) } else { None };
        Self::receipt(event)
    }

    /// The body ended. Gives what the trailers are to say.
    pub(super) fn complete(&mut self) -> Option<Box<HeaderMap>> {
        let event = self.finish(Outcome::Completed, None, true);
        Self::receipt(event)
    }

    fn receipt(event: Option<Arc<Event>>) -> Option<Box<HeaderMap>> {
        receipt::trailers(&*event?).map(Box::new)
    }

    /// The service answered nothing itself.
    pub(super) fn reject(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.head = Elapsed::of(self.elapsed());
        self.finish(Outcome::Rejected, None, false);
    }

    /// The service or its body, as `origin` says, returned an error.
    pub(super) fn fail<E>(&mut self, origin: &str) {
        self.finish(Outcome::Failed, Some(error_of::<E>(origin)), false);
    }

    fn has_sent_all(&self) -> bool {
        self.body_bytes >= self.content_length
    }

    /// Shows a data frame to the tap.
    #[cfg(feature = "llm")]
    fn show_tap(&mut self, data: &impl Buf) {
        let Some(tap) = self.llm.as_mut().and_then(|record| record.tap()) else { return };
        // The time matters only until the first token.
        let now = if tap.waits_for_token() {
            self.events.now().saturating_duration_since(self.start)
        } else {
            Duration::ZERO
        };
        // A decoder or parser that fails costs the client nothing.
        let look = || super::pieces::for_each(data, |piece| tap.feed(piece, now));
        if !matches!(catch_unwind(AssertUnwindSafe(look)), Ok(true)) {
            tap.give_up();
        }
    }

    /// What is known of the usage, for the event.
    #[cfg(feature = "llm")]
    fn llm(&mut self, event: &mut Event, outcome: Outcome, duration: Duration) -> Option<Box<ObservedCall>> {
        if let Some(mut record) = self.llm.take() {
            record.end(outcome == Outcome::Completed, self.body_bytes > 0, duration);
            return Some(record);
        }
        (!event.recorded.is_empty()).then(|| event.spare_llm.take().unwrap_or_else(ObservedCall::empty))
    }

    fn elapsed(&self) -> Duration {
        self.events.now().saturating_duration_since(self.start)
    }

    fn finish(&mut self, outcome: Outcome, error: Option<String>, has_trailers: bool) -> Option<Arc<Event>> {
        if self.is_over() { None } else { self.finish_at(self.elapsed(), outcome, error, has_trailers) }
    }

    /// Lets go of the context, and counts the request out.
    #[cfg(feature = "otel")]
    fn leave_context(&mut self) {
        if let Some((_, place)) = self.otel.take() {
            self.events.leave(place);
        }
    }

    /// Emits the event, and gives it where a receipt of it can still be written: in the trailers.
    fn finish_at(
        &mut self,
        duration: Duration,
        outcome: Outcome,
        error: Option<String>,
        has_trailers: bool,
    ) -> Option<Arc<Event>> {
        let tags = self.tags.take()?;
        #[cfg(feature = "otel")]
        self.leave_context();
        #[cfg(all(feature = "propagate", feature = "llm"))]
        let caller = self.caller.take().filter(|other| !other.is_of_same_request(&tags));
        let event = tags.finish(|event| {
            #[cfg(feature = "llm")]
            if let Some(record) = self.llm(event, outcome, duration) {
                event.llm = Some(record);
                event.price_by(self.events.usage());
            }
            self.events.ensure_trace(event);
            event.status = self.status;
            event.head = self.head.get();
            event.first_byte = self.first_byte.get();
            event.response_body_bytes = self.body_bytes;
            event.duration = duration;
            event.outcome = outcome;
            event.fill_error(error);
        });
        #[cfg(all(feature = "propagate", feature = "llm"))]
        if let Some(caller) = caller {
            // Nobody pays for what failed and counts nothing; what an answer would have told that nobody waited for is unknown.
            let may_be_billed = self.status.map_or(outcome == Outcome::Cancelled, |status| status.is_success());
            let is_told = |call: &&LlmCall| may_be_billed || call.usage().is_some() || call.cost().is_some();
            if let Some(call) = event.llm().filter(is_told) {
                caller.record_call(call);
            }
        }
        let for_receipt = (has_trailers && self.gives_receipt()).then(|| Arc::clone(&event));
        self.events.emit(event);
        for_receipt
    }
}

/// What an event says of an error. Of its type only the name can be known.
pub(super) fn error_of<E>(origin: &str) -> String {
    format!("{origin} error: {}", type_name::<E>())
}

impl Drop for Pending {
    fn drop(&mut self) {
        let has_head = self.status.is_some();
        let outcome = if has_head && (self.is_bodyless || self.has_sent_all()) {
            Outcome::Completed
        } else if self.user_code.has_panicked() || thread::panicking() {
            Outcome::Panicked
        } else {
            Outcome::Cancelled
        };
        // First, whatever comes of the rest; of a request that did not get under way too.
        #[cfg(feature = "otel")]
        self.leave_context();
        self.finish(outcome, None, false);
    }
}
