//! Tests of the tags and trace IDs that are sent with outgoing calls.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use common::Recorder;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use proptest::{collection::vec, prelude::*, sample::subsequence};
use tokio::net::TcpListener;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_tagging::{
    Event, Metadata, MetadataLayer, Step, TaggingLayer, Tags, TraceIdLayer,
    metadata::{Limits, Scope, Scopes},
    propagate::{self, Destination, Dialect, LeftOutReason, Origin, Propagate, PropagateLayer},
    sources::TagSources,
    tagging::RequestBody,
    tags,
    trace::TracePolicy,
    usage::UsageTap,
};

const DIALECTS: [Dialect; 6] =
    [Dialect::Baggage, Dialect::Portkey, Dialect::Majordomo, Dialect::Helicone, Dialect::LiteLlm, Dialect::Cloudflare];
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER_TRACEPARENT: &str = "00-11111111111111111111111111111111-2222222222222222-01";

fn tagging(recorder: &Recorder) -> TaggingLayer {
    let metadata = MetadataLayer::builder().sources(TagSources::all());
    TaggingLayer::builder().metadata(metadata).sink(recorder.clone()).build().unwrap()
}

fn tags_of<'t>(tags: impl IntoIterator<Item = (&'t str, &'t str)>) -> Tags {
    let handle = Tags::new();
    handle.extend(tags);
    handle
}

/// A layer that treats all hosts alike.
fn to_all_hosts(destination: Destination) -> PropagateLayer {
    PropagateLayer::builder().other_hosts(destination).build().unwrap()
}

/// Returns the headers of a request after it has passed the layer.
fn sent<B>(layer: &PropagateLayer, request: Request<B>) -> HeaderMap {
    let client = layer.layer(service_fn(async |request: Request<B>| Ok::<_, Infallible>(request.headers().clone())));
    client.oneshot(request).now_or_never().unwrap().unwrap()
}

