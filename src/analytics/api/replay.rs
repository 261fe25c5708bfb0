//! Requests of other systems, sent through the layers of this crate, so that their events are read, governed, and priced as
//! those of our own requests.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Write as _,
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Full};
use serde_json::{Map, Value};
use tower_layer::Layer;
use tower_service::Service;

#[cfg(feature = "llm")]
use crate::usage::UsageTap;
use crate::{
    event::{Clock, Event},
    sink,
    sources::TagSources,
    sync::lock,
    tagging::{Admission, AdmissionLayer, EventLayer, Identity, TaggingLayer},
};

use super::{
    api_error::ApiError,
    log_entry::{LogEntry, LogRequest, LogResponse},
    log_id::LogIds,
    log_time::{duration, start},
};

const METADATA: HeaderName = HeaderName::from_static("x-portkey-metadata");

/// The members of the metadata that name the trace, and the headers for them.
const TRACE_MEMBERS: &[([&str; 2], &str)] = &[
    (["traceId", "trace_id"], "x-portkey-trace-id"),
    (["spanId", "span_id"], "x-portkey-span-id"),
    (["spanName", "span_name"], "x-portkey-span-name"),
    (["parentSpanId", "parent_span_id"], "x-portkey-parent-span-id"),
];

/// Headers that describe the form in which a body was sent.
const FRAMING: &[&str] = &["content-length", "content-encoding", "transfer-encoding", "connection"];

/// Returns the event of a request of another system, which is at most `max_age` old.
///
/// # Errors
/// Returns an error if a part of the entry is not valid, or if the rules of the caller reject its tags.
pub(super) async fn event_of(
    entry: LogEntry,
    id: LogIds,
    mut identity: Identity,
    max_age: Duration,
    #[cfg(feature = "llm")] usage: UsageTap,
) -> Result<Arc<Event>, ApiError> {
    let duration = duration(&entry.response)?;
    let clock = LogClock::new(start(entry.created_at.as_deref(), duration, SystemTime::now(), max_age)?);
    if let Some(provider) = &entry.request.provider {
        identity.provider = Some(provider.as_str().into());
    }
    let request = request(entry.request, entry.metadata)?;
    let response = response(entry.response)?;

    let found = Arc::new(Mutex::new(None));
    let events = {
        let found = Arc::clone(&found);
        EventLayer::new(sink::from_fn(move |event| *lock(&found) = Some(event)))
    };
    let tagging = TaggingLayer::builder().sources(TagSources::portkey()).events(events.clock(clock.clone()).ids(id));
    #[cfg(feature = "llm")]
    let tagging = tagging.usage(usage);
    let tagging = tagging.build().map_err(|error| ApiError::server(error.to_string()))?;
    let player = Player { response: Arc::new(Mutex::new(Some(response))), clock, duration };
    let mut service = AdmissionLayer::new(tagging, Known(Mutex::new(Some(identity)))).layer(player);
    let Ok(()) = poll_fn(|context| Service::<Request<Full<Bytes>>>::poll_ready(&mut service, context)).await;
    let Ok(response) = service.call(request).await;
    // The event is complete when the body ends.
    let _ = response.into_body().collect().await;
    drop(service);

    let event = lock(&found).take().ok_or_else(|| ApiError::server("the log has no event"))?;
    match event.rejection() {
        Some(reason) => Err(ApiError::invalid(format!("the log was rejected: {reason}"))),
        None => Ok(event),
    }
}

