use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use http::request::Parts;

#[cfg(feature = "llm")]
use crate::usage::{ExtraCost, LlmCall, Recorded, UsageRecord};
use crate::{
    body::request_fields::{RequestFields, UserNote},
    event::{Event, Outcome},
    metadata::{Diagnostic, DiagnosticCode, Metadata, Scope, Scopes},
    text::truncated,
    trace::{RandomIds, TraceContext},
};

use super::MetadataLayer;

/// The handle to a request's tags and trace ids, for handlers and inner layers.
///
/// Every layer of this crate puts one into the request extensions; with the feature `axum` it is an extractor too. Clones
/// are the same request. What is set here is on the event, and wins over what the client said in the same scope:
///
/// ```
/// use http::Request;
/// use tower_tagging::{Tags, tags, metadata::Scope};
///
/// async fn handler(request: Request<String>) {
///     let Some(tags) = request.extensions().get::<Tags>() else { return };
///     tags.insert("document_id", "42");
///     tags.extend_scope(Scope::Workspace, tags! { "tenant" => "acme" });
///     println!("{} asks in trace {}", tags.get("_user").unwrap_or_default(), tags.trace().trace_id());
/// }
///
/// // A handler can be tested without any layer.
/// let tags = Tags::new();
/// tags.insert("_user", "ada");
/// assert_eq!(tags.metadata(), tags! { "_user" => "ada" });
/// ```
///
/// Tags set after the response is over come too late for the event and are dropped; [`is_finished`](Self::is_finished)
/// tells.
#[derive(Clone)]
pub struct Tags {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    state: Mutex<State>,
    /// Bytes of the request body so far, and [`UNCOUNTED`] while nobody counts.
    request_body_bytes: AtomicU64,
}

const UNCOUNTED: u64 = u64::MAX;

/// Longest error or route that a handler records, in characters.
const MAX_TEXT_CHARS: usize = 1024;

/// The request at hand. The event is written in place; nobody else has it until the request is over.
pub(crate) struct State {
    event: Arc<Event>,
    flags: Flags,
    finished: bool,
}

