//! A service behind a registry.

use std::sync::Arc;

use axum::{Extension, Router, body::Body, routing::post};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_tagging::{
    Event, TagSources, TaggingLayer, Tags,
    registry::{
        Contract, ContractMode, Principal, RegisteredKey, Registry, RegistryBuilder, RegistryLayer, SecretDigest,
        VirtualKey,
    },
};

use crate::common::Recorder;

pub(crate) struct Governed {
    pub(crate) recorder: Recorder,
    pub(crate) registry: Registry,
    pub(crate) app: Router,
}

/// The answer to a request.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) async fn handler(
    tags: Tags,
    principal: Option<Extension<Principal>>,
    request: axum::extract::Request,
) -> String {
    // As handlers do that read the body.
    let key = request.extensions().get::<VirtualKey>().map(|key| key.slug().to_owned());
    request.into_body().collect().await.unwrap();
    let name = principal.and_then(|Extension(principal)| principal.api_key().map(str::to_owned));
    format!("{}|{}|{}", name.unwrap_or_default(), key.unwrap_or_default(), tags.get("_user").unwrap_or_default())
}

pub(crate) fn governed(builder: RegistryBuilder) -> Governed {
    governed_with(builder, TagSources::all())
}

pub(crate) fn governed_with(builder: RegistryBuilder, sources: TagSources) -> Governed {
    let (recorder, registry) = (Recorder::new(), builder.build().unwrap());
    let tagging = TaggingLayer::builder().sources(sources).sink(recorder.clone()).build().unwrap();
    let app = Router::new().route("/", post(handler)).layer(RegistryLayer::new(registry.clone(), tagging));
    Governed { recorder, registry, app }
}

impl Governed {
    pub(crate) async fn send_request(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.into()).unwrap() }
    }

    pub(crate) async fn send(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_request(request(headers, body)).await
    }

    /// Sends a request and returns its event.
    pub(crate) async fn event(&self, headers: &[(&str, &str)]) -> Arc<Event> {
        self.send(headers, "").await;
        self.recorder.take().pop().unwrap()
    }
}

pub(crate) fn request(headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::post("/").body(Body::from(body.to_owned())).unwrap();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request
}

pub(crate) fn key(name: &str) -> RegisteredKey {
    RegisteredKey::new(name).secret(SecretDigest::of(format!("sk-{name}")))
}

pub(crate) const WEB: (&str, &str) = ("authorization", "Bearer sk-web");
pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) fn metadata(json: &'static str) -> (&'static str, &'static str) {
    ("x-portkey-metadata", json)
}

pub(crate) fn schema(mode: ContractMode, schema: &Value) -> Contract {
    Contract::new(mode, schema).unwrap()
}

pub(crate) fn requires(mode: ContractMode, keys: &[&str]) -> Contract {
    let properties: serde_json::Map<_, _> =
        keys.iter().map(|key| ((*key).to_owned(), json!({"type": "string"}))).collect();
    let all = json!({"type": "object", "additionalProperties": true, "required": keys, "properties": properties});
    schema(mode, &all)
}