fn request_to(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

/// Returns the headers of a request that is sent on behalf of `tags`.
fn sent_for(tags: &Tags, layer: &PropagateLayer, request: Request<()>) -> HeaderMap {
    tags.clone().scope(async { sent(layer, request) }).now_or_never().unwrap()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
}

/// Returns the tags that our own middleware reads from the headers.
fn read(sources: TagSources, headers: HeaderMap) -> Metadata {
    let limits = Limits::default().value_chars(usize::MAX).key_chars(usize::MAX).total_bytes(usize::MAX);
    let layer = MetadataLayer::builder().sources(sources).limits(limits).build().unwrap();
    let service = layer.layer(service_fn(async |request: Request<()>| {
        let metadata = request.extensions().get::<Tags>().unwrap().metadata();
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(metadata);
        Ok::<_, Infallible>(response)
    }));
    let mut request = Request::new(());
    *request.headers_mut() = headers;
    let mut response = service.oneshot(request).now_or_never().unwrap().unwrap();
    response.extensions_mut().remove().unwrap()
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// Starts a service that responds with the headers it receives and records its events.
async fn next_service(recorder: &Recorder) -> SocketAddr {
    let echo = async |headers: HeaderMap| {
        let lines =
            headers.iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
        lines.collect::<String>()
    };
    serve(Router::new().fallback(echo).layer(tagging(recorder))).await
}

async fn body_of(response: Response<impl hyper::body::Body<Data = Bytes, Error: std::fmt::Debug>>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().into()).unwrap()
}

type HyperClient = Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

fn hyper_client(http2: bool) -> HyperClient {
    Client::builder(TokioExecutor::new()).http2_only(http2).build_http()
}

fn call_to(address: SocketAddr) -> Request<Full<Bytes>> {
    Request::post(format!("http://{address}/next")).body(Full::default()).unwrap()
}

fn inbound() -> Request<Body> {
    Request::post("/")
        .header("x-portkey-trace-id", "req-7f3a")
        .header("x-majordomo-span-path", "agent:main")
        .header("x-portkey-metadata", r#"{"_user": "Zo\u00eb", "tenant": "acme", "plan": "secret-plan"}"#)
        .header("baggage", "secret-baggage=1")
        .header("traceparent", TRACEPARENT)
        .header("tracestate", "vendor=42, other=7")
        .body(Body::empty())
        .unwrap()
}

/// Asserts that the called service continues the trace from the step and receives only allowed tags.
fn assert_nests(ours: &Event, theirs: &Event, step: &Step, names: [Option<&str>; 2]) {
    assert_eq!(theirs.trace().client_trace_id(), Some("req-7f3a"));
    assert_eq!(theirs.trace().trace_id(), ours.trace().trace_id());
    assert_eq!(theirs.trace().parent_span_id(), Some(step.trace().span_id().as_str()));
    assert_eq!([theirs.trace().span_path(), theirs.trace().span_name()], names);
    assert_eq!(theirs.trace().tracestate(), Some("vendor=42, other=7"));
    let text = serde_json::to_string(theirs).unwrap();
    assert!(!text.contains("secret") && !text.contains("vendor="), "{text}");
    assert_eq!(theirs.diagnostics().len(), 0, "{text}");
}

/// Tags keep the scope that they have on the request.
#[tokio::test]
async fn events_of_calls_inherit_the_tags_and_trace_of_the_request() {
    let (outer, inner) = (Recorder::default(), Recorder::default());
    let provider = async || {
        let usage = serde_json::json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100});
        axum::Json(serde_json::json!({"model": "gpt-4o", "choices": [], "usage": usage}))
    };
    let address = serve(Router::new().fallback(provider)).await;
    let of_call = MetadataLayer::builder().inherit_tags().resolver(|head| {
        let attempt = head.headers.get("attempt").map_or("", |attempt| attempt.to_str().unwrap());
        Scopes::new().with(Scope::Handler, tags! { "attempt" => attempt })
    });
    let client = ServiceBuilder::new()
        .layer(PropagateLayer::new())
        .layer(
            TaggingLayer::builder()
                .metadata(of_call)
                .usage(UsageTap::new().trust_request())
                .sink(inner.clone())
                .build()
                .unwrap(),
        )
        .service(Client::builder(TokioExecutor::new()).build_http::<RequestBody<Full<Bytes>>>());
    let handler = async move |tags: Tags| {
        tags.insert("attempt", "none");
        for attempt in ["1", "2"] {
            let call = Request::post(format!("http://{address}/v1/chat/completions")).header("attempt", attempt);
            let answer = client.clone().oneshot(call.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
            body_of(answer).await;
        }
    };
    let layer = TaggingLayer::builder()
        .metadata(
            MetadataLayer::builder()
                .sources(TagSources::portkey())
                .scope(Scope::Workspace, tags! { "tenant" => "ours" }),
        )
        .sink(outer.clone())
        .build()
        .unwrap();
    let app = Router::new().fallback(handler).layer(layer);
    body_of(app.oneshot(inbound()).await.unwrap()).await;

    let ours = outer.events().pop().unwrap();
    let calls = inner.events();
    assert_eq!(calls.len(), 2);
    for (call, attempt) in calls.iter().zip(["1", "2"]) {
        let expected =
            tags! { "_user" => "Zo\u{eb}", "attempt" => attempt, "plan" => "secret-plan", "tenant" => "ours" };
        assert_eq!(*call.metadata(), expected);
        assert_eq!(call.source("tenant"), Some(Scope::Workspace));
        assert_eq!(call.source("_user"), Some(Scope::Request));
        assert_eq!(call.trace().trace_id(), ours.trace().trace_id());
        assert_eq!(call.trace().parent_span_id(), Some(ours.trace().span_id().as_str()));
        assert_eq!(call.llm().unwrap().cost().unwrap().to_string(), "0.0035");
        assert_eq!(call.diagnostics().len(), 0, "{:?}", call.diagnostics());
    }
    // Outside of a request, there are no tags to inherit.
    let lone = MetadataLayer::builder().inherit_tags().build().unwrap();
    let service = lone.layer(service_fn(async |request: Request<()>| {
        assert!(request.extensions().get::<Tags>().unwrap().metadata().is_empty());
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    service.oneshot(Request::new(())).await.unwrap();
}

/// Each call is priced by the layer of the client that makes it.
#[tokio::test]
async fn rolls_up_usage_and_cost_of_calls_to_the_request() {
    use serde_json::json;

    async fn call<S>(client: S, address: SocketAddr, answer: &str) -> S::Response
    where
        S: Service<Request<Full<Bytes>>, Error: std::fmt::Debug>,
    {
        let call = Request::post(format!("http://{address}/v1/chat/completions")).header("answer", answer);
        client.oneshot(call.body(Full::default()).unwrap()).await.unwrap()
    }

    let provider = async |headers: HeaderMap| {
        let tokens = |model: &str, more: serde_json::Value| {
            let mut usage = json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100});
            usage.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"model": model, "choices": [], "usage": usage}).to_string()
        };
        let chunk =
            Bytes::from_static(b"data: {\"model\":\"gpt-4o\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n");
        let endless = stream::iter([Ok::<_, Infallible>(chunk)]).chain(stream::pending());
        let (status, kind, body) = match headers["answer"].to_str().unwrap() {
            "gpt-4o" => (200, "json", tokens("gpt-4o", json!({})).into()),
            "routed" => (200, "json", tokens("openai/gpt-4o", json!({"cost": 0.5, "cost_details": {}})).into()),
            "unknown" => (200, "json", tokens("unknown-model", json!({})).into()),
            "busy" => (429, "json", Body::from(r#"{"error": {"message": "slow down"}}"#)),
            _ => (200, "event-stream", Body::from_stream(endless)),
        };
        let media = if kind == "json" { "application/json" } else { "text/event-stream" };
        Response::builder().status(status).header("content-type", media).body(body).unwrap()
    };
    let address = serve(Router::new().fallback(provider)).await;
    // Without a sink, calls have no events.
    let usage = UsageTap::new().roll_up();
    let client = ServiceBuilder::new()
        .layer(TaggingLayer::builder().usage(usage).build().unwrap())
        .service(Client::builder(TokioExecutor::new()).build_http::<RequestBody<Full<Bytes>>>());
    let event_of = async |answers: &'static [&'static str], passes_on: bool| {
        let recorder = Recorder::default();
        let client = client.clone();
        let handler = async move || {
            for answer in answers {
                if *answer == "not awaited" {
                    assert!(call(client.clone(), address, answer).now_or_never().is_none());
                    continue;
                }
                let mut body = call(client.clone(), address, answer).await.into_body();
                if passes_on {
                    // Streams the provider's response to the client.
                    return Body::new(body);
                }
                while !matches!(*answer, "endless") && body.frame().await.is_some() {}
            }
            Body::empty()
        };
        let app = Router::new().fallback(handler).layer(tagging(&recorder));
        let mut body = app.oneshot(inbound()).await.unwrap().into_body();
        while body.frame().await.is_some() && !answers.contains(&"endless") {}
        drop(body);
        let event = recorder.events().pop().unwrap();
        let llm = event.llm().map(|llm| {
            let usage = llm.usage().map(|usage| [usage.input_tokens(), usage.output_tokens()]);
            let cost = llm.cost().map(|cost| cost.to_string());
            (usage, llm.cost_status().as_str(), cost, llm.price_source().map(str::to_owned))
        });
        llm.map(|(usage, status, cost, source)| {
            let usage = usage.map(|counts| counts.map(Option::unwrap_or_default));
            (usage, status, cost.unwrap_or_default(), source.unwrap_or_default())
        })
    };
    let catalog = "genai-prices 0.2";
    let is = |usage: Option<[u64; 2]>, status: &'static str, cost: &str, source: &str| {
        Some((usage, status, cost.to_owned(), source.to_owned()))
    };
    for (answers, expected) in [
        (&["gpt-4o"][..], is(Some([1000, 100]), "priced", "0.0035", catalog)),
        (&["routed"], is(Some([1000, 100]), "priced", "0.5", "provider")),
        // A rejected call is free. Its retry is not.
        (&["busy", "gpt-4o", "routed"], is(Some([2000, 200]), "priced", "0.5035", "genai-prices 0.2 and provider")),
        (&["gpt-4o", "unknown"], is(Some([2000, 200]), "partial", "0.0035", catalog)),
        (&["unknown"], is(Some([1000, 100]), "unpriced_model", "", "")),
        (&["gpt-4o", "endless"], is(Some([1000, 100]), "partial", "0.0035", catalog)),
        // What a dropped call used is unknown.
        (&["endless"], is(None, "partial", "", "")),
        (&["gpt-4o", "not awaited"], is(Some([1000, 100]), "partial", "0.0035", catalog)),
        (&["not awaited"], is(None, "partial", "", "")),
        (&["busy"], None),
        (&["gpt-4o"; 300], is(Some([300_000, 30_000]), "priced", "1.05", catalog)),
    ] {
        assert_eq!(event_of(answers, false).await, expected, "{answers:?}");
    }
    // Each price source is listed once, regardless of the number of calls.
    let turns: &'static [&'static str] = ["gpt-4o", "routed"].repeat(300).leak();
    let both = "genai-prices 0.2 and provider";
    assert_eq!(event_of(turns, false).await, is(Some([600_000, 60_000]), "priced", "151.05", both));
    for (answers, expected) in [
        (&["gpt-4o"][..], is(Some([1000, 100]), "priced", "0.0035", catalog)),
        // What a dropped call used is unknown.
        (&["endless"], is(None, "partial", "", "")),
    ] {
        assert_eq!(event_of(answers, true).await, expected, "streamed: {answers:?}");
    }
    // Outside of a request, there is no event to add the cost to.
    body_of(call(client, address, "gpt-4o").await).await;
}

