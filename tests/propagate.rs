//! Tags and trace ids on outgoing calls: what arrives, what does not, and on whose behalf.

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
    propagate::{self, Destination, Dialect, LeftOutReason, Origin, PropagateLayer},
    sources::TagSources,
    tagging::RequestBody,
    tags,
    trace::TracePolicy,
    usage::UsageTap,
};

const CARRIERS: [Dialect; 6] =
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

/// The headers with which a request leaves the layer.
fn sent<B>(layer: &PropagateLayer, request: Request<B>) -> HeaderMap {
    let client = layer.layer(service_fn(async |request: Request<B>| Ok::<_, Infallible>(request.headers().clone())));
    client.oneshot(request).now_or_never().unwrap().unwrap()
}

fn request_to(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

/// The same, within a request.
fn sent_for(tags: &Tags, layer: &PropagateLayer, request: Request<()>) -> HeaderMap {
    tags.clone().scope(async { sent(layer, request) }).now_or_never().unwrap()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| std::str::from_utf8(value.as_bytes()).unwrap())
}

/// What a service of ours reads out of the headers.
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

/// A service that answers with what it is told, and the layer that reports it.
async fn next_service(recorder: &Recorder) -> SocketAddr {
    let told = async |headers: HeaderMap| {
        let lines =
            headers.iter().map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
        lines.collect::<String>()
    };
    serve(Router::new().fallback(told).layer(tagging(recorder))).await
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

/// The child of our span is the parent there, and nothing arrives that is not allowed.
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

/// Who asked is on the events of a client's own layer, each tag of the scope that it was of, and in the same trace.
#[tokio::test]
async fn calls_are_on_behalf_of_the_request() {
    let (outer, inner) = (Recorder::default(), Recorder::default());
    let provider = async || {
        let usage = serde_json::json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100});
        axum::Json(serde_json::json!({"model": "gpt-4o", "choices": [], "usage": usage}))
    };
    let address = serve(Router::new().fallback(provider)).await;
    let of_call = MetadataLayer::builder().inherit_tags().resolver(|head| {
        let attempt = head.headers.get("attempt").map_or("", |attempt| attempt.to_str().unwrap());
        Scopes::new().with(Scope::Request, tags! { "attempt" => attempt })
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
    // Outside of a request there is nobody.
    let lone = MetadataLayer::builder().inherit_tags().build().unwrap();
    let nobody = lone.layer(service_fn(async |request: Request<()>| {
        assert!(request.extensions().get::<Tags>().unwrap().metadata().is_empty());
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    nobody.oneshot(Request::new(())).await.unwrap();
}

/// What a request's calls used and cost is on its own event, each as it was priced where it was made.
#[tokio::test]
async fn what_calls_cost_is_on_the_request() {
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
            "unknown" => (200, "json", tokens("gpt-nobody-knows", json!({})).into()),
            "busy" => (429, "json", Body::from(r#"{"error": {"message": "slow down"}}"#)),
            _ => (200, "event-stream", Body::from_stream(endless)),
        };
        let media = if kind == "json" { "application/json" } else { "text/event-stream" };
        Response::builder().status(status).header("content-type", media).body(body).unwrap()
    };
    let address = serve(Router::new().fallback(provider)).await;
    // No sink: the calls have no events of their own.
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
                    // The client of the service gets what the provider sends, as it comes.
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
    let catalog = "genai-prices 0.2.1";
    let is = |usage: Option<[u64; 2]>, status: &'static str, cost: &str, source: &str| {
        Some((usage, status, cost.to_owned(), source.to_owned()))
    };
    for (answers, expected) in [
        (&["gpt-4o"][..], is(Some([1000, 100]), "priced", "0.0035", catalog)),
        (&["routed"], is(Some([1000, 100]), "priced", "0.5", "provider")),
        // A call that was refused and made again cost what the second one did.
        (&["busy", "gpt-4o", "routed"], is(Some([2000, 200]), "priced", "0.5035", "genai-prices 0.2.1 and provider")),
        (&["gpt-4o", "unknown"], is(Some([2000, 200]), "partial", "0.0035", catalog)),
        (&["unknown"], is(Some([1000, 100]), "unpriced_model", "", "")),
        (&["gpt-4o", "endless"], is(Some([1000, 100]), "partial", "0.0035", catalog)),
        (&["endless"], is(None, "no_usage", "", "")),
        (&["gpt-4o", "not awaited"], is(Some([1000, 100]), "partial", "0.0035", catalog)),
        (&["not awaited"], is(None, "no_usage", "", "")),
        (&["busy"], None),
        (&["gpt-4o"; 300], is(Some([300_000, 30_000]), "priced", "1.05", catalog)),
    ] {
        assert_eq!(event_of(answers, false).await, expected, "{answers:?}");
    }
    // However many there are, each source is named once.
    let turns: &'static [&'static str] = ["gpt-4o", "routed"].repeat(300).leak();
    let both = "genai-prices 0.2.1 and provider";
    assert_eq!(event_of(turns, false).await, is(Some([600_000, 60_000]), "priced", "151.05", both));
    for (answers, expected) in [
        (&["gpt-4o"][..], is(Some([1000, 100]), "priced", "0.0035", catalog)),
        (&["endless"], is(None, "no_usage", "", "")),
    ] {
        assert_eq!(event_of(answers, true).await, expected, "handed on: {answers:?}");
    }
    // Outside of a request nobody is told.
    body_of(call(client, address, "gpt-4o").await).await;
}

/// A → PropagateLayer → B over real HTTP.
#[tokio::test]
async fn steps_nest_in_the_next_service() {
    let (path, name) = (Some("agent:main/agent:plan/tool:search_db"), Some("tool:search_db"));
    for (dialect, http2, names) in [
        (Dialect::Majordomo, false, [path, name]),
        (Dialect::Majordomo, true, [path, name]),
        // Portkey has no path.
        (Dialect::Portkey, false, [None, name]),
    ] {
        let (ours, theirs) = (Recorder::new(), Recorder::new());
        let next = next_service(&theirs).await;
        let destination = Destination::new().dialect(dialect).allow(["_user"]).allow_as("tenant", "customer");
        let propagate = PropagateLayer::new().host("127.0.0.1", destination).unwrap();
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

/// Work that goes on after the response is still the request's.
#[tokio::test]
async fn after_the_end_of_the_request() {
    let recorder = Recorder::new();
    let (kept, mut keeps) = tokio::sync::mpsc::unbounded_channel();
    let app = Router::new().fallback(async move |tags: Tags| kept.send(tags.child("job:index")).unwrap());
    body_of(app.layer(tagging(&recorder)).oneshot(inbound()).await.unwrap()).await;
    let event = recorder.wait_for(1).await.remove(0);
    let step = keeps.recv().await.unwrap();
    assert!(step.tags().is_finished());
    let told = propagate::headers(&step, &Destination::new().dialect(Dialect::Majordomo).allow(["_user"]));
    assert_eq!(text(&told, "x-majordomo-_user"), Some("Zoë"));
    assert_eq!(text(&told, "x-majordomo-span-path"), Some("agent:main/job:index"));
    assert_eq!(text(&told, "tracestate"), Some("vendor=42, other=7"));
    assert!(told["traceparent"].to_str().unwrap().contains(event.trace().trace_id().as_str()));
}

/// `propagate::headers` serves clients that no layer wraps.
#[tokio::test]
async fn helper_supplies_headers_for_any_client() {
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
    let told = body_of(app.layer(tagging(&ours)).oneshot(inbound()).await.unwrap()).await;
    assert!(told.contains("baggage: _user=Zo%C3%AB\n"), "{told}");
    let (ours, theirs) = (ours.wait_for(1).await.remove(0), theirs.wait_for(1).await.remove(0));
    let names = [Some("agent:main/llm:answer"), Some("llm:answer")];
    assert_nests(&ours, &theirs, &step_of.recv().await.unwrap(), names);
    assert_eq!(theirs.metadata(), &tags! { "_user" => "Zoë" });
}

#[tokio::test]
async fn a_spawned_task_is_on_its_own_without_a_scope() {
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

/// Steps within steps, and another request within a step, which hides it.
#[tokio::test]
async fn scopes_nest() {
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
            // A layer around the same request leaves it.
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

/// A layer whose events nobody wants says whose request it is all the same, where no layer around it does.
#[tokio::test]
async fn without_a_sink_calls_are_made_for_the_request() {
    let metadata = || MetadataLayer::builder().sources(TagSources::portkey());
    let destination = Destination::new().dialect(Dialect::Portkey).allow(["_user"]);
    let client = PropagateLayer::new().other_hosts(destination);
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
async fn requests_never_see_each_others_tags() {
    let (ours, theirs) = (Recorder::new(), Recorder::new());
    let next = next_service(&theirs).await;
    let destination = Destination::new().dialect(Dialect::Majordomo).allow(["id"]);
    let client = PropagateLayer::new().other_hosts(destination).layer(hyper_client(false));
    let app = Router::new().fallback(async move || {
        // Wherever the task wakes up, it works for the same request.
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
            let told = body_of(app.oneshot(request).await.unwrap()).await;
            assert!(told.contains(&format!("x-majordomo-id: {id}\n")), "{id}: {told}");
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
        // The call out of the body is no part of the step.
        assert_eq!(event.trace().span_name(), (!is_child_of_request).then_some("step"));
        from_steps += u32::from(!is_child_of_request);
    }
    assert_eq!(from_steps, 400);
}

/// Less than a millisecond, of some microseconds.
fn fastrand() -> u64 {
    u64::from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()) % 997
}

#[test]
fn without_a_request_nothing_is_sent() {
    let everything = CARRIERS.into_iter().fold(Destination::new().allow(["_user"]), Destination::dialect);
    let layer = PropagateLayer::new().other_hosts(everything).overwrite(true);
    assert!(sent(&layer, request_to("https://api.example.com/")).is_empty());
}

#[test]
fn each_host_is_told_its_part() {
    let tags = tags_of([("_user", "ada"), ("tenant", "acme")]);
    let layer = PropagateLayer::new()
        .host("llm.example.com", Destination::nothing().dialect(Dialect::Cloudflare).allow(["tenant"]))
        .unwrap()
        .host("*.internal.example", Destination::new().dialect(Dialect::Baggage).allow(["_user", "absent"]))
        .unwrap();
    let names = |uri: &str| {
        let headers = sent_for(&tags, &layer, request_to(uri));
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect::<Vec<_>>()
    };
    let traceparent = format!("traceparent: {}", tags.trace().traceparent());
    assert_eq!(names("https://llm.example.com/v1"), [r#"cf-aig-metadata: {"tenant":"acme"}"#]);
    assert_eq!(names("https://a.internal.example/"), [&*traceparent, "baggage: _user=ada"]);
    assert_eq!(names("https://stranger.example/"), [&*traceparent]);
    let silent = layer.other_hosts(Destination::nothing());
    assert!(sent_for(&tags, &silent, request_to("https://stranger.example/")).is_empty());
}

/// What the extensions say goes before what the thread works for.
#[test]
fn explicit_tags_win() {
    let (current, explicit) = (tags_of([("id", "current")]), tags_of([("id", "explicit")]));
    let layer = PropagateLayer::new().other_hosts(Destination::new().dialect(Dialect::Majordomo).allow(["id"]));
    let told = |request| {
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
    assert_eq!(told(request_to("/")), named("current", Some("now")));
    assert_eq!(told(with(&explicit)), named("explicit", None));
    assert_eq!(told(with(&current)), named("current", Some("now")), "a request that is handed on");
    let mut request = with(&current);
    request.extensions_mut().insert(explicit.child("then"));
    assert_eq!(told(request), named("explicit", Some("then")));
}

/// A buffer calls its service in a task of its own.
#[tokio::test]
async fn around_a_buffer() {
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

/// What the outgoing request has already, and what becomes of it.
#[test]
fn headers_of_the_caller_stay() {
    let tags = tags_of([("tenant", "acme")]);
    let own = tags.trace().traceparent();
    let layer = PropagateLayer::new()
        .other_hosts(Destination::new().dialect(Dialect::Baggage).dialect(Dialect::Majordomo).allow(["tenant"]));
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

    let headers = sent_for(&tags, &layer.clone().overwrite(true), with(&theirs));
    assert_eq!(text(&headers, "traceparent"), Some(&*own));
    assert_eq!(headers.get("tracestate"), None, "a tracestate belongs to its traceparent");
    assert_eq!(headers.get_all("baggage").iter().collect::<Vec<_>>(), ["tenant=acme"]);

    let headers = sent_for(&tags, &layer, with(&[("tracestate", "orphan=1")]));
    assert_eq!((text(&headers, "traceparent"), headers.get("tracestate")), (Some(&*own), None));

    // A request that is handed on names our own span, which a step's replaces.
    let step = tags.child("step");
    let request = with(&[("traceparent", &own), ("tracestate", "theirs=1")]);
    let headers = step.clone().scope(async { sent(&layer, request) }).now_or_never().unwrap();
    assert_eq!(text(&headers, "traceparent"), Some(&*step.trace().traceparent()));

    // Where the trace does not go out, nobody touches it.
    let headers = sent_for(&tags, &PropagateLayer::new().other_hosts(Destination::nothing()), with(&theirs));
    assert_eq!(text(&headers, "tracestate"), Some("theirs=1"));
}

/// The parent of a call in Portkey's dialect is a W3C id like any other, as it is when the event is read back.
#[tokio::test]
async fn a_parent_is_the_same_in_whatever_header() {
    let step = tags_of([]).child("step");
    let told = propagate::headers(&step, &Destination::new().dialect(Dialect::Portkey));
    assert_eq!(told["x-portkey-parent-span-id"], step.trace().span_id().as_str());
    let recorder = Recorder::new();
    let app = Router::new().fallback(async || "").layer(tagging(&recorder));
    let mut request = Request::new(Body::empty());
    *request.headers_mut() = told;
    body_of(app.oneshot(request).await.unwrap()).await;
    let event = recorder.single();
    let back: Event = serde_json::from_str(&serde_json::to_string(&*event).unwrap()).unwrap();
    assert_eq!(back.trace(), event.trace());
}

/// Calls made within a span of the app nest under that, where it belongs to the request.
#[test]
fn an_active_span_of_opentelemetry_is_the_parent() {
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

/// `tracestate` goes on beside the `traceparent` that it belongs to, and only there.
#[tokio::test]
async fn tracestate_of_the_request_goes_on() {
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

/// Around a client that has tags of its own: our span, its span, theirs.
#[tokio::test]
async fn outside_of_a_client_with_a_tagging_layer() {
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

/// Neither the request's body, nor the response, nor the error needs any trait.
#[test]
fn bodies_responses_and_errors_are_left_alone() {
    struct Plain;

    let mut client = PropagateLayer::new().layer(service_fn(async |request: Request<Plain>| {
        let Plain = request.into_body();
        Err::<Plain, Plain>(Plain)
    }));
    let result = client.call(Request::new(Plain)).now_or_never().unwrap();
    assert!(matches!(result, Err(Plain)));
}

/// The reasons for which tags are left out of one dialect.
fn left_out(dialect: Dialect, tags: &[(&str, &str)]) -> (HeaderMap, Vec<(String, LeftOutReason)>) {
    let (handle, keys) = (Tags::new(), tags.iter().map(|(key, _)| *key));
    // Scopes set in code are within the limits as well; these are wide enough for what the dialects refuse.
    handle.extend(tags.iter().copied());
    let propagated = Destination::nothing().dialect(dialect).allow(keys).propagate(&handle);
    let left_out = propagated.left_out.into_iter().map(|tag| {
        assert_eq!(tag.dialect, dialect);
        (tag.key, tag.reason)
    });
    (propagated.headers, left_out.collect())
}

#[test]
fn what_a_dialect_cant_say_is_left_out_and_named() {
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
    assert_eq!(headers.len(), 4, "without a trace there is no path");
    let helicone = Destination::new().dialect(Dialect::Helicone).allow(["session_id"]);
    let told = propagate::headers(tags_of([("session_id", "s-1")]).child("plan").child("search"), &helicone);
    assert_eq!(text(&told, "helicone-session-path"), Some("/plan/search"));

    let two = Destination::nothing().dialect(Dialect::Portkey).allow_as("a", "x").allow_as("b", "x").allow_as("a", "y");
    let told = two.clone().propagate(tags_of([("a", "1"), ("b", "2")]));
    assert_eq!(text(&told.headers, "x-portkey-metadata"), Some(r#"{"y":"1","x":"2"}"#), "the later name counts");
    let told = two.allow_as("a", "x").propagate(tags_of([("a", "1"), ("b", "2")]));
    assert_eq!(text(&told.headers, "x-portkey-metadata"), Some(r#"{"x":"1"}"#));
    assert_eq!((&*told.left_out[0].key, told.left_out[0].reason), ("b", Taken));
}

#[test]
fn limits_of_the_dialects() {
    let long = "x".repeat(128);
    let many: Vec<String> = (0..200).map(|at| format!("k{at:03}")).collect();
    let handle = tags_of(many.iter().map(|key| (&**key, "v")));
    let layer = |dialect| PropagateLayer::new().other_hosts(Destination::nothing().dialect(dialect).allow(many.iter()));
    for (dialect, header, entries) in [(Dialect::Baggage, "baggage", 64), (Dialect::Cloudflare, "cf-aig-metadata", 5)] {
        let layer = layer(dialect);
        let headers = sent_for(&handle, &layer, request_to("/"));
        let list = text(&headers, header).unwrap();
        assert_eq!(list.split(',').count(), entries);
        assert!(list.contains(&many[0]) && list.contains(&many[entries - 1]), "the first of the allow-list");
        assert_eq!(layer.left_out_total(), 200 - entries as u64);
        sent_for(&handle, &layer.clone(), request_to("/"));
        assert_eq!(layer.left_out_total(), 2 * (200 - entries as u64));
    }
    // 8,192 bytes, as the encoding has them; a shorter tag behind a long one still finds room.
    let handle = tags_of(many.iter().map(|key| (&**key, &*long)).chain([("z", "short")]));
    for dialect in CARRIERS {
        let destination = Destination::nothing().dialect(dialect).allow(many.iter().map(|key| &**key).chain(["z"]));
        let told = destination.propagate(&handle);
        let bytes: usize = if told.headers.len() > 1 {
            told.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
        } else {
            told.headers.values().map(HeaderValue::len).sum()
        };
        assert!(bytes <= 8192 && (bytes > 8000 || dialect == Dialect::Cloudflare), "{dialect:?}: {bytes}");
        assert!(!told.left_out.is_empty());
        let has_short = told.left_out.iter().all(|tag| tag.key != "z");
        assert_eq!(has_short, dialect != Dialect::Cloudflare, "{dialect:?}");
    }
    // Portkey's own limit, for a service whose limits are wider.
    let limits = Limits::default().value_chars(200);
    let wide = MetadataLayer::builder()
        .limits(limits)
        .scope(Scope::Forced, tags! { "a" => "ü".repeat(129), "b" => "ü".repeat(128) });
    let service = wide.build().unwrap().layer(service_fn(async |request: Request<()>| {
        let tags = request.extensions().get::<Tags>().unwrap();
        let told = Destination::nothing().dialect(Dialect::Portkey).allow(["a", "b"]).propagate(tags);
        assert_eq!((&*told.left_out[0].key, told.left_out[0].reason), ("a", LeftOutReason::TooLong));
        assert!(text(&told.headers, "x-portkey-metadata").unwrap().starts_with(r#"{"b":"\u00fc"#));
        Ok::<_, Infallible>(Response::new(String::new()))
    }));
    service.oneshot(Request::new(())).now_or_never().unwrap().unwrap();
}

/// Keys and values of all kinds, many of them the same.
fn texts() -> impl Strategy<Value = Vec<(String, String)>> {
    let key =
        prop_oneof!["[a-cA-C_]{1,3}", "[ -~]{1,6}", "\\PC{1,4}", Just("key".to_owned()), Just("_user".to_owned())];
    let value = prop_oneof!["[a-z]{0,4}", "[ -~]{0,12}", "\\PC{0,8}", any::<String>()];
    vec((key, value), 0..12)
}

/// The tags, and what a destination that may know all of them is told.
fn told_all(tags: &[(String, String)], dialect: Dialect) -> (Metadata, HeaderMap) {
    let handle = tags_of(tags.iter().map(|(key, value)| (&**key, &**value)));
    let metadata = handle.metadata();
    let keys: Vec<&str> = metadata.iter().map(|(key, _)| key).collect();
    let told = Destination::nothing().dialect(dialect).allow(keys).propagate(&handle);
    let missing: BTreeSet<&str> = told.left_out.iter().map(|tag| &*tag.key).collect();
    let sent = metadata.iter().filter(|(key, _)| !missing.contains(key)).collect();
    (sent, told.headers)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    /// What is sent in a dialect, a service of ours reads as the same tags.
    #[test]
    fn a_round_trip(tags in texts()) {
        let (expected, headers) = told_all(&tags, Dialect::Baggage);
        prop_assert_eq!(read(TagSources::new().baggage(true), headers), expected);

        let (expected, headers) = told_all(&tags, Dialect::Portkey);
        prop_assert_eq!(read(TagSources::portkey(), headers), expected);

        let (expected, headers) = told_all(&tags, Dialect::Cloudflare);
        let sources = TagSources::new().json_header(HeaderName::from_static("cf-aig-metadata"));
        prop_assert_eq!(read(sources, headers), expected);

        // Header names are in lower case, and values have no outer white space.
        let as_headers = |metadata: &Metadata| -> Metadata {
            metadata.iter().map(|(key, value)| (key.to_ascii_lowercase(), value.trim_matches([' ', '\t']))).collect()
        };
        let (expected, headers) = told_all(&tags, Dialect::Majordomo);
        prop_assert_eq!(read(TagSources::majordomo(), headers), as_headers(&expected));

        let (expected, headers) = told_all(&tags, Dialect::Helicone);
        let sources = TagSources::new().prefix("helicone-property-").unwrap().allow_list("helicone-user-id=_user").unwrap();
        // `key` is a property for Helicone, and never a tag behind a prefix for us.
        let expected: Metadata = as_headers(&expected).iter().filter(|(key, _)| *key != "key").collect();
        prop_assert_eq!(read(sources, headers), expected);

        let (expected, headers) = told_all(&tags, Dialect::LiteLlm);
        let list = text(&headers, "x-litellm-tags").map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>());
        let trim = |text: &str| text.trim_matches([' ', '\t']).to_owned();
        let expected: Vec<_> = expected.iter().map(|(key, value)| format!("{}:{}", trim(key), trim(value))).collect();
        prop_assert_eq!(list.unwrap_or_default(), expected);
    }

    /// Whatever came in, only what is on the allow-list goes out.
    #[test]
    fn nothing_leaks(
        inbound in vec((0..4_usize, any::<u32>(), any::<u32>()), 0..12),
        by_code in vec((any::<u32>(), any::<u32>()), 0..4),
        allowed in subsequence((0..16).collect::<Vec<usize>>(), 0..8),
        dialects in subsequence(CARRIERS.to_vec(), 0..=6),
        renames: bool,
        sends_trace: bool,
        overwrites: bool,
    ) {
        // Every key and value is unlike all others, in whatever way it is written.
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
        let layer = PropagateLayer::new().other_hosts(destination).overwrite(overwrites);
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