fn request(log: LogRequest, mut metadata: Map<String, Value>) -> Result<Request<Full<Bytes>>, ApiError> {
    let mut headers = headers(&log.headers);
    for (names, header) in TRACE_MEMBERS {
        for name in names {
            if let Some(Value::String(id)) = metadata.remove(*name)
                && let Ok(value) = HeaderValue::from_str(&id)
            {
                headers.insert(HeaderName::from_static(header), value);
            }
        }
    }
    if !metadata.is_empty() {
        let mut tags = headers.get(METADATA).and_then(|value| serde_json::from_slice(value.as_bytes()).ok());
        let tags: &mut Map<String, Value> = tags.get_or_insert_default();
        tags.extend(metadata);
        let json = serde_json::to_string(tags).unwrap_or_default();
        if let Ok(value) = HeaderValue::from_bytes(json.as_bytes()) {
            headers.insert(METADATA, value);
        }
    }
    let (body, media_type) = content(log.body);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    let method = log.method.as_deref().unwrap_or("POST").to_ascii_uppercase();
    let mut request =
        Request::builder().method(method.as_str()).uri(&log.url).body(Full::new(body)).map_err(|error| {
            ApiError::invalid(format!(
                "invalid request: {error}: expected a method and a URL, found {method:?} and {:?}",
                log.url
            ))
        })?;
    if let Some(host) = request.uri().host()
        && let Ok(value) = HeaderValue::from_str(host)
    {
        headers.insert(header::HOST, value);
    }
    *request.headers_mut() = headers;
    Ok(request)
}

fn response(log: LogResponse) -> Result<Response<Full<Bytes>>, ApiError> {
    let status = log.status.unwrap_or(200);
    let status = StatusCode::from_u16(status).map_err(|_| {
        ApiError::invalid(format!("invalid response status {status}: expected a number from 100 to 999"))
    })?;
    let mut headers = headers(&log.headers);
    let is_text = matches!(log.body, Some(Value::String(_)));
    let (body, media_type) = content(log.body);
    if !is_text || !headers.contains_key(header::CONTENT_TYPE) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Returns the headers that are valid.
fn headers(log: &BTreeMap<String, Value>) -> HeaderMap {
    let pairs = log.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !FRAMING.contains(&name.as_str()))?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Object(_) => value.to_string(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some((name, HeaderValue::from_bytes(text.as_bytes()).ok()?))
    });
    pairs.collect()
}

/// Returns the bytes of a body, and their media type. A list of chunks becomes the events of a stream.
fn content(body: Option<Value>) -> (Bytes, &'static str) {
    const EVENTS: &str = "text/event-stream";
    const JSON: &str = "application/json";
    match body {
        None | Some(Value::Null) => (Bytes::new(), JSON),
        Some(Value::String(text)) => {
            let is_stream = ["data:", "event:", ":"].iter().any(|start| text.starts_with(start));
            (text.into(), if is_stream { EVENTS } else { JSON })
        }
        Some(Value::Array(chunks)) if chunks.iter().all(Value::is_object) && !chunks.is_empty() => {
            let mut text = String::new();
            for chunk in chunks {
                // Writing to a string never fails.
                let _ = write!(text, "data: {chunk}\n\n");
            }
            text.push_str("data: [DONE]\n\n");
            (text.into(), EVENTS)
        }
        Some(value) => (value.to_string().into(), JSON),
    }
}

/// Admits a request as that of a caller who is known already.
struct Known(Mutex<Option<Identity>>);

impl Admission for Known {
    fn identify(&self, _: &mut Parts, _: SystemTime) -> Identity {
        lock(&self.0).take().unwrap_or_default()
    }
}

/// Plays a response back.
#[derive(Clone)]
struct Player {
    response: Arc<Mutex<Option<Response<Full<Bytes>>>>>,
    clock: LogClock,
    duration: Duration,
}

impl<B> Service<Request<B>> for Player
where
    B: http_body::Body<Data: Send, Error: Send> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let player = self.clone();
        Box::pin(async move {
            let _ = request.into_body().collect().await;
            player.clock.advance(player.duration);
            Ok(lock(&player.response).take().unwrap_or_default())
        })
    }
}

/// The clock of a request that has already happened.
#[derive(Clone)]
struct LogClock {
    time: SystemTime,
    start: Instant,
    elapsed_nanos: Arc<AtomicU64>,
}

impl LogClock {
    fn new(time: SystemTime) -> Self {
        Self { time, start: Instant::now(), elapsed_nanos: Arc::default() }
    }

    fn advance(&self, by: Duration) {
        self.elapsed_nanos.store(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_nanos.load(Ordering::Relaxed))
    }
}

impl Clock for LogClock {
    fn now(&self) -> SystemTime {
        self.time.checked_add(self.elapsed()).unwrap_or(self.time)
    }

    fn instant(&self) -> Instant {
        self.start.checked_add(self.elapsed()).unwrap_or(self.start)
    }
}
