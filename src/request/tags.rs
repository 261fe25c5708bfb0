#[cfg(feature = "otel")]
use std::any::Any;
use std::{
    fmt::{self, Write},
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use uuid::Uuid;

use crate::{
    body::{RequestFields, UserNote},
    event::Event,
    metadata::{Diagnostic, DiagnosticCode, Metadata, Scope, Scopes},
    short_text::ShortText,
    sync::lock,
    text::truncated,
    trace::TraceContext,
    usage::{ExtraCost, LlmCall, Recorded, UsageRecord},
};

#[cfg(feature = "llm")]
use crate::usage::Usage;

use super::request_state::{OpenRequest, RequestState};

/// A handle to the tags, trace ids, and event of a request.
///
/// Every layer of this crate inserts one into the request extensions. With the feature `axum` it is also an extractor.
/// Clones refer to the same request.
///
/// ```
/// use http::Request;
/// use tower_tagging::{Tags, tags, metadata::Scope};
///
/// async fn handler(request: Request<String>) {
///     let Some(tags) = request.extensions().get::<Tags>() else { return };
///     tags.insert("document_id", "42");
///     tags.extend_scope(Scope::Workspace, tags! { "tenant" => "acme" });
///     println!("{} in trace {}", tags.get("_user").unwrap_or_default(), tags.trace().trace_id());
/// }
///
/// // Handlers can be tested without a layer.
/// let tags = Tags::new();
/// tags.insert("_user", "ada");
/// assert_eq!(tags.metadata(), tags! { "_user" => "ada" });
/// ```
///
/// Values that are set after the response has ended are too late for the event and are dropped; see
/// [`is_finished`](Self::is_finished).
#[derive(Clone)]
pub struct Tags {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    state: Mutex<RequestState>,
    /// The number of request body bytes so far, or [`UNCOUNTED`] while no layer counts them.
    request_body_bytes: AtomicU64,
}

const UNCOUNTED: u64 = u64::MAX;

/// Maximum length of an error, a route, or a rejection, in characters.
const MAX_TEXT_CHARS: usize = 1024;

impl Default for Tags {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tags").field("metadata", &self.metadata()).finish_non_exhaustive()
    }
}

impl Tags {
    /// Creates a handle that belongs to no request and has the default limits.
    pub fn new() -> Self {
        Self::of(RequestState::detached())
    }