/// Runs service A → `PropagateLayer` → service B over HTTP.
#[tokio::test]
async fn called_service_nests_under_the_step() {
    let (path, name) = (Some("agent:main/agent:plan/tool:search_db"), Some("tool:search_db"));
    for (dialect, http2, names) in [
        (Dialect::Majordomo, false, [path, name]),
        (Dialect::Majordomo, true, [path, name]),
        // Portkey has no header for the path.
        (Dialect::Portkey, false, [None, name]),
    ] {
        let (ours, theirs) = (Recorder::new(), Recorder::new());
        let next = next_service(&theirs).await;
        let destination = Destination::new().dialect(dialect).allow(["_user"]).allow_as("tenant", "customer");
        let propagate = PropagateLayer::builder().host("127.0.0.1", destination).build().unwrap();
        let client = propagate.layer(hyper_client(http2));
        let (steps, mut step_of) = tokio::sync::mpsc::unbounded_channel();
        let app = Router::new().fallback(async move |tags: Tags| {
            let step = tags.child("agent:plan").child("tool:search_db");
            steps.send(step.clone()).unwrap();
            let response = step.scope(client.oneshot(call_to(next))).await.unwrap();
            assert!(Step::current().is_none());
            body_of(response).await
        });
        body_of(app.layer(tagging(&ours)).oneshot(inbound()).await.unwrap()).await;
        let (ours, theirs) = (ours.wait_for(1).await.remove(0), theirs.wait_for(1).await.remove(0));
        assert_nests(&ours, &theirs, &step_of.recv().await.unwrap(), names);
        assert_eq!(theirs.metadata(), &tags! { "_user" => "Zoë", "customer" => "acme" });
    }
}

#[tokio::test]
async fn work_after_the_response_still_belongs_to_the_request() {
    let recorder = Recorder::new();
    let (sender, mut steps) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().fallback(async move |tags: Tags| sender.send(tags.child("job:index")).unwrap());
    body_of(app.layer(tagging(&recorder)).oneshot(inbound()).await.unwrap()).await;
    let event = recorder.wait_for(1).await.remove(0);
    let step = steps.recv().await.unwrap();
    assert!(step.tags().is_finished());
    let outgoing = propagate::headers(&step, &Destination::new().dialect(Dialect::Majordomo).allow(["_user"]));
    assert_eq!(text(&outgoing, "x-majordomo-_user"), Some("Zoë"));
    assert_eq!(text(&outgoing, "x-majordomo-span-path"), Some("agent:main/job:index"));
    assert_eq!(text(&outgoing, "tracestate"), Some("vendor=42, other=7"));
    assert!(outgoing["traceparent"].to_str().unwrap().contains(event.trace().trace_id().as_str()));
}

/// `propagate::headers` is for clients that are not Tower services.
#[tokio::test]
async fn headers_function_works_with_any_client() {
    let (ours, theirs) = (Recorder::new(), Recorder::new());
    let next = next_service(&theirs).await;
    let client = hyper_client(false);
    let (steps, mut step_of) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().fallback(async move |tags: Tags| {
        let destination = Destination::new().dialect(Dialect::Baggage).dialect(Dialect::Majordomo).allow(["_user"]);
        let step = tags.child("llm:answer");
        steps.send(step.clone()).unwrap();
        let mut call = call_to(next);
        call.headers_mut().extend(propagate::headers(&step, &destination));
        body_of(client.request(call).await.unwrap()).await
    });
    let outgoing = body_of(app.layer(tagging(&ours)).oneshot(inbound()).await.unwrap()).await;
    assert!(outgoing.contains("baggage: _user=Zo%C3%AB\n"), "{outgoing}");
    let (ours, theirs) = (ours.wait_for(1).await.remove(0), theirs.wait_for(1).await.remove(0));
    let names = [Some("agent:main/llm:answer"), Some("llm:answer")];
    assert_nests(&ours, &theirs, &step_of.recv().await.unwrap(), names);
    assert_eq!(theirs.metadata(), &tags! { "_user" => "Zoë" });
}

#[tokio::test]
async fn spawned_tasks_need_a_scope_to_access_the_request() {
    let tags = tags_of([("_user", "ada")]);
    let step = tags.child("tool:search");
    let found = tags
        .clone()
        .scope(async {
            assert_eq!(Tags::current().unwrap().get("_user").as_deref(), Some("ada"));
            assert!(Step::current().is_none());
            let bare = tokio::spawn(async { Origin::current().is_some() }).await.unwrap();
            let scoped = tokio::spawn(tags.clone().scope(async { Tags::current().is_some() })).await.unwrap();
            let name = async { Step::current().unwrap().trace().span_name().map(str::to_owned) };
            let stepped = tokio::spawn(step.scope(name)).await.unwrap();
            (bare, scoped, stepped)
        })
        .await;
    assert_eq!(found, (false, true, Some("tool:search".to_owned())));
    assert!(Origin::current().is_none());
}

