use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Method, StatusCode, Version};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq, SerializeStruct},
};
use uuid::Uuid;

use crate::{
    metadata::{Diagnostic, DiagnosticCode, Metadata, Scope},
    request::request_tags::RequestTags,
    time::{micros, micros_since_1970},
    trace::{IdGenerator, TraceContext},
};

#[cfg(feature = "llm")]
use crate::{
    body::request_fields::RequestFields,
    usage::{LlmCall, LlmRecord, Recorded, RequestFacts, UsageTap},
};

use super::{Outcome, pool::EventPool};

/// The one record of a request; see the [module](super).
#[non_exhaustive]
pub struct Event {
    pub(crate) id: Uuid,
    pub(crate) time: SystemTime,
    pub(crate) trace: TraceContext,
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// By the request's URI, where it says so; not serialized.
    pub(crate) is_https: bool,
    pub(crate) path: String,
    /// Empty when there is none, as is `host`, so that the buffer stays for the next request.
    pub(crate) route: String,
    pub(crate) host: String,
    pub(crate) request_body_bytes: Option<u64>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) response_body_bytes: u64,
    pub(crate) head: Option<Duration>,
    pub(crate) first_byte: Option<Duration>,
    pub(crate) duration: Duration,
    pub(crate) outcome: Outcome,
    pub(crate) api_key: Option<Box<str>>,
    pub(crate) workspace: Option<Box<str>>,
    pub(crate) virtual_key: Option<Box<str>>,
    pub(crate) rejection: Option<Box<str>>,
    pub(crate) limit_rule: Option<Box<str>>,
    pub(crate) error: Option<String>,
    pub(crate) tags: RequestTags,
    #[cfg(feature = "llm")]
    pub(crate) llm: Option<Box<LlmRecord>>,
    /// One with nothing in it, for the next exchange.
    #[cfg(feature = "llm")]
    pub(crate) spare_llm: Option<Box<LlmRecord>>,
    #[cfg(feature = "llm")]
    pub(crate) recorded: Recorded,
    #[cfg(feature = "llm")]
    pub(crate) request_fields: RequestFields,
    /// What its usage is priced by. It stays for the next request, as the rules of the tags do.
    #[cfg(feature = "llm")]
    pub(crate) tap: Option<UsageTap>,
    /// Where the event goes when it was delivered.
    pub(crate) home: Option<Arc<EventPool>>,
}

/// Largest text buffer that is kept for the next request, in bytes.
const KEEP_BYTES: usize = 4096;

impl Default for Event {
    fn default() -> Self {
        Self {
            id: Uuid::nil(),
            time: SystemTime::UNIX_EPOCH,
            trace: TraceContext::unset(),
            method: Method::GET,
            version: Version::HTTP_11,
            is_https: false,
            path: String::new(),
            route: String::new(),
            host: String::new(),
            request_body_bytes: None,
            status: None,
            response_body_bytes: 0,
            head: None,
            first_byte: None,
            duration: Duration::ZERO,
            outcome: Outcome::Cancelled,
            api_key: None,
            workspace: None,
            virtual_key: None,
            rejection: None,
            limit_rule: None,
            error: None,
            tags: RequestTags::default(),
            #[cfg(feature = "llm")]
            llm: None,
            #[cfg(feature = "llm")]
            spare_llm: None,
            #[cfg(feature = "llm")]
            recorded: Recorded::default(),
            #[cfg(feature = "llm")]
            request_fields: RequestFields::default(),
            #[cfg(feature = "llm")]
            tap: None,
            home: None,
        }
    }
}