    pub(crate) fn of(state: RequestState) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::new(state), request_body_bytes: AtomicU64::new(UNCOUNTED) }) }
    }

    /// Returns the current effective metadata: all scopes, merged.
    pub fn metadata(&self) -> Metadata {
        self.read_metadata(Metadata::clone)
    }

    /// Returns the current effective value of a tag.
    pub fn get(&self, key: &str) -> Option<String> {
        self.read_metadata(|metadata| metadata.get(key).map(str::to_owned))
    }

    /// Returns the current effective tags by the scope that set them.
    pub(crate) fn effective_scopes(&self) -> Scopes {
        let open = |request: &mut OpenRequest| {
            let merged = request.unsettled.tags.merged();
            by_scope(&merged.metadata, merged.sources.iter().copied())
        };
        self.read(open, |event| by_scope(event.metadata(), event.sources().map(|(_, scope)| scope)))
    }

    fn read_metadata<T: Default>(&self, read: impl Fn(&Metadata) -> T) -> T {
        self.read(|request| read(&request.unsettled.tags.merged().metadata), |event| read(event.metadata()))
    }

    /// Reads the request, or its event once it has ended. The event is read without the lock, because its lazy step runs
    /// user code, such as a price book, that may use this handle.
    fn read<T: Default>(&self, open: impl FnOnce(&mut OpenRequest) -> T, finished: impl FnOnce(&Event) -> T) -> T {
        let mut state = self.state();
        if let Some(request) = state.open() {
            return open(request);
        }
        let event = state.event().cloned();
        drop(state);
        event.map_or_else(T::default, |event| finished(&event))
    }

    /// Returns the id of the event, if an event layer has started one.
    pub(crate) fn event_id(&self) -> Option<Uuid> {
        self.state().event_id().filter(|id| !id.is_nil())
    }

    /// Sets a tag in the scope [`Handler`](Scope::Handler), which overrides the client's value. Trusted scopes override both.
    ///
    /// The value is anything with a text, such as a string or a number. Values that exceed the [`Limits`](crate::metadata::Limits) are truncated or dropped, with a diagnostic. The client's
    /// tags do not count against these limits.
    ///
    /// ```
    /// use tower_tagging::{Tags, tags};
    ///
    /// let tags = Tags::new();
    /// tags.insert("documents", 42);
    /// tags.insert("cached", true);
    /// tags.insert("feature", "search");
    /// assert_eq!(tags.metadata(), tags! { "cached" => "true", "documents" => "42", "feature" => "search" });
    /// ```
    pub fn insert(&self, key: impl AsRef<str>, value: impl fmt::Display) {
        // Both are the caller's code and may use this handle, so they run before the lock.
        let (key, value) = (key.as_ref(), ShortText::of(value));
        self.change(|request| request.unsettled.tags.set([(key, value.as_str())]));
    }

    /// Sets several tags; see [`insert`](Self::insert).
    pub fn extend<K: AsRef<str>, V: fmt::Display>(&self, tags: impl IntoIterator<Item = (K, V)>) {
        // The iterator, the keys, and the values are the caller's code and may use this handle, so they run before the lock.
        let mut values = String::new();
        let mut add_value = |value: V| {
            let start = values.len();
            let _ = write!(values, "{value}");
            start..values.len()
        };
        let tags: Vec<_> = tags.into_iter().map(|(key, value)| (key, add_value(value))).collect();
        let value = |range: &Range<usize>| values.get(range.clone()).unwrap_or_default();
        let tags: Vec<_> = tags.iter().map(|(key, range)| (key.as_ref(), value(range))).collect();
        self.change(|request| request.unsettled.tags.set(tags));
    }

    /// Removes a tag that the client or the service set, and returns its value.
    ///
    /// Use this for data that must not be stored. Tags of trusted scopes and earlier diagnostics about the tag remain. The
    /// tag can be set again later, for instance by an inner layer or by `user` in the request body.
    ///
    /// ```
    /// use tower_tagging::Tags;
    ///
    /// let tags = Tags::new();
    /// tags.extend([("_user", "ada"), ("feature", "search")]);
    /// assert_eq!(tags.remove("_user").as_deref(), Some("ada"));
    /// assert_eq!(tags.get("_user"), None);
    /// ```
    pub fn remove(&self, key: &str) -> Option<String> {
        self.change(|request| request.unsettled.tags.remove(key)).flatten()
    }

    /// Adds tags to a scope, replacing existing values of the same keys.
    ///
    /// Inner layers that have authenticated the caller use this to supply trusted tags. The limits apply as they do for a
    /// client's tags. [`Scope::Request`] is reserved for clients; tags for it are added to [`Scope::Handler`].
    pub fn extend_scope(&self, scope: Scope, metadata: Metadata) {
        self.change(|request| request.unsettled.tags.extend_scope(scope, metadata));
    }

    /// Returns the trace ids of the request.
    ///
    /// Generates them if no [`TraceIdLayer`](crate::TraceIdLayer) has run. They are fixed from then on, so place layers that
    /// call this inside of the `TraceIdLayer`.
    pub fn trace(&self) -> TraceContext {
        self.state().trace()
    }

    /// Returns the data of an observer that is attached to the request, or attaches new data. Returns `None` once the request
    /// has ended.
    #[cfg(feature = "otel")]
    pub(crate) fn attachment<T: Any + Send + Sync + Default>(&self) -> Option<Arc<T>> {
        let mut state = self.state();
        let attachments = &mut state.open()?.facts_mut().attachments;
        let found = attachments.iter().find_map(|value| Arc::clone(value).downcast::<T>().ok());
        Some(found.unwrap_or_else(|| {
            let new = Arc::new(T::default());
            attachments.push(Arc::clone(&new) as Arc<dyn Any + Send + Sync>);
            new
        }))
    }

    /// Returns the trace for calls that this request makes: at its own span, or at the active OpenTelemetry span within it.
    pub(crate) fn trace_of_calls(&self) -> TraceContext {
        let trace = self.trace();
        #[cfg(feature = "otel")]
        let trace = trace.at_active_span();
        trace
    }

    /// Returns the current diagnostics: tags that were truncated, coerced, dropped, or shadowed.
    pub fn diagnostics(&self) -> Vec<Diagnostic<'static>> {
        self.read(|request| request.unsettled.tags.diagnostics(), |event| event.diagnostics().to_vec())
    }

    /// Adds a diagnostic to the event. At most 64 are kept.
    ///
    /// ```
    /// use tower_tagging::{Tags, metadata::{Diagnostic, DiagnosticCode}};
    ///
    /// let tags = Tags::new();
    /// tags.diagnose(Diagnostic::new(DiagnosticCode::Custom("unknown_plan")).with_key("plan"));
    /// assert_eq!(tags.diagnostics()[0].code().as_str(), "unknown_plan");
    /// ```
    pub fn diagnose(&self, diagnostic: Diagnostic<'_>) {
        self.change(|request| request.unsettled.tags.note(diagnostic));
    }

    /// Adds diagnostics to the event if it is an LLM call whose usage and cost remain unknown.
    pub(crate) fn diagnose_without_usage(&self, notes: Vec<Diagnostic<'static>>) {
        self.change(|request| request.unsettled.notes_without_usage.extend(notes));
    }

    /// Marks the request as rejected, for a layer that answers instead of the service.
    ///
    /// The outcome of the event becomes [`Rejected`](crate::event::Outcome::Rejected), and its
    /// [`rejection`](Event::rejection) this reason: a short code such as `budget`, at most 1,024 characters. The first reason
    /// is kept. A request that fails or panics afterwards keeps that outcome.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use http::{Request, Response, StatusCode};
    /// use tower::{Layer, ServiceExt};
    /// use tower_tagging::{EventLayer, Tags, event::Outcome, sink::MockSink};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let sink = MockSink::new();
    /// let service = EventLayer::new(sink.clone()).layer(tower::service_fn(|request: Request<String>| async move {
    ///     if let Some(tags) = request.extensions().get::<Tags>() {
    ///         tags.reject("out_of_credits");
    ///     }
    ///     let mut response = Response::new(String::new());
    ///     *response.status_mut() = StatusCode::PAYMENT_REQUIRED;
    ///     Ok::<_, std::convert::Infallible>(response)
    /// }));
    /// drop(service.oneshot(Request::new(String::new())).await?);
    /// assert_eq!(sink.single().outcome(), Outcome::Rejected);
    /// assert_eq!(sink.single().rejection(), Some("out_of_credits"));
    /// # Ok(())
    /// # }
    /// # main().unwrap(); }
    /// ```
    pub fn reject(&self, reason: &str) {
        self.change(|request| request.reject(truncated(reason, MAX_TEXT_CHARS)));
    }

    /// Takes back a rejection by a strict mode, for work that runs nevertheless.
    pub(crate) fn accept(&self) {
        self.change(OpenRequest::accept);
    }

    /// Sets [`Event::error`], truncated to 1,024 characters. The last call wins.
    pub fn set_error(&self, error: impl Into<String>) {
        let mut error = error.into();
        error.truncate(truncated(&error, MAX_TEXT_CHARS).len());
        self.change(|request| request.facts_mut().error = Some(error));
    }

    /// Sets [`Event::error`] unless it is set.
    pub(crate) fn fill_error(&self, error: String) {
        self.change(|request| request.fill_error(Some(error)));
    }

    /// Sets [`Event::route`], truncated to 1,024 characters.
    ///
    /// Use it with routers that do not provide the matched template.
    pub fn set_route(&self, route: &str) {
        self.change(|request| {
            let facts = request.facts_mut();
            facts.is_route_set = true;
            let text = &mut facts.route;
            text.clear();
            text.push_str(truncated(route, MAX_TEXT_CHARS));
        });
    }

    /// Records the usage of an LLM call that no layer observes.
    ///
    /// An example is a call that the handler makes through an SDK.
    ///
    /// Several records are added up, and each is priced on its own. The event names the last model. Recorded usage replaces
    /// the usage that was read from the response; the status is `recorded`. Usage without a model, as a plain
    /// [`Usage`](crate::usage::Usage), has no price unless [`record_cost`](Self::record_cost) supplies it. Pricing needs a
    /// `UsageTap`.
    ///
    /// Counts have the meaning that [`Usage`](crate::usage::Usage) documents, which may differ from the SDK's: Anthropic, for
    /// instance, reports cache reads and writes separately from the input. `record_response` converts them. Parts that exceed their whole are reported as a
    /// diagnostic.
    ///
    /// Usage that is recorded after the response has ended is lost; a `tracing` warning with the target
    /// `tower_tagging::tags` reports it.
    ///
    /// ```
    /// use tower_tagging::{Tags, usage::Usage};
    ///
    /// let tags = Tags::new();
    /// tags.record_usage(Usage::tokens(2_006, 300).of("openai", "gpt-4o"));
    /// ```
    pub fn record_usage(&self, usage: impl Into<UsageRecord>) {
        let usage = usage.into();
        self.record("usage", |recorded| recorded.add_usage(usage));
    }

    /// Records the usage that the response to an LLM call reports, for a call that no layer observes.
    ///
    /// The body is JSON or a stream of server-sent events, as the provider sent it; the first bytes decide. It is read as
    /// [`Usage::from_response`](crate::usage::Usage::from_response) and [`from_sse`](crate::usage::Usage::from_sse) do, with
    /// the conventions of the provider, which is its id in the price catalog. The rest is as for
    /// [`record_usage`](Self::record_usage). If the body reports no usage, or cannot be read, the usage status of the event is
    /// `absent` or `unparsed`.
    ///
    /// ```
    /// use tower_tagging::Tags;
    ///
    /// let tags = Tags::new();
    /// tags.record_response("openai", r#"{"model":"gpt-4o","usage":{"prompt_tokens":2006,"completion_tokens":300}}"#);
    /// ```
    #[cfg(feature = "llm")]
    pub fn record_response(&self, provider: impl Into<String>, body: impl AsRef<[u8]>) {
        self.record_usage(Usage::from_response(provider, body));
    }

    /// Records an LLM call that has its own event: its usage, and its cost as it was priced there.
    ///
    /// Unlike [`record_usage`](Self::record_usage), this does not price the usage again. `UsageTap::roll_up` calls it
    /// automatically.
    pub fn record_call(&self, call: &LlmCall) {
        self.record("call", |recorded| recorded.add_call(call, None));
    }

    /// Records an LLM call that started at this time.
    pub(crate) fn record_call_since(&self, start: Instant, call: &LlmCall) {
        self.record("call", |recorded| recorded.add_call(call, Some(start)));
    }

    /// Records a cost: of rows, seconds, bytes, or of a call whose price you know.
    ///
    /// Several costs are added up. They are added to the cost of usage that is priced otherwise. Costs that are recorded after
    /// the response has ended are lost, as for [`record_usage`](Self::record_usage).
    ///
    /// ```
    /// use tower_tagging::{Tags, usage::{ExtraCost, Money}};
    ///
    /// let tags = Tags::new();
    /// tags.record_cost(ExtraCost::new(Money::from_nano_usd(1_500)).of("rows", 1_200.0));
    /// ```
    pub fn record_cost(&self, cost: ExtraCost) {
        self.record("cost", |recorded| recorded.add_cost(cost));
    }

    /// Records billable amounts. A late record is logged, because it is lost.
    fn record(&self, kind: &str, record: impl FnOnce(&mut Recorded)) {
        if self.change(|request| record(&mut request.unsettled.recorded)).is_none() {
            tracing::warn!(
                target: "tower_tagging::tags",
                kind,
                "ignored: recorded after the response had ended"
            );
        }
    }

    /// Returns `true` once the request has ended and its event was emitted. Later changes have no effect.
    pub fn is_finished(&self) -> bool {
        self.state().is_finished()
    }

    /// Returns `true` if both handles belong to the same request.
    pub(crate) fn is_of_same_request(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, RequestState> {
        // Id generators, samplers, and the `tracing` subscriber run under this lock. They are documented not to use `Tags`.
        lock(&self.shared.state)
    }

    /// Changes the request. Returns `None` if it has ended.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut OpenRequest) -> T) -> Option<T> {
        self.state().open().map(change)
    }

    /// Takes the fields of the request body.
    pub(crate) fn take_request_fields(&self, fields: RequestFields) {
        self.change(|request| {
            if fields.user.is_some() || fields.user_note.is_some() {
                let note = fields.user_note.map(|note| match note {
                    UserNote::TooLarge => DiagnosticCode::TooLarge,
                    UserNote::NotUtf8 => DiagnosticCode::NotUtf8,
                });
                request.unsettled.tags.fill_user(fields.user.as_deref(), note);
            }
            request.unsettled.fields = fields;
        });
    }

    /// Starts counting the request body. Returns `false` if another layer counts it.
    pub(crate) fn claim_request_body(&self) -> bool {
        let count = &self.shared.request_body_bytes;
        count.compare_exchange(UNCOUNTED, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Counts bytes of the request body.
    pub(crate) fn count_request_body(&self, bytes: u64) {
        self.shared.request_body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Finishes and returns the event. Later changes have no effect.
    pub(crate) fn finish(self, complete: impl FnOnce(&mut OpenRequest)) -> Option<Arc<Event>> {
        let body_bytes = self.shared.request_body_bytes.load(Ordering::Relaxed);
        let body_bytes = (body_bytes != UNCOUNTED).then_some(body_bytes);
        // This is usually the last handle. The event then belongs to the sinks alone.
        match Arc::try_unwrap(self.shared) {
            Ok(shared) => {
                let mut state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
                state.finish(body_bytes, complete);
                state.into_event()
            }
            Err(shared) => {
                let mut state = lock(&shared.state);
                state.finish(body_bytes, complete);
                state.event().cloned()
            }
        }
    }
}

/// Groups tags by the scope that set them.
fn by_scope(metadata: &Metadata, sources: impl Iterator<Item = Scope>) -> Scopes {
    let mut scopes = Scopes::new();
    for ((key, value), scope) in metadata.iter().zip(sources) {
        scopes.get_mut(scope).insert(key, value);
    }
    scopes
}
