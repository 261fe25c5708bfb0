//! Helpers for the tests of single features. They need neither features nor an async runtime.

use std::{
    convert::Infallible,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::{Layer, ServiceExt, service_fn};
use tower_tagging::{
    Event, MetadataLayer, Sink, TaggingLayer, Tags,
    sink::{BatchWriter, Delivery, WriteError},
    sources::TagSources,
    tagging::{RequestBody, TaggingLayerBuilder},
};

/// A sink and writer that keeps all events.
#[derive(Clone, Debug, Default)]
pub struct Collector(Arc<Mutex<Vec<Arc<Event>>>>);

impl Collector {
    /// Returns the events so far as JSON.
    pub fn events(&self) -> Vec<Value> {
        self.0.lock().unwrap().iter().map(|event| serde_json::to_value(&**event).unwrap()).collect()
    }

    /// Returns the only event as JSON.
    #[track_caller]
    pub fn single(&self) -> Value {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:#?}");
        events.remove(0)
    }
}

impl Sink for Collector {
    fn emit(&self, event: Arc<Event>) {
        self.0.lock().unwrap().push(event);
    }
}

impl BatchWriter for Collector {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        self.0.lock().unwrap().extend(events.iter().cloned());
        Ok(())
    }
}

/// Creates a builder for a layer that reads tags from all sources.
pub fn tagging() -> TaggingLayerBuilder {
    TaggingLayer::builder().metadata(MetadataLayer::builder().sources(TagSources::all()))
}

/// Creates an LLM request with tags and trace ids.
pub fn request() -> Request<Full<Bytes>> {
    Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .header("x-portkey-trace-id", "req-7f3a")
        .header("x-portkey-metadata", r#"{"feature": "search"}"#)
        .body(Full::from(r#"{"model": "gpt-4o", "messages": [], "user": "ada"}"#))
        .unwrap()
}

/// Serves the request. The service reads the body and responds like an LLM API.
pub fn serve(layer: &TaggingLayer, request: Request<Full<Bytes>>) -> Response<Bytes> {
    const ANSWER: &str = r#"{"model": "gpt-4o", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}"#;
    let service = layer.layer(service_fn(async |request: Request<RequestBody<Full<Bytes>>>| {
        let tags = request.extensions().get::<Tags>().cloned().unwrap();
        request.into_body().collect().await?;
        tags.insert("handled", "yes");
        let response = Response::builder().header("content-type", "application/json");
        Ok::<_, Infallible>(response.body(Full::<Bytes>::from(ANSWER)).unwrap())
    }));
    let response = service.oneshot(request).now_or_never().expect("the service responds immediately").unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().now_or_never().expect("the body is available immediately").unwrap().to_bytes();
    assert_eq!(body, ANSWER, "the body passes unchanged");
    Response::from_parts(head, body)
}

/// Waits until every event so far is delivered.
#[track_caller]
pub fn wait_for(delivery: &Delivery) {
    let start = Instant::now();
    while !delivery.report().is_complete() {
        assert!(start.elapsed() < Duration::from_secs(20), "{}", delivery.report());
        thread::sleep(Duration::from_millis(5));
    }
}

/// A folder for one test, removed when the test ends.
pub struct TempFolder(pub PathBuf);

impl TempFolder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tower-tagging-feature-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
