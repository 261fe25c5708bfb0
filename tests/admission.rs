//! `AdmissionLayer` with rules of our own: the order of its steps, rejections, filters, and bodies that are read ahead.

mod common;

use std::{
    borrow::Cow,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use axum::{Router, body::Body, routing::post};
use common::Recorder;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Channel};
use hyper::body::Bytes;
use serde_json::json;
use tower::{Service, ServiceExt};
use tower_tagging::{
    Event, Metadata, TagSources, TaggingLayer, Tags,
    event::Outcome,
    metadata::{Diagnostic, DiagnosticCode, FilteredTag, Limits, Overflow, Scope, TagFilter},
    tagging::{Admission, AdmissionLayer, Caller, Candidate, Identity, Rejection, SettledTags, Verdict},
    tags,
};

/// Rules that rename `user_id`, drop `secret`, reject `root`, hide `hunter2`, and require `_user`.
#[derive(Debug, Default)]
struct Rules {
    settled: Mutex<Vec<(usize, usize)>>,
}

impl TagFilter for Rules {
    fn filter<'t>(&self, scope: Scope, key: &'t str, value: &'t str) -> FilteredTag<'t> {
        let note = |code| Diagnostic::new(code).with_key(key.to_owned());
        let mut tag = FilteredTag::new(key, self.screen(value));
        match key {
            "user_id" => {
                tag.key = Cow::Borrowed("_user");
                tag.is_alias = true;
                tag
            }
            "secret" => tag.dropped(note(DiagnosticCode::ClaimDenied)),
            "root" if scope == Scope::Request => tag.rejected(note(DiagnosticCode::ClaimDenied)),
            _ => tag,
        }
    }

    fn screen<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if text.contains("hunter2") { Cow::Owned(text.replace("hunter2", "[secret]")) } else { Cow::Borrowed(text) }
    }

    fn look_alikes(&self, tags: &Metadata, is_trusted: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let keys = || tags.iter().map(|(key, _)| key).enumerate();
        let looks_trusted = |key: &str| keys().any(|(at, other)| is_trusted(at) && key.eq_ignore_ascii_case(other));
        keys().filter(|(at, key)| !is_trusted(*at) && looks_trusted(key)).map(|(at, _)| at).collect()
    }
}

impl Caller for Rules {
    fn check(&self, candidate: &Candidate<'_>) -> Verdict {
        match candidate.metadata.get("_user") {
            Some(user) if !user.is_empty() => Verdict::Admit,
            _ if candidate.may_learn_user => Verdict::ReadBody,
            _ => Verdict::Reject(Box::new(
                Rejection::new(StatusCode::BAD_REQUEST, "contract").with_body("application/problem+json", "{}"),
            )),
        }
    }

    fn reject(&self, reason: &Diagnostic<'_>) -> Option<Rejection> {
        (reason.code() == DiagnosticCode::ClaimDenied).then(|| Rejection::new(StatusCode::FORBIDDEN, "claim"))
    }

    fn settled(&self, tags: &SettledTags<'_>) {
        self.settled.lock().unwrap().push((tags.metadata.len(), tags.shadowed));
    }
}

/// Identifies callers by `x-key`.
struct Keys {
    rules: Arc<Rules>,
    limits: Option<Limits>,
}

impl Admission for Keys {
    fn identify(&self, head: &mut Parts, _: SystemTime) -> Identity {
        let mut identity = Identity::new();
        let Some(key) = head.headers.remove("x-key") else { return identity };
        identity.api_key = Some("web".into());
        identity.workspace = Some("acme".into());
        if key == "expired" {
            return identity.rejected(Rejection::new(StatusCode::UNAUTHORIZED, "expired_key"));
        }
        identity.scopes.add(Scope::Workspace, tags! { "tenant" => "acme" });
        identity.scopes.add(Scope::Fallback, tags! { "env" => "dev" });
        identity.limits = self.limits;
        identity.caller = Some(Arc::clone(&self.rules) as Arc<dyn Caller>);
        identity
    }
}

struct Governed {
    recorder: Recorder,
    rules: Arc<Rules>,
    app: Router,
}

async fn echo(tags: Tags, request: axum::extract::Request) -> String {
    tags.insert("note", "password hunter2");
    tags.insert("TENANT", "evil");
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    format!("{}|{}", tags.get("_user").unwrap_or_default(), body.map_or(0, |body| body.len()))
}