/// What has happened to a request that is not over.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own about the request")]
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    /// An event layer will emit the event.
    is_claimed: bool,
    /// A layer of ours answers instead of the service.
    is_rejected: bool,
    /// The shadowed tags are counted.
    is_counted: bool,
}

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
    /// A handle of its own, that belongs to no request, with the default limits.
    pub fn new() -> Self {
        Self::of(State::default())
    }

    /// The handle to a request.
    pub(crate) fn of(state: State) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::new(state), request_body_bytes: AtomicU64::new(UNCOUNTED) }) }
    }

    /// The effective metadata as it is now: all scopes merged.
    pub fn metadata(&self) -> Metadata {
        self.state().effective().clone()
    }

    /// The effective tags as they are now, each in the scope that set it.
    #[cfg(feature = "propagate")]
    pub(crate) fn scopes(&self) -> Scopes {
        let mut state = self.state();
        state.read_tags();
        let event = state.event();
        let of = |wanted| {
            let tags = event.metadata().iter().zip(event.sources());
            tags.filter(move |(_, (_, scope))| *scope == wanted).map(|(tag, _)| tag).collect()
        };
        Scope::ALL.into_iter().fold(Scopes::new(), |scopes, scope| scopes.with(scope, of(scope)))
    }

    /// The effective value of a tag.
    pub fn get(&self, key: &str) -> Option<String> {
        self.state().effective().get(key).map(str::to_owned)
    }

    /// Sets a tag of the request, over what the client said. A trusted scope still wins over it.
    ///
    /// What is over the [`Limits`](crate::metadata::Limits) is cut or dropped, and noted; a client's tags take none of its room.
    pub fn insert(&self, key: impl AsRef<str>, value: impl AsRef<str>) {
        self.extend([(key, value)]);
    }

    /// Sets several tags of the request; see [`insert`](Self::insert).
    pub fn extend<K: AsRef<str>, V: AsRef<str>>(&self, tags: impl IntoIterator<Item = (K, V)>) {
        // Iterator and texts are the caller's code, which may call this handle: they run before the lock.
        let tags: Vec<_> = tags.into_iter().collect();
        let tags: Vec<_> = tags.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
        if let Some(request) = self.state().open() {
            request.event.tags.write(|writer| {
                for (key, value) in tags {
                    writer.set(key, value);
                }
            });
        }
    }

    /// Takes a tag of the request out, whether the client or code set it, and gives its value: for what is not to be on
    /// record. Notes that were made on it before stay.
    ///
    /// What a trusted scope has under the key stays, and is in force. Nothing is kept from saying it again: not an inner layer,
    /// and not the request body, whose `user` is read as the body passes.
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
        self.state().open()?.event.tags.remove(key)
    }

    /// Sets tags of a scope, over those it has under the same keys and beside its others: how an inner layer that knows
    /// the caller hands in what can be trusted. The limits apply as they do to a client's tags.
    pub fn extend_scope(&self, scope: Scope, metadata: Metadata) {
        if let Some(request) = self.state().open() {
            request.event.tags.add(scope, metadata);
        }
    }

    /// The trace ids of the request; made now when no [`TraceIdLayer`](crate::TraceIdLayer) read any. So a layer that asks
    /// belongs inside of that one: ids that were asked for do not change any more.
    pub fn trace(&self) -> TraceContext {
        let mut state = self.state();
        if let Some(request) = state.open() {
            request.event.ensure_trace(&RandomIds);
        }
        state.event.trace.clone()
    }

    /// The notes on what was cut, coerced, dropped or shadowed so far.
    pub fn diagnostics(&self) -> Vec<Diagnostic<'static>> {
        let mut state = self.state();
        state.read_tags();
        state.event.diagnostics().into_iter().map(Diagnostic::into_owned).collect()
    }

    /// Records what went wrong, for [`Event::error`]: at most 1,024 characters of it. The last call counts.
    pub fn set_error(&self, error: impl Into<String>) {
        let mut error = error.into();
        error.truncate(truncated(&error, MAX_TEXT_CHARS).len());
        if let Some(request) = self.state().open() {
            request.event.error = Some(error);
        }
    }

    /// Records what went wrong, unless that is known.
    pub(crate) fn fill_error(&self, error: String) {
        if let Some(request) = self.state().open() {
            request.event.fill_error(Some(error));
        }
    }

    /// Records the template that the request matched, such as `/users/{id}`, for routers that do not say it themselves: at
    /// most 1,024 characters of it.
    pub fn set_route(&self, route: &str) {
        if let Some(request) = self.state().open() {
            request.event.route.clear();
            request.event.route.push_str(truncated(route, MAX_TEXT_CHARS));
        }
    }

    /// Records LLM usage of a call that no layer sees, such as one that the handler makes through an SDK.
    ///
    /// Several calls add up, each priced by itself; the event names the model of the last. They stand in place of what was
    /// read from the response; the status is `recorded`. Without a model, as a plain [`Usage`](crate::usage::Usage), it has no
    /// price but what [`record_cost`](Self::record_cost) says. Prices need a [`UsageTap`](crate::usage::UsageTap).
    ///
    /// Its meaning is that of [`Usage`](crate::usage::Usage), whatever the SDK's: Anthropic, for one, counts cache reads and
    /// writes beside the input. Parts that are more than their whole are a diagnostic.
    ///
    /// What comes after the response is over is on no event; a warning of `tracing`, target `tower_tagging::tags`, says so.
    ///
    /// ```
    /// use tower_tagging::{Tags, usage::Usage};
    ///
    /// let tags = Tags::new();
    /// tags.record_usage(Usage::tokens(2_006, 300).of("openai", "gpt-4o"));
    /// ```
    #[cfg(feature = "llm")]
    pub fn record_usage(&self, usage: impl Into<UsageRecord>) {
        let usage = usage.into();
        self.record("usage", |recorded| recorded.add_usage(usage));
    }

    /// Records a call that has an event of its own: its usage, and what it cost as it was priced there.
    ///
    /// As [`record_usage`](Self::record_usage), which prices anew what it is told; `UsageTap::roll_up`, with the
    /// feature `client`, does it by itself.
    #[cfg(feature = "llm")]
    pub fn record_call(&self, call: &LlmCall) {
        self.record("a call", |recorded| recorded.add_call(call));
    }

    /// Records a cost: of rows, seconds, bytes, or of a call whose price you know. Several add up, and come on top of what is
    /// priced otherwise: a call that was recorded with its model has its price already. What comes too late is
    /// [warned of](Self::record_usage).
    ///
    /// ```
    /// use tower_tagging::{Tags, usage::{ExtraCost, Money}};
    ///
    /// let tags = Tags::new();
    /// tags.record_cost(ExtraCost::new(Money::from_nano_usd(1_500)).of("rows", 1_200.0));
    /// ```
    #[cfg(feature = "llm")]
    pub fn record_cost(&self, cost: ExtraCost) {
        self.record("cost", |recorded| recorded.add_cost(cost));
    }

    /// Records what is billed. That it comes too late must not go unseen.
    #[cfg(feature = "llm")]
    fn record(&self, what: &str, record: impl FnOnce(&mut Recorded)) {
        let is_recorded = self.state().open().map(|request| record(&mut request.event.recorded)).is_some();
        if !is_recorded {
            tracing::warn!(
                target: "tower_tagging::tags",
                "{what} was recorded after the response was over: it is on no event"
            );
        }
    }

    /// Takes in what the request body said.
    pub(crate) fn take_request_fields(&self, fields: RequestFields) {
        self.fill_user(&fields);
        #[cfg(feature = "llm")]
        if let Some(request) = self.state().open() {
            request.event.request_fields = fields;
        }
        #[cfg(not(feature = "llm"))]
        drop(fields);
    }

    /// Whether the request is over and its event was emitted: nothing set from now on is on it.
    pub fn is_finished(&self) -> bool {
        self.state().finished
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // Of others' code only id generators and the subscriber run under the lock, which are told not to panic;
        // and every change is complete where one could.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fills `_user` from the request body when it is missing or empty.
    fn fill_user(&self, fields: &RequestFields) {
        if fields.user.is_none() && fields.user_note.is_none() {
            return;
        }
        let mut state = self.state();
        let Some(request) = state.open() else { return };
        request.event.tags.write_said(|tags| {
            if tags.is_blank("_user") {
                if let Some(note) = fields.user_note {
                    let code = match note {
                        UserNote::TooLarge => DiagnosticCode::TooLarge,
                        UserNote::NotUtf8 => DiagnosticCode::NotUtf8,
                    };
                    tags.note(Diagnostic::new(code).with_key("user"));
                }
                if let Some(user) = &fields.user {
                    tags.set("_user", user);
                }
            }
        });
    }

    /// Begins the count of the request body; false when another layer counts already.
    pub(crate) fn claim_request_body(&self) -> bool {
        let count = &self.shared.request_body_bytes;
        count.compare_exchange(UNCOUNTED, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Counts bytes of the request body.
    pub(crate) fn count_request_body(&self, bytes: u64) {
        self.shared.request_body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Completes the event and gives it away. Nothing can be set from now on.
    pub(crate) fn finish(self, complete: impl FnOnce(&mut Event)) -> Arc<Event> {
        let body_bytes = self.shared.request_body_bytes.load(Ordering::Relaxed);
        let body_bytes = (body_bytes != UNCOUNTED).then_some(body_bytes);
        // With the last handle gone, as is usual, nobody else can look and the event is the sinks' alone.
        match Arc::try_unwrap(self.shared) {
            Ok(shared) => {
                let mut state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
                state.finish(body_bytes, complete);
                state.event
            }
            Err(shared) => {
                let tags = Self { shared };
                let mut state = tags.state();
                state.finish(body_bytes, complete);
                Arc::clone(&state.event)
            }
        }
    }
}

impl Default for State {
    /// A request that belongs to no event layer.
    fn default() -> Self {
        Self::new(Arc::new(Event { time: SystemTime::now(), ..Event::default() }))
    }
}

impl State {
    /// A request that this event will be the record of.
    pub(crate) fn new(event: Arc<Event>) -> Self {
        Self { event, flags: Flags::default(), finished: false }
    }

    fn finish(&mut self, request_body_bytes: Option<u64>, complete: impl FnOnce(&mut Event)) {
        if let Some(OpenRequest { event, flags }) = self.open() {
            event.request_body_bytes = request_body_bytes;
            complete(event);
            if flags.is_rejected && matches!(event.outcome, Outcome::Completed | Outcome::Cancelled) {
                event.outcome = Outcome::Rejected;
            }
            event.tags.finish(!flags.is_counted);
        }
        self.finished = true;
    }

    /// What can be written while the request is not over.
    pub(crate) fn open(&mut self) -> Option<OpenRequest<'_>> {
        if self.finished {
            return None;
        }
        let Self { event, flags, .. } = self;
        Some(OpenRequest { event: Arc::get_mut(event)?, flags })
    }

    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    /// Reads the tags of a request that is not over, once for all who ask.
    fn read_tags(&mut self) {
        if let Some(request) = self.open() {
            request.event.tags.read();
        }
    }

    /// The effective metadata, merged anew if a scope changed.
    fn effective(&mut self) -> &Metadata {
        self.read_tags();
        self.event.metadata()
    }
}

/// A request that is not over.
pub(crate) struct OpenRequest<'a> {
    pub(crate) event: &'a mut Event,
    flags: &'a mut Flags,
}

impl OpenRequest<'_> {
    /// Marks the event as one that will be emitted; false when another layer did before.
    pub(crate) fn claim(&mut self) -> bool {
        !std::mem::replace(&mut self.flags.is_claimed, true)
    }

    /// Takes in the tags that the request brings. Gives the reason when it is to be rejected.
    pub(crate) fn begin_tags(
        &mut self,
        layer: &MetadataLayer,
        head: &Parts,
        trusted: Option<Scopes>,
    ) -> Option<Diagnostic<'static>> {
        let rejection = self.event.tags.begin(layer, &head.headers, trusted);
        self.flags.is_rejected |= rejection.is_some();
        // Where no event will count it.
        if !self.flags.is_claimed && !self.flags.is_counted {
            self.flags.is_counted = self.event.tags.count_shadowed();
        }
        rejection
    }
}