#[tokio::test]
async fn step_scopes_nest_and_a_different_request_hides_them() {
    let (tags, other) = (tags_of([]), tags_of([]));
    let step = tags.child("a");
    let name = || Step::current().and_then(|step| step.trace().span_path().map(str::to_owned));
    step.clone()
        .scope(async {
            assert_eq!(name().as_deref(), Some("a"));
            let inner = step.child("b");
            inner.clone().scope(async { assert_eq!(name().as_deref(), Some("a/b")) }).await;
            assert_eq!(name().as_deref(), Some("a"));
            other.scope(async { assert_eq!(name(), None) }).await;
            tags.clone().scope(async { assert_eq!(name(), None) }).await;
            let recorder = Recorder::new();
            let service = tagging(&recorder).layer(service_fn(async |_: Request<_>| {
                assert!(Tags::current().is_some());
                assert_eq!(name(), None);
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }));
            service.oneshot(Request::new(Full::<Bytes>::default())).await.unwrap();
            assert_eq!(name().as_deref(), Some("a"));
            // A layer on the same request keeps the current step.
            let service = tagging(&recorder).layer(service_fn(async |_: Request<_>| {
                assert_eq!(name().as_deref(), Some("a"));
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }));
            let mut request = Request::new(Full::<Bytes>::default());
            request.extensions_mut().insert(tags.clone());
            service.oneshot(request).await.unwrap();
        })
        .await;
}