fn governed(limits: Option<Limits>) -> Governed {
    let (recorder, rules) = (Recorder::new(), Arc::new(Rules::default()));
    let tagging = TaggingLayer::builder().sources(TagSources::all()).sink(recorder.clone()).build().unwrap();
    let layer = AdmissionLayer::new(tagging, Keys { rules: Arc::clone(&rules), limits });
    Governed { recorder, rules, app: Router::new().route("/", post(echo)).layer(layer) }
}

impl Governed {
    async fn send(&self, headers: &[(&str, &str)], body: impl Into<Body>) -> (StatusCode, String) {
        let mut request = Request::post("/").body(body.into()).unwrap();
        for (name, value) in headers {
            request.headers_mut().append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                http::HeaderValue::from_str(value).unwrap(),
            );
        }
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.into()).unwrap())
    }

    fn event(&self) -> Arc<Event> {
        self.recorder.single()
    }
}

const JSON: (&str, &str) = ("content-type", "application/json");
const KEY: (&str, &str) = ("x-key", "web");

#[tokio::test]
async fn identifies_callers_and_adds_their_trusted_tags() {
    let governed = governed(None);
    let metadata = ("x-portkey-metadata", r#"{"user_id":"ada","tenant":"evil"}"#);
    assert_eq!(governed.send(&[KEY, metadata], "").await, (StatusCode::OK, "ada|0".to_owned()));
    let event = governed.event();
    assert_eq!((event.api_key(), event.workspace()), (Some("web"), Some("acme")));
    let expected = tags! { "_user" => "ada", "env" => "dev", "note" => "password [secret]", "tenant" => "acme" };
    assert_eq!(event.metadata(), &expected);
    // The client's tenant, and the handler's look-alike.
    assert_eq!(*governed.rules.settled.lock().unwrap(), [(4, 2)]);
    let shadowed: Vec<_> = event.diagnostics().iter().map(|note| (note.code(), note.key())).collect();
    let code = DiagnosticCode::Shadowed;
    assert_eq!(shadowed, [(code, Some("tenant")), (code, Some("TENANT"))]);
}

#[tokio::test]
async fn a_key_takes_precedence_over_its_alias_in_any_order() {
    for metadata in [r#"{"user_id":"alias","_user":"ada"}"#, r#"{"_user":"ada","user_id":"alias"}"#] {
        let governed = governed(None);
        governed.send(&[KEY, ("x-portkey-metadata", metadata)], "").await;
        assert_eq!(&governed.event().metadata()["_user"], "ada", "{metadata}");
    }
}

#[tokio::test]
async fn rejects_with_the_answer_of_the_rules() {
    for (headers, status, reason, body) in [
        (vec![("x-key", "expired")], StatusCode::UNAUTHORIZED, "expired_key", ""),
        (vec![KEY], StatusCode::BAD_REQUEST, "contract", "{}"),
        (vec![KEY, ("x-portkey-metadata", r#"{"root":"1"}"#)], StatusCode::FORBIDDEN, "claim", ""),
        (vec![KEY, ("x-majordomo-root", "1")], StatusCode::FORBIDDEN, "claim", ""),
        (vec![KEY, ("baggage", "root=1")], StatusCode::FORBIDDEN, "claim", ""),
    ] {
        let governed = governed(None);
        assert_eq!(governed.send(&headers, "").await, (status, body.to_owned()), "{reason}");
        let event = governed.event();
        assert_eq!((event.outcome(), event.rejection()), (Outcome::Rejected, Some(reason)));
        assert_eq!((event.api_key(), event.status()), (Some("web"), Some(status)));
        assert!(!event.metadata().contains_key("note"), "the handler ran for {reason}");
    }
}

#[tokio::test]
async fn applies_the_limits_of_the_caller() {
    let governed = governed(Some(Limits::default().value_chars(3).overflow(Overflow::Reject)));
    let (status, _) = governed.send(&[KEY, ("x-portkey-metadata", r#"{"_user":"lovelace"}"#)], "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(governed.event().rejection(), Some("value_too_long"));
}

#[tokio::test]
async fn callers_without_rules_are_not_restricted() {
    let governed = governed(None);
    let (status, _) = governed.send(&[("x-portkey-metadata", r#"{"root":"1","secret":"2"}"#)], "").await;
    assert_eq!(status, StatusCode::OK);
    let event = governed.event();
    assert_eq!((event.api_key(), &event.metadata()["root"], &event.metadata()["secret"]), (None, "1", "2"));
}

#[tokio::test]
async fn screens_every_text_of_the_event() {
    let (recorder, rules) = (Recorder::new(), Arc::new(Rules::default()));
    let tagging = TaggingLayer::builder().sources(TagSources::all()).sink(recorder.clone()).build().unwrap();
    let layer = AdmissionLayer::new(tagging, Keys { rules, limits: None });
    let handler = async |tags: Tags| {
        tags.set_error("failed with hunter2");
        tags.diagnose(Diagnostic::new(DiagnosticCode::Custom("own")).with_key("hunter2").with_detail("hunter2"));
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let app = Router::new().route("/{*path}", post(handler)).layer(layer);
    let request = Request::post("/users/hunter2")
        .header("x-key", "web")
        .header("x-portkey-metadata", r#"{"_user":"a\u0000da","x":"hun\u0000ter2","hunter2":"y"}"#)
        .header("x-portkey-trace-id", "trace-hunter2")
        .header("x-majordomo-span-path", "agent/hunter2")
        .header("x-portkey-span-name", "call hunter2")
        .header("x-portkey-parent-span-id", "hunter2")
        .body(Body::empty())
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    // The client gets its own id back.
    assert_eq!(response.headers()["x-portkey-trace-id"], "trace-hunter2");
    response.into_body().collect().await.unwrap();
    let event = recorder.single();
    let json = serde_json::to_value(&*event).unwrap();
    assert_eq!(json["trace"]["client_trace_id"], "trace-[secret]");
    assert_eq!(json["trace"]["span_path"], "agent/[secret]");
    assert_eq!(json["error"], "failed with [secret]");
    assert_eq!(json["request"]["path"], "/users/[secret]");
    // A filter does not screen keys on its own.
    let text = json.to_string().replacen("hunter2", "", 1);
    assert!(
        json["metadata"]["hunter2"] == "y" && !text.replace("\"hunter2\":\"request\"", "").contains("hunter2"),
        "{json}"
    );
}

#[tokio::test]
async fn a_required_user_may_come_from_the_body() {
    let body = json!({"model": "gpt-4o", "messages": [{"content": "x".repeat(50_000)}], "user": "ada"}).to_string();
    let governed = governed(None);
    let expected = format!("ada|{}", body.len());
    assert_eq!(governed.send(&[KEY, JSON], body.clone()).await, (StatusCode::OK, expected));
    let event = governed.event();
    assert_eq!(event.request_body_bytes(), Some(body.len() as u64));
    assert_eq!(event.source("_user"), Some(Scope::Request));
}

#[tokio::test]
async fn the_read_ahead_is_bounded() {
    for (padding, status) in [(200 * 1024, StatusCode::OK), (600 * 1024, StatusCode::BAD_REQUEST)] {
        let governed = governed(None);
        // Sent in frames, because a frame that has arrived is read whole.
        let text = json!({"input": "x".repeat(padding), "user": "ada"}).to_string();
        let frames: Vec<_> =
            text.as_bytes().chunks(8 * 1024).map(|chunk| Ok::<_, Infallible>(chunk.to_vec())).collect();
        let body = Body::from_stream(futures_util::stream::iter(frames));
        assert_eq!(governed.send(&[KEY, JSON], body).await.0, status, "{padding} bytes before the user");
    }
}

#[tokio::test]
async fn bodies_without_a_user_are_rejected_once_they_have_ended() {
    for (content_type, body) in [
        ("application/json", r#"{"model":"m"}"#),
        ("application/json", "not json"),
        ("application/json", r#"{"user":""}"#),
        ("application/json", r#"{"user":null}"#),
        ("text/plain", r#"{"user":"ada"}"#),
        ("application/json", ""),
    ] {
        let governed = governed(None);
        let (status, _) = governed.send(&[KEY, ("content-type", content_type)], body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{content_type} {body}");
        assert_eq!(governed.event().rejection(), Some("contract"));
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_does_not_get_around_the_rules() {
    let governed = governed(None);
    let frames = vec![Ok(r#"{"us"#), Err(std::io::Error::other("connection reset"))];
    let body = Body::from_stream(futures_util::stream::iter(frames));
    let (status, _) = governed.send(&[KEY, JSON], body).await;
    assert_eq!((status, governed.event().rejection()), (StatusCode::BAD_REQUEST, Some("broken_body")));
}

#[tokio::test]
async fn the_service_receives_the_frames_as_they_were_sent() {
    let frames = ["{\"us", "er\":\"ada\"", ",\"stream\":true}", "\n", "rest"];
    let (tagging, received) =
        (TaggingLayer::builder().sources(TagSources::portkey()).build().unwrap(), Received::default());
    let layer = AdmissionLayer::new(tagging, Keys { rules: Arc::default(), limits: None });
    let service = tower::Layer::layer(&layer, received.clone());
    let (mut sender, body) = Channel::<Bytes>::new(8);
    for frame in frames {
        sender.send_data(Bytes::from_static(frame.as_bytes())).await.unwrap();
    }
    let trailers = http::HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("1"))]);
    sender.send_trailers(trailers).await.unwrap();
    drop(sender);
    let request = Request::post("/").header("x-key", "web").header(JSON.0, JSON.1).body(body).unwrap();
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(*received.0.lock().unwrap(), [&frames[..], &["trailers"]].concat());
}

/// A service that records the frames of the body.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<String>>>);

impl<B> Service<Request<B>> for Received
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: std::fmt::Debug + Send,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let received = Arc::clone(&self.0);
        Box::pin(async move {
            let mut body = request.into_body();
            let lower = body.size_hint().lower();
            assert!(lower >= 14, "the size counts what was read ahead: {lower}");
            assert!(!body.is_end_stream());
            while let Some(frame) = body.frame().await {
                let text = match frame.unwrap().into_data() {
                    Ok(data) => String::from_utf8(data.into()).unwrap(),
                    Err(_) => "trailers".to_owned(),
                };
                received.lock().unwrap().push(text);
            }
            Ok(Response::new(String::new()))
        })
    }
}

#[tokio::test]
async fn reports_requests_whose_events_nothing_reads() {
    let rules = Arc::new(Rules::default());
    let tagging = TaggingLayer::builder().sources(TagSources::portkey()).build().unwrap();
    let layer = AdmissionLayer::new(tagging, Keys { rules: Arc::clone(&rules), limits: None });
    let app = Router::new().route("/", post(async || "")).layer(layer);
    let request =
        Request::post("/").header("x-key", "web").header("x-portkey-metadata", r#"{"_user":"ada","tenant":"x"}"#);
    drop(app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap());
    assert_eq!(*rules.settled.lock().unwrap(), [(3, 1)]);
}

#[tokio::test]
async fn a_client_that_disconnects_during_the_read_ahead_leaves_one_event() {
    let governed = governed(None);
    let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    let request = Request::post("/").header("x-key", "web").header(JSON.0, JSON.1).body(body).unwrap();
    let mut call = Box::pin(governed.app.clone().oneshot(request));
    assert!(futures_util::poll!(&mut call).is_pending());
    assert!(governed.recorder.events().is_empty());
    drop(call);
    let event = governed.event();
    assert_eq!((event.outcome(), event.api_key()), (Outcome::Cancelled, Some("web")));
}

#[tokio::test]
async fn the_body_of_a_rejection_is_left_out_for_head() {
    let recorder = Recorder::new();
    let tagging = TaggingLayer::builder().sink(recorder.clone()).build().unwrap();
    let layer = AdmissionLayer::new(tagging, Keys { rules: Arc::default(), limits: None });
    let app = Router::new().route("/", axum::routing::get(async || "hello")).layer(layer);
    let request = Request::head("/").header("x-key", "web").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    drop(response);
    assert_eq!(recorder.single().outcome(), Outcome::Rejected);
}

/// Rules and admissions that panic.
#[derive(Debug)]
struct Panics;

impl TagFilter for Panics {
    fn filter<'t>(&self, _: Scope, key: &'t str, value: &'t str) -> FilteredTag<'t> {
        FilteredTag::new(key, value)
    }

    fn screen<'t>(&self, _: &'t str) -> Cow<'t, str> {
        panic!("screening failed")
    }
}

impl Caller for Panics {
    fn settled(&self, _: &SettledTags<'_>) {
        panic!("counting failed")
    }
}

struct PanickingRules {
    identifies: bool,
}

impl Admission for PanickingRules {
    fn identify(&self, _: &mut Parts, _: SystemTime) -> Identity {
        assert!(self.identifies, "identification failed");
        let mut identity = Identity::new();
        identity.caller = Some(Arc::new(Panics));
        identity
    }
}

#[tokio::test]
async fn rules_that_panic_do_not_lose_the_event() {
    for identifies in [true, false] {
        let recorder = Recorder::new();
        let tagging = TaggingLayer::builder().sink(recorder.clone()).build().unwrap();
        let layer = AdmissionLayer::new(tagging, PanickingRules { identifies });
        let app = Router::new().route("/", post(async || "hello")).layer(layer);
        let request = Request::post("/").body(Body::empty()).unwrap();
        let answer = tokio::spawn(async move { app.oneshot(request).await.unwrap().into_body().collect().await }).await;
        assert_eq!(answer.is_ok(), identifies);
        let event = recorder.single();
        let outcome = if identifies { Outcome::Completed } else { Outcome::Panicked };
        assert_eq!((event.outcome(), event.path()), (outcome, if identifies { "" } else { "/" }));
    }
}