impl Event {
    /// Empties the event and keeps its buffers, unless they grew large.
    pub(super) fn reset(&mut self) {
        // All fields by name, so that none is forgotten. Those that every request sets anew keep their value: memory that
        // another thread wrote is slow to read.
        let Self {
            id: _,
            time: _,
            trace,
            method: _,
            version: _,
            is_https: _,
            path,
            route,
            host,
            request_body_bytes: _,
            status: _,
            response_body_bytes: _,
            head: _,
            first_byte: _,
            duration: _,
            outcome: _,
            api_key,
            workspace,
            virtual_key,
            rejection,
            limit_rule,
            error,
            tags,
            #[cfg(feature = "llm")]
            llm,
            #[cfg(feature = "llm")]
            spare_llm,
            #[cfg(feature = "llm")]
            recorded,
            #[cfg(feature = "llm")]
            request_fields,
            #[cfg(feature = "llm")]
                tap: _,
            home: _,
        } = self;
        trace.unset_ids();
        for name in [api_key, workspace, virtual_key, rejection, limit_rule] {
            *name = None;
        }
        *error = None;
        for text in [path, route, host] {
            text.clear();
            text.shrink_to(KEEP_BYTES);
        }
        tags.reset(KEEP_BYTES);
        #[cfg(feature = "llm")]
        {
            if let Some(mut record) = llm.take() {
                record.reset();
                *spare_llm = Some(record);
            }
            if !recorded.is_empty() {
                *recorded = Recorded::default();
            }
            if *request_fields != RequestFields::default() {
                *request_fields = RequestFields::default();
            }
        }
    }

    /// About the bytes that it takes in memory.
    pub(crate) fn approximate_bytes(&self) -> usize {
        let texts = self.path.capacity() + self.route.capacity() + self.host.capacity();
        let texts = texts + self.trace.tracestate().map_or(0, str::len);
        let error = self.error.as_ref().map_or(0, String::len);
        #[cfg(feature = "llm")]
        let llm = {
            let record = self.llm.as_ref().or(self.spare_llm.as_ref()).map_or(0, |llm| llm.approximate_bytes());
            record + self.recorded.approximate_bytes() + self.request_fields.approximate_bytes()
        };
        #[cfg(not(feature = "llm"))]
        let llm = 0;
        size_of::<Self>() + texts + error + self.tags.approximate_bytes() + llm
    }

    /// Says what went wrong, unless that is known: what a handler recorded says more.
    pub(crate) fn fill_error(&mut self, error: Option<String>) {
        self.error = self.error.take().or(error);
    }

    /// Makes trace ids if no layer read them from the request.
    pub(crate) fn ensure_trace(&mut self, ids: &dyn IdGenerator) {
        if self.trace.is_unset() {
            self.trace = TraceContext::started(ids.trace_id(self.time), ids.span_id());
        }
    }

    /// The id of the event, a `UUIDv7`: a store uses it to ignore a second delivery.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// When the request head was seen.
    pub fn time(&self) -> SystemTime {
        self.time
    }

    /// The trace ids of the request.
    pub fn trace(&self) -> &TraceContext {
        &self.trace
    }

    /// The request method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request path, without the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The template that the request matched, such as `/users/{id}`, where the router gives one.
    pub fn route(&self) -> Option<&str> {
        non_empty(&self.route)
    }

    /// The host that the client asked for: the authority of the target (HTTP/2, and absolute-form), else the `Host` header,
    /// with the port when it names one.
    pub fn host(&self) -> Option<&str> {
        non_empty(&self.host)
    }