/// Layers set the current request even without a sink.
#[tokio::test]
async fn calls_belong_to_the_request_without_a_sink() {
    let metadata = || MetadataLayer::builder().sources(TagSources::portkey());
    let destination = Destination::new().dialect(Dialect::Portkey).allow(["_user"]);
    let client = to_all_hosts(destination);
    let handle = async |request: Request<Full<Bytes>>| {
        let tags = request.extensions().get::<Tags>().unwrap();
        let headers = sent(&client, request_to("https://api.example.com/"));
        assert_eq!(headers["x-portkey-metadata"], r#"{"_user":"ada"}"#);
        assert_eq!(headers["traceparent"], tags.trace().traceparent());
        let client = client.clone();
        let of_body = stream::once(async move {
            let headers = sent(&client, request_to("https://api.example.com/"));
            Ok::<_, Infallible>(Bytes::copy_from_slice(headers["x-portkey-metadata"].as_bytes()))
        });
        Ok::<_, Infallible>(Response::new(Body::from_stream(of_body)))
    };
    let request = || {
        let request = Request::get("/").header("x-portkey-metadata", r#"{"_user": "ada"}"#);
        request.body(Full::<Bytes>::default()).unwrap()
    };
    let whole = TaggingLayer::builder().metadata(metadata()).build().unwrap().without_request_body();
    let parts = ServiceBuilder::new().layer(TraceIdLayer::new()).layer(metadata().build().unwrap());
    for response in [
        whole.layer(service_fn(&handle)).oneshot(request()).await.unwrap().map(Body::new),
        parts.service(service_fn(&handle)).oneshot(request()).await.unwrap().map(Body::new),
    ] {
        assert_eq!(body_of(response).await, r#"{"_user":"ada"}"#);
        assert!(Tags::current().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_requests_never_see_each_others_tags() {
    let (ours, theirs) = (Recorder::new(), Recorder::new());
    let next = next_service(&theirs).await;
    let destination = Destination::new().dialect(Dialect::Majordomo).allow(["id"]);
    let client = to_all_hosts(destination).layer(hyper_client(false));
    let app = Router::new().fallback(async move || {
        // The task may resume on a different thread.
        tokio::time::sleep(Duration::from_micros(fastrand())).await;
        let step = Tags::current().unwrap().child("step");
        let first = step.scope(client.clone().oneshot(call_to(next))).await.unwrap();
        let body = stream::once(async move {
            body_of(first).await;
            let second = client.oneshot(call_to(next)).await.unwrap();
            Ok::<_, Infallible>(Bytes::from(body_of(second).await))
        });
        Body::from_stream(body)
    });
    let app = app.layer(tagging(&ours));
    let calls = (0..400).map(|id| {
        let app = app.clone();
        tokio::spawn(async move {
            let request = Request::get("/").header("x-majordomo-id", id.to_string()).body(Body::empty()).unwrap();
            let outgoing = body_of(app.oneshot(request).await.unwrap()).await;
            assert!(outgoing.contains(&format!("x-majordomo-id: {id}\n")), "{id}: {outgoing}");
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let spans: BTreeMap<String, (String, String)> = ours
        .wait_for(400)
        .await
        .iter()
        .map(|event| {
            let id = event.metadata().get("id").unwrap().to_owned();
            (event.trace().trace_id().to_string(), (event.trace().span_id().to_string(), id))
        })
        .collect();
    assert_eq!(spans.len(), 400);
    let mut from_steps = 0;
    for event in theirs.wait_for(800).await {
        let (span_id, id) = &spans[event.trace().trace_id().as_str()];
        assert_eq!(event.metadata().get("id"), Some(&**id));
        let is_child_of_request = event.trace().parent_span_id() == Some(span_id);
        // The call made by the response body is not part of the step.
        assert_eq!(event.trace().span_name(), (!is_child_of_request).then_some("step"));
        from_steps += u32::from(!is_child_of_request);
    }
    assert_eq!(from_steps, 400);
}

/// Returns a pseudorandom number of microseconds below one millisecond.
fn fastrand() -> u64 {
    u64::from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()) % 997
}

#[test]
fn adds_no_headers_outside_of_a_request() {
    let everything = DIALECTS.into_iter().fold(Destination::new().allow(["_user"]), Destination::dialect);
    let layer = PropagateLayer::builder().other_hosts(everything).overwrite(true).build().unwrap();
    assert!(sent(&layer, request_to("https://api.example.com/")).is_empty());
}

#[test]
fn sends_each_host_what_its_destination_allows() {
    let tags = tags_of([("_user", "ada"), ("tenant", "acme")]);
    let builder = PropagateLayer::builder()
        .host("llm.example.com", Destination::nothing().dialect(Dialect::Cloudflare).allow(["tenant"]))
        .host("*.internal.example", Destination::new().dialect(Dialect::Baggage).allow(["_user", "absent"]));
    let layer = builder.clone().build().unwrap();
    let names = |uri: &str| {
        let headers = sent_for(&tags, &layer, request_to(uri));
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    let traceparent = format!("traceparent: {}", tags.trace().traceparent());
    assert_eq!(names("https://llm.example.com/v1"), [r#"cf-aig-metadata: {"tenant":"acme"}"#]);
    assert_eq!(names("https://a.internal.example/"), [&*traceparent, "baggage: _user=ada"]);
    assert_eq!(names("https://stranger.example/"), [&*traceparent]);
    let silent = builder.other_hosts(Destination::nothing()).build().unwrap();
    assert!(sent_for(&tags, &silent, request_to("https://stranger.example/")).is_empty());
}

#[test]
fn reports_an_invalid_host_when_the_layer_is_built() {
    let error = PropagateLayer::builder()
        .host("https://example.com", Destination::new())
        .host("also wrong", Destination::new())
        .overwrite(true)
        .build()
        .unwrap_err();
    assert!(error.to_string().starts_with("invalid host pattern \"https://example.com\""), "{error}");
}

#[test]
fn service_gives_access_to_the_wrapped_client() {
    let mut client = Propagate::new("client", Propagate::layer());
    assert_eq!(*client.get_ref(), "client");
    *client.get_mut() = "other";
    assert_eq!(client.into_inner(), "other");
}

/// Tags and steps in the request extensions precede the current request.
#[test]
fn extensions_precede_the_current_request() {
    let (current, explicit) = (tags_of([("id", "current")]), tags_of([("id", "explicit")]));
    let layer = to_all_hosts(Destination::new().dialect(Dialect::Majordomo).allow(["id"]));
    let outgoing = |request| {
        let headers = current.child("now").scope(async { sent(&layer, request) }).now_or_never().unwrap();
        let [id, name] =
            ["x-majordomo-id", "x-majordomo-span-name"].map(|name| text(&headers, name).map(str::to_owned));
        (id.unwrap(), name)
    };
    let with = |tags: &Tags| {
        let mut request = request_to("/");
        request.extensions_mut().insert(tags.clone());
        request
    };
    let named = |id: &str, name: Option<&str>| (id.to_owned(), name.map(str::to_owned));
    assert_eq!(outgoing(request_to("/")), named("current", Some("now")));
    assert_eq!(outgoing(with(&explicit)), named("explicit", None));
    assert_eq!(outgoing(with(&current)), named("current", Some("now")), "a forwarded request");
    let mut request = with(&current);
    request.extensions_mut().insert(explicit.child("then"));
    assert_eq!(outgoing(request), named("explicit", Some("then")));
}

/// A buffer calls its service in a separate task.
#[tokio::test]
async fn works_outside_of_a_buffer_and_inside_with_extensions() {
    let layer = PropagateLayer::new();
    let echo = service_fn(async |request: Request<()>| Ok::<_, Infallible>(request.headers().clone()));
    let outside = ServiceBuilder::new().layer(layer.clone()).buffer(8).service(echo);
    let inside = ServiceBuilder::new().buffer(8).layer(layer).service(echo);
    let tags = tags_of([]);
    let call = async |service: tower::util::BoxCloneService<_, HeaderMap, tower::BoxError>, extend: bool| {
        let mut request = request_to("/");
        if extend {
            request.extensions_mut().insert(tags.clone());
        }
        let headers = tags.clone().scope(service.oneshot(request)).await.unwrap();
        headers.contains_key("traceparent")
    };
    let [outside, inside] = [outside.boxed_clone(), inside.boxed_clone()];
    assert!(call(outside, false).await);
    assert!(!call(inside.clone(), false).await);
    assert!(call(inside, true).await);
}

#[test]
fn keeps_existing_headers_unless_it_may_overwrite_them() {
    let tags = tags_of([("tenant", "acme")]);
    let own = tags.trace().traceparent();
    let builder = PropagateLayer::builder()
        .other_hosts(Destination::new().dialect(Dialect::Baggage).dialect(Dialect::Majordomo).allow(["tenant"]));
    let layer = builder.clone().build().unwrap();
    let with = |headers: &[(&'static str, &str)]| {
        let mut request = request_to("/");
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
        }
        request
    };
    let theirs =
        [("traceparent", OTHER_TRACEPARENT), ("tracestate", "theirs=1"), ("baggage", "a=1"), ("baggage", "b=2")];
    let headers = sent_for(&tags, &layer, with(&theirs));
    assert_eq!(text(&headers, "traceparent"), Some(OTHER_TRACEPARENT));
    assert_eq!(text(&headers, "tracestate"), Some("theirs=1"));
    assert_eq!(headers.get_all("baggage").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(text(&headers, "x-majordomo-tenant"), Some("acme"));

    let headers = sent_for(&tags, &builder.overwrite(true).build().unwrap(), with(&theirs));
    assert_eq!(text(&headers, "traceparent"), Some(&*own));
    assert_eq!(headers.get("tracestate"), None, "a tracestate belongs to its traceparent");
    assert_eq!(headers.get_all("baggage").iter().collect::<Vec<_>>(), ["tenant=acme"]);

    let headers = sent_for(&tags, &layer, with(&[("tracestate", "orphan=1")]));
    assert_eq!((text(&headers, "traceparent"), headers.get("tracestate")), (Some(&*own), None));

    // A forwarded request names our own span. The span of the step replaces it.
    let step = tags.child("step");
    let request = with(&[("traceparent", &own), ("tracestate", "theirs=1")]);
    let headers = step.clone().scope(async { sent(&layer, request) }).now_or_never().unwrap();
    assert_eq!(text(&headers, "traceparent"), Some(&*step.trace().traceparent()));

    // A destination without trace context does not change existing trace headers.
    let headers = sent_for(&tags, &to_all_hosts(Destination::nothing()), with(&theirs));
    assert_eq!(text(&headers, "tracestate"), Some("theirs=1"));
}

#[tokio::test]
async fn portkey_parent_span_id_survives_a_round_trip_through_the_event() {
    let step = tags_of([]).child("step");
    let outgoing = propagate::headers(&step, &Destination::new().dialect(Dialect::Portkey));
    assert_eq!(outgoing["x-portkey-parent-span-id"], step.trace().span_id().as_str());
    let recorder = Recorder::new();
    let app = Router::new().fallback(async || "").layer(tagging(&recorder));
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = outgoing;
    body_of(app.oneshot(request).await.unwrap()).await;
    let event = recorder.single();
    let back: Event = serde_json::from_str(&serde_json::to_string(&*event).unwrap()).unwrap();
    assert_eq!(back.trace(), event.trace());
}

/// The span must belong to the trace of the request.
#[test]
fn active_opentelemetry_span_is_the_parent() {
    use opentelemetry::{
        Context,
        trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
    };

    let tags = tags_of([]);
    let parent_within = |trace_id: [u8; 16], step: Option<Step>| {
        let (trace_id, span_id) = (TraceId::from_bytes(trace_id), SpanId::from_bytes([7; 8]));
        let span = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, TraceState::default());
        let _active = Context::new().with_remote_span_context(span).attach();
        let headers = match step {
            Some(step) => step.scope(async { sent(&PropagateLayer::new(), request_to("/")) }).now_or_never().unwrap(),
            None => sent_for(&tags, &PropagateLayer::new(), request_to("/")),
        };
        text(&headers, "traceparent").unwrap()[36..52].to_owned()
    };
    let trace = tags.trace();
    let step = tags.child("step");
    assert_eq!(parent_within(trace.trace_id().to_bytes(), None), "0707070707070707");
    assert_eq!(parent_within([9; 16], None), trace.span_id().as_str(), "a span of another trace");
    assert_eq!(parent_within(trace.trace_id().to_bytes(), Some(step.clone())), step.trace().span_id().as_str());
}

#[tokio::test]
async fn forwards_tracestate_only_with_its_traceparent() {
    let long = (0..32).map(|at| format!("k{at}={}", "v".repeat(256))).collect::<Vec<_>>().join(",");
    for (policy, traceparent, tracestate, expected) in [
        (TracePolicy::Accept, TRACEPARENT, &["a=1", "b=2,a=3"][..], Some("a=1,b=2")),
        (TracePolicy::Accept, TRACEPARENT, &[&long], Some(&*long)),
        (TracePolicy::Accept, TRACEPARENT, &["a=1, ,b=2"], Some("a=1, ,b=2")),
        (TracePolicy::Accept, TRACEPARENT, &["not valid"], None),
        (TracePolicy::Accept, TRACEPARENT, &[], None),
        (TracePolicy::Accept, "not valid", &["a=1"], None),
        (TracePolicy::Restart, TRACEPARENT, &["a=1"], None),
    ] {
        let service = TraceIdLayer::new().policy(policy).layer(service_fn(async |request: Request<()>| {
            let tags = request.extensions().get::<Tags>().unwrap();
            assert!(!serde_json::to_string(&tags.trace()).unwrap().contains("a=1"));
            let mut response = Response::new(String::new());
            *response.headers_mut() = propagate::headers(tags.child("step"), &Destination::new());
            Ok::<_, Infallible>(response)
        }));
        let mut request = Request::get("/").header("traceparent", traceparent);
        for value in tracestate {
            request = request.header("tracestate", *value);
        }
        let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
        assert_eq!(text(response.headers(), "tracestate"), expected, "{tracestate:?}");
        assert!(response.headers().contains_key("traceparent"));
    }
}

/// The spans nest: the step, the call, the called service.
#[tokio::test]
async fn client_with_a_tagging_layer_adds_its_own_span() {
    let (called, served) = (Recorder::new(), Recorder::new());
    let next = next_service(&served).await;
    let layers = ServiceBuilder::new().layer(PropagateLayer::new()).layer(tagging(&called).without_request_body());
    let client = layers.service(hyper_client(false));
    let step = tags_of([]).child("tool:search");
    let response = step.clone().scope(client.oneshot(call_to(next))).await.unwrap();
    body_of(response).await;
    let (called, served) = (called.wait_for(1).await.remove(0), served.wait_for(1).await.remove(0));
    assert_eq!(called.trace().parent_span_id(), Some(step.trace().span_id().as_str()));
    assert_eq!(served.trace().parent_span_id(), Some(called.trace().span_id().as_str()));
    assert_eq!(served.trace().trace_id(), step.trace().trace_id());
}

#[test]
fn bodies_responses_and_errors_need_no_traits() {
    struct Plain;

    let mut client = PropagateLayer::new().layer(service_fn(async |request: Request<Plain>| {
        let Plain = request.into_body();
        Err::<Plain, Plain>(Plain)
    }));
    let result = client.call(Request::new(Plain)).now_or_never().unwrap();
    assert!(matches!(result, Err(Plain)));
}

/// Returns the headers of one dialect, and the tags left out of them with the reasons.
fn left_out(dialect: Dialect, tags: &[(&str, &str)]) -> (HeaderMap, Vec<(String, LeftOutReason)>) {
    let (handle, keys) = (Tags::new(), tags.iter().map(|(key, _)| *key));
    handle.extend(tags.iter().copied());
    let propagated = Destination::nothing().dialect(dialect).allow(keys).propagate(&handle);
    let left_out = propagated.left_out.into_iter().map(|tag| {
        assert_eq!(tag.dialect, dialect);
        (tag.key, tag.reason)
    });
    (propagated.headers, left_out.collect())
}

#[test]
fn reports_tags_that_a_dialect_cannot_represent() {
    use LeftOutReason::{Key, Taken, Value};

    let because = |key: &str, reason| (key.to_owned(), reason);
    let (headers, missing) = left_out(Dialect::Baggage, &[("a b", "1"), ("ü", "2"), ("ok", "a b,ü;=%\\\"")]);
    assert_eq!(missing, [because("a b", Key), because("ü", Key)]);
    assert_eq!(text(&headers, "baggage"), Some("ok=a%20b%2C%C3%BC%3B=%25%5C%22"));

    let tags = [("key", "1"), ("Trace-Id", "2"), ("Team", "3"), ("team", "4"), ("a b", "5"), ("user", " Zoë\t")];
    let (headers, missing) = left_out(Dialect::Majordomo, &tags);
    let expected = [because("key", Key), because("Trace-Id", Key), because("team", Taken), because("a b", Key)];
    assert_eq!(missing, expected);
    assert_eq!(text(&headers, "x-majordomo-team"), Some("3"));
    assert_eq!(text(&headers, "x-majordomo-user"), Some("Zoë"));
    assert_eq!(headers.len(), 2);

    let tags = [("a", "1,2"), ("a,b", "3"), ("team", "search"), ("x", " 4 ")];
    let (headers, missing) = left_out(Dialect::LiteLlm, &tags);
    assert_eq!(missing, [because("a", Value), because("a,b", Key)]);
    assert_eq!(text(&headers, "x-litellm-tags"), Some("team:search,x:4"));

    let tags = [("_user", "ada"), ("session_id", "s-1"), ("session_name", "chat"), ("Plan", "pro"), ("ü", "1")];
    let (headers, missing) = left_out(Dialect::Helicone, &tags);
    assert_eq!(missing, [because("ü", Key)]);
    for (name, value) in [
        ("helicone-user-id", "ada"),
        ("helicone-session-id", "s-1"),
        ("helicone-session-name", "chat"),
        ("helicone-property-plan", "pro"),
    ] {
        assert_eq!(text(&headers, name), Some(value));
    }
    assert_eq!(headers.len(), 4, "the path is part of the trace context");
    let helicone = Destination::new().dialect(Dialect::Helicone).allow(["session_id"]);
    let outgoing = propagate::headers(tags_of([("session_id", "s-1")]).child("plan").child("search"), &helicone);
    assert_eq!(text(&outgoing, "helicone-session-path"), Some("/plan/search"));

    let two = Destination::nothing().dialect(Dialect::Portkey).allow_as("a", "x").allow_as("b", "x").allow_as("a", "y");
    let outgoing = two.clone().propagate(tags_of([("a", "1"), ("b", "2")]));
    assert_eq!(text(&outgoing.headers, "x-portkey-metadata"), Some(r#"{"y":"1","x":"2"}"#), "the later name applies");
    let outgoing = two.allow_as("a", "x").propagate(tags_of([("a", "1"), ("b", "2")]));
    assert_eq!(text(&outgoing.headers, "x-portkey-metadata"), Some(r#"{"x":"1"}"#));
    assert_eq!((&*outgoing.left_out[0].key, outgoing.left_out[0].reason), ("b", Taken));
}

#[test]
fn observes_the_limits_of_each_dialect() {
    let long = "x".repeat(128);
    let many: Vec<String> = (0..200).map(|at| format!("k{at:03}")).collect();
    let handle = tags_of(many.iter().map(|key| (&**key, "v")));
    let layer = |dialect| to_all_hosts(Destination::nothing().dialect(dialect).allow(many.iter()));
    for (dialect, header, entries) in [(Dialect::Baggage, "baggage", 64), (Dialect::Cloudflare, "cf-aig-metadata", 5)] {
        let layer = layer(dialect);
        let headers = sent_for(&handle, &layer, request_to("/"));
        let list = text(&headers, header).unwrap();
        assert_eq!(list.split(',').count(), entries);
        assert!(list.contains(&many[0]) && list.contains(&many[entries - 1]), "the first entries of the allow-list");
        assert_eq!(layer.left_out_total(), 200 - entries as u64);
        sent_for(&handle, &layer.clone(), request_to("/"));
        assert_eq!(layer.left_out_total(), 2 * (200 - entries as u64));
    }
    // The limit of 8,192 bytes applies to the encoded form. A short tag may still fit after a long one did not.
    let handle = tags_of(many.iter().map(|key| (&**key, &*long)).chain([("z", "short")]));
    for dialect in DIALECTS {
        let destination = Destination::nothing().dialect(dialect).allow(many.iter().map(|key| &**key).chain(["z"]));
        let outgoing = destination.propagate(&handle);
        let bytes: usize = if outgoing.headers.len() > 1 {
            outgoing.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
        } else {
            outgoing.headers.values().map(HeaderValue::len).sum()
        };
        assert!(bytes <= 8192 && (bytes > 8000 || dialect == Dialect::Cloudflare), "{dialect:?}: {bytes}");
        assert!(!outgoing.left_out.is_empty());
        let has_short = outgoing.left_out.iter().all(|tag| tag.key != "z");
        assert_eq!(has_short, dialect != Dialect::Cloudflare, "{dialect:?}");
    }
    // Portkey's own limit applies if the limits of the service are higher.
    let limits = Limits::default().value_chars(200);
    let wide = MetadataLayer::builder()
        .limits(limits)
        .scope(Scope::Forced, tags! { "a" => "ü".repeat(129), "b" => "ü".repeat(128) });
    let service = wide.build().unwrap().layer(service_fn(async |request: Request<()>| {
        let tags = request.extensions().get::<Tags>().unwrap();
        let outgoing = Destination::nothing().dialect(Dialect::Portkey).allow(["a", "b"]).propagate(tags);
        assert_eq!((&*outgoing.left_out[0].key, outgoing.left_out[0].reason), ("a", LeftOutReason::TooLong));
        assert!(text(&outgoing.headers, "x-portkey-metadata").unwrap().starts_with(r#"{"b":"\u00fc"#));
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    service.oneshot(Request::new(())).now_or_never().unwrap().unwrap();
}

/// Keys and values of all kinds, with many duplicates.
fn texts() -> impl Strategy<Value = Vec<(String, String)>> {
    let key =
        prop_oneof!["[a-cA-C_]{1,3}", "[ -~]{1,6}", "\\PC{1,4}", Just("key".to_owned()), Just("_user".to_owned())];
    let value = prop_oneof!["[a-z]{0,4}", "[ -~]{0,12}", "\\PC{0,8}", any::<String>()];
    vec((key, value), 0..12)
}

/// Returns the tags that a dialect can represent, and the headers for a destination that may receive all tags.
fn send_all(tags: &[(String, String)], dialect: Dialect) -> (Metadata, HeaderMap) {
    let handle = tags_of(tags.iter().map(|(key, value)| (&**key, &**value)));
    let metadata = handle.metadata();
    let keys: Vec<&str> = metadata.iter().map(|(key, _)| key).collect();
    let outgoing = Destination::nothing().dialect(dialect).allow(keys).propagate(&handle);
    let missing: BTreeSet<&str> = outgoing.left_out.iter().map(|tag| &*tag.key).collect();
    let sent = metadata.iter().filter(|(key, _)| !missing.contains(key)).collect();
    (sent, outgoing.headers)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn our_sources_read_back_the_tags_that_a_dialect_sends(tags in texts()) {
        let (expected, headers) = send_all(&tags, Dialect::Baggage);
        prop_assert_eq!(read(TagSources::new().baggage(true), headers), expected);

        let (expected, headers) = send_all(&tags, Dialect::Portkey);
        prop_assert_eq!(read(TagSources::portkey(), headers), expected);

        let (expected, headers) = send_all(&tags, Dialect::Cloudflare);
        let sources = TagSources::new().json_header(HeaderName::from_static("cf-aig-metadata"));
        prop_assert_eq!(read(sources, headers), expected);

        // Header names are lowercase, and values have no leading or trailing whitespace.
        let as_headers = |metadata: &Metadata| -> Metadata {
            metadata.iter().map(|(key, value)| (key.to_ascii_lowercase(), value.trim_matches([' ', '\t']))).collect()
        };
        let (expected, headers) = send_all(&tags, Dialect::Majordomo);
        prop_assert_eq!(read(TagSources::majordomo(), headers), as_headers(&expected));

        let (expected, headers) = send_all(&tags, Dialect::Helicone);
        let sources = TagSources::new().prefix("helicone-property-").allow_list("helicone-user-id=_user");
        // Helicone accepts `key` as a property. Our prefixed source reserves it.
        let expected: Metadata = as_headers(&expected).iter().filter(|(key, _)| *key != "key").collect();
        prop_assert_eq!(read(sources, headers), expected);

        let (expected, headers) = send_all(&tags, Dialect::LiteLlm);
        let list = text(&headers, "x-litellm-tags").map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
        let trim = |text: &str| text.trim_matches([' ', '\t']).to_owned();
        let expected: Vec<_> = expected.iter().map(|(key, value)| format!("{}:{}", trim(key), trim(value))).collect();
        prop_assert_eq!(list.unwrap_or_default(), expected);
    }

    #[test]
    fn sends_nothing_that_is_not_on_the_allow_list(
        inbound in vec((0..4_usize, any::<u32>(), any::<u32>()), 0..12),
        by_code in vec((any::<u32>(), any::<u32>()), 0..4),
        allowed in subsequence((0..16).collect::<Vec<usize>>(), 0..8),
        dialects in subsequence(DIALECTS.to_vec(), 0..=6),
        renames: bool,
        sends_trace: bool,
        overwrites: bool,
    ) {
        // Every key and value is unique in every encoding.
        let marks: Vec<(String, String)> = inbound
            .iter()
            .map(|(_, key, value)| (key, value))
            .chain(by_code.iter().map(|(key, value)| (key, value)))
            .enumerate()
            .map(|(at, (key, value))| (format!("k{at:02}x{key:08x}"), format!("v{at:02}y{value:08x}")))
            .collect();
        let trace = Destination::new().trace_context(sends_trace);
        let mut destination = dialects.iter().fold(trace, |destination, dialect| destination.dialect(*dialect));
        for (key, _) in allowed.iter().filter_map(|at| marks.get(*at)) {
            destination = if renames { destination.allow_as(key, &format!("n{key}")) } else { destination.allow([key]) };
        }
        let mut request = Request::new(Body::empty());
        let mut json = serde_json::Map::new();
        for ((source, ..), (key, value)) in inbound.iter().zip(&marks) {
            let header = |text: &str| HeaderValue::from_str(text).unwrap();
            let name = |text: String| HeaderName::from_bytes(text.as_bytes()).unwrap();
            match source {
                0 => _ = json.insert(key.clone(), value.clone().into()),
                1 => _ = request.headers_mut().append("baggage", header(&format!("{key}={value}"))),
                2 => _ = request.headers_mut().insert(name(format!("x-majordomo-{key}")), header(value)),
                _ => _ = request.headers_mut().insert(name(key.clone()), header(value)),
            }
        }
        let json = serde_json::Value::from(json).to_string();
        request.headers_mut().insert("x-portkey-metadata", HeaderValue::from_str(&json).unwrap());
        request.headers_mut().insert("authorization", HeaderValue::from_static("Bearer s3cret"));
        request.headers_mut().insert("x-majordomo-key", HeaderValue::from_static("s3cret"));
        let layer = PropagateLayer::builder().other_hosts(destination).overwrite(overwrites).build().unwrap();
        let later = marks[inbound.len()..].to_vec();
        let service = tagging(&Recorder::new()).layer(service_fn(move |_: Request<_>| {
            let tags = Tags::current().unwrap();
            tags.extend(later.iter().map(|(key, value)| (key, value)));
            let mut response = Response::new(String::new());
            *response.headers_mut() = sent(&layer, request_to("https://api.example.com/"));
            async { Ok::<_, Infallible>(response) }
        }));
        let response = service.oneshot(request).now_or_never().unwrap().unwrap();
        let out: Vec<_> = response.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        let out = out.join("\n");
        prop_assert!(!out.contains("s3cret"), "{}", out);
        for (at, (key, value)) in marks.iter().enumerate() {
            if !allowed.contains(&at) || dialects.is_empty() {
                prop_assert!(!out.contains(key) && !out.contains(value), "{} leaks in {}", key, out);
            }
        }
        prop_assert_eq!(out.contains("traceparent"), sends_trace);
        if !sends_trace {
            prop_assert!(!out.contains("span"), "{}", out);
        }
    }
}