    /// `https` where the request's URI says so, else `http`: a server behind a proxy that ends TLS sees nothing of it.
    #[cfg(feature = "otel")]
    pub(crate) fn scheme(&self) -> &'static str {
        if self.is_https { "https" } else { "http" }
    }

    /// The HTTP version of the request.
    pub fn http_version(&self) -> Version {
        self.version
    }

    /// Bytes of the request body that reached the service, trailers not counted. `None` when nothing counted them: see
    /// [`RequestBodyLayer`](crate::tagging::RequestBodyLayer).
    pub fn request_body_bytes(&self) -> Option<u64> {
        self.request_body_bytes
    }

    /// The response status; `None` when no response head was produced.
    pub fn status(&self) -> Option<StatusCode> {
        self.status
    }

    /// Bytes of the response body that left the layer, trailers not counted. A layer outside of it that compresses
    /// sends another number to the client.
    pub fn response_body_bytes(&self) -> u64 {
        self.response_body_bytes
    }

    /// From the request head to the response head.
    pub fn time_to_head(&self) -> Option<Duration> {
        self.head
    }

    /// From the request head to the first byte of the response body.
    pub fn time_to_first_byte(&self) -> Option<Duration> {
        self.first_byte
    }

    /// From the request head to the outcome.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Returns the name of the API key that the caller used. Never the key itself.
    pub fn api_key(&self) -> Option<&str> {
        self.api_key.as_deref()
    }

    /// Returns the slug of the workspace that the API key belongs to.
    pub fn workspace(&self) -> Option<&str> {
        self.workspace.as_deref()
    }

    /// Returns the name of the provider credential that was used, if the service resolves provider credentials.
    pub fn virtual_key(&self) -> Option<&str> {
        self.virtual_key.as_deref()
    }

    /// Returns the reason why the service was not called, if the outcome is [`Outcome::Rejected`].
    pub fn rejection(&self) -> Option<&str> {
        self.rejection.as_deref()
    }

    /// Returns the name of the limit rule that rejected the request.
    pub fn limit_rule(&self) -> Option<&str> {
        self.limit_rule.as_deref()
    }

    /// How the request ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// What went wrong: what a handler [recorded](crate::Tags::set_error), else the kind of error that the request body, the
    /// service or the response body returned. A request whose body broke off may be [completed](Outcome::Completed) all the
    /// same, with whatever the handler answered.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The effective metadata.
    pub fn metadata(&self) -> &Metadata {
        self.tags.metadata()
    }

    /// The scope that set a tag of the effective metadata.
    pub fn source(&self, key: &str) -> Option<Scope> {
        self.sources().find(|(tag, _)| *tag == key).map(|(_, scope)| scope)
    }

    /// Every tag's key and the scope that set it, in the order of [`metadata`](Self::metadata).
    pub fn sources(&self) -> impl Iterator<Item = (&str, Scope)> {
        self.tags.sources()
    }

    /// Says what the usage is priced by.
    #[cfg(feature = "llm")]
    pub(crate) fn price_by(&mut self, tap: Option<&UsageTap>) {
        let is_same = match (&self.tap, tap) {
            (Some(one), Some(other)) => one.is_same(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        if !is_same {
            self.tap = tap.cloned();
        }
    }

    /// The LLM usage and cost, when the exchange was recognized as a call of an LLM API, or the handler recorded some.
    ///
    /// The first call reads what was seen of a short response and prices it, on this thread.
    #[cfg(feature = "llm")]
    pub fn llm(&self) -> Option<&LlmCall> {
        self.llm.as_deref()?.settle(&RequestFacts {
            tap: self.tap.as_ref(),
            recorded: &self.recorded,
            fields: &self.request_fields,
            time: self.time,
            host: &self.host,
            path: &self.path,
            is_success: self.status.is_some_and(|status| status.is_success()),
            duration: self.duration,
            metadata: self.metadata(),
        })
    }

    /// What was cut, coerced, dropped or shadowed on the way in. At most 64 notes from reading the request, and one for
    /// each [shadowed](DiagnosticCode::Shadowed) tag.
    pub fn diagnostics(&self) -> Vec<Diagnostic<'_>> {
        let notes = self.tags.notes();
        let mut list: Vec<_> = notes.iter().collect();
        list.extend(
            self.tags
                .shadowed()
                .map(|(key, value)| Diagnostic::new(DiagnosticCode::Shadowed).with_key(key).with_detail(value)),
        );
        #[cfg(feature = "llm")]
        list.extend(
            self.llm()
                .into_iter()
                .flat_map(LlmCall::inconsistencies)
                .map(|detail| Diagnostic::new(DiagnosticCode::UsageInconsistent).with_detail(detail)),
        );
        if notes.left_out() > 0 {
            let count = notes.left_out().to_string();
            list.push(Diagnostic::new(DiagnosticCode::MoreDiagnostics).with_detail(&count).into_owned());
        }
        list
    }
}

fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("trace_id", &self.trace().trace_id())
            .field("method", &self.method)
            .field("path", &self.path)
            .field("status", &self.status)
            .field("outcome", &self.outcome)
            .field("error", &self.error)
            .field("metadata", self.metadata())
            .field("diagnostics", &self.diagnostics())
            .finish_non_exhaustive()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Event", 18)?;
        object.serialize_field("schema", "tower-tagging/1")?;
        object.serialize_field("id", self.id.hyphenated().encode_lower(&mut Uuid::encode_buffer()))?;
        object.serialize_field("time", &Display(humantime::format_rfc3339_micros(writable(self.time))))?;
        object.serialize_field("trace", self.trace())?;
        object.serialize_field("request", &Request(self))?;
        object.serialize_field("response", &Response(self))?;
        object.serialize_field("timing", &Timing(self))?;
        object.serialize_field("api_key", &self.api_key)?;
        object.serialize_field("workspace", &self.workspace)?;
        object.serialize_field("virtual_key", &self.virtual_key)?;
        object.serialize_field("outcome", &self.outcome)?;
        object.serialize_field("rejection", &self.rejection)?;
        object.serialize_field("limit_rule", &self.limit_rule)?;
        object.serialize_field("error", &self.error)?;
        object.serialize_field("metadata", self.metadata())?;
        object.serialize_field("sources", &Sources(self))?;
        object.serialize_field("diagnostics", &Notes(self))?;
        #[cfg(feature = "llm")]
        if let Some(llm) = self.llm() {
            object.serialize_field("llm", llm)?;
        }
        object.end()
    }
}

/// The nearest that RFC 3339 can write.
fn writable(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(micros_since_1970(time))
}

/// Serializes as the text it displays.
struct Display<T>(T);

impl<T: fmt::Display> Serialize for Display<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

struct Request<'a>(&'a Event);

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.0;
        let mut object = serializer.serialize_struct("Request", 6)?;
        object.serialize_field("method", event.method.as_str())?;
        object.serialize_field("path", &event.path)?;
        object.serialize_field("route", &event.route())?;
        object.serialize_field("host", &event.host())?;
        object.serialize_field("http_version", version_name(event.version))?;
        object.serialize_field("body_bytes", &event.request_body_bytes)?;
        object.end()
    }
}

/// The version as RFC 9110 writes it.
pub(super) fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

struct Response<'a>(&'a Event);

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Response", 2)?;
        object.serialize_field("status", &self.0.status.map(|status| status.as_u16()))?;
        object.serialize_field("body_bytes", &self.0.response_body_bytes)?;
        object.end()
    }
}

struct Timing<'a>(&'a Event);

impl Serialize for Timing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Timing", 3)?;
        object.serialize_field("head_us", &self.0.head.map(micros))?;
        object.serialize_field("first_byte_us", &self.0.first_byte.map(micros))?;
        object.serialize_field("duration_us", &micros(self.0.duration))?;
        object.end()
    }
}

struct Sources<'a>(&'a Event);

impl Serialize for Sources<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.tags.sources().len()))?;
        for (key, scope) in self.0.sources() {
            object.serialize_entry(key, &scope)?;
        }
        object.end()
    }
}

struct Notes<'a>(&'a Event);

impl Serialize for Notes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[cfg(feature = "llm")]
        let is_consistent = self.0.llm().is_none_or(|llm| llm.inconsistencies().is_empty());
        #[cfg(not(feature = "llm"))]
        let is_consistent = true;
        if is_consistent && self.0.tags.notes().is_empty() && !self.0.tags.has_shadowed() {
            return serializer.serialize_seq(Some(0))?.end();
        }
        let notes = self.0.diagnostics();
        let mut list = serializer.serialize_seq(Some(notes.len()))?;
        for note in &notes {
            list.serialize_element(note)?;
        }
        list.end()
    }
}
