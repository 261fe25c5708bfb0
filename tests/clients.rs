//! Tests of clients whose calls belong to the current request.

mod common;

use std::{convert::Infallible, time::Duration};

use axum::{Router, body::Body, routing::any};
use bytes::Bytes;
use common::Recorder;
use futures_util::{FutureExt, StreamExt, future::join, stream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_tagging::{
    Event, MetadataLayer, Scope, TagSources, TaggingLayer, Tags,
    client::{ReqwestClient, TaggedClient},
    event::{ManualClock, Outcome},
    propagate::{Destination, Dialect, PropagateLayer},
    tagging::{RequestBody, ResponseBody},
    tags,
    usage::{CostStatus, LlmCall, UsageStatus, UsageTap},
};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

type Call = Request<RequestBody<Full<Bytes>>>;

fn to_all_hosts(destination: Destination) -> PropagateLayer {
    PropagateLayer::builder().other_hosts(destination).build().unwrap()
}

fn call_to(uri: &str) -> Request<Full<Bytes>> {
    Request::post(uri).body(Full::default()).unwrap()
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// Runs a handler for a request, and returns the event of the request.
async fn event_of<F: Future<Output = ()> + Send + 'static>(
    request: Request<Body>,
    handler: impl Fn(HeaderMap) -> F + Clone + Send + Sync + 'static,
) -> std::sync::Arc<Event> {
    let recorder = Recorder::new();
    let tagging = TaggingLayer::builder().sources(TagSources::portkey()).sink(recorder.clone()).build().unwrap();
    let app = Router::new().fallback(any(move |headers: HeaderMap| handler(headers))).layer(tagging);
    app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    recorder.single()
}

fn inbound() -> Request<Body> {
    let metadata = r#"{"_user":"ada","plan":"secret"}"#;
    Request::post("/").header("x-portkey-metadata", metadata).body(Body::empty()).unwrap()
}

/// Clients can be kept in the state of an app, and sent to other tasks.
#[test]
fn clients_can_be_named_shared_and_sent() {
    fn is_state<T: Clone + Send + Sync + 'static>(_: &T) {}
    type Hyper = hyper_util::client::legacy::Client<
        hyper_util::client::legacy::connect::HttpConnector,
        RequestBody<Full<Bytes>>,
    >;
    let hyper: Hyper = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let client: TaggedClient<Hyper> = TaggedClient::new(hyper);
    is_state(&client);
    is_state(&ReqwestClient::new(reqwest::Client::new()));
    fn is_send<T: Send>(_: &T) {}
    is_send(&client.send(call_to("http://127.0.0.1/")));
    fn is_sync<T: Send + Sync>() {}
    is_sync::<ResponseBody<Full<Bytes>>>();
}

/// Every order of the layers around a client continues the trace of the request, at the step that makes the call.
#[tokio::test]
async fn the_next_service_nests_under_the_call() {
    #[derive(Clone, Copy, Debug)]
    enum Order {
        Client,
        TaggingOutside,
        PropagateOutside,
    }
    for order in [Order::Client, Order::TaggingOutside, Order::PropagateOutside] {
        for (in_step, forwards, dialect) in [
            (false, false, Dialect::Baggage),
            (true, false, Dialect::Baggage),
            (false, false, Dialect::Portkey),
            (true, false, Dialect::Portkey),
            (false, true, Dialect::Baggage),
            (true, true, Dialect::Baggage),
            (true, true, Dialect::Portkey),
            (true, false, Dialect::Majordomo),
        ] {
            let case = format!("{order:?}, step: {in_step}, forwards: {forwards}, {dialect:?}");
            let (calls, next) = (Recorder::new(), Recorder::new());
            let tagging = TaggingLayer::client_builder().sink(calls.clone()).build().unwrap();
            let propagate = to_all_hosts(Destination::new().dialect(dialect).allow(["_user"]));
            let service = TaggingLayer::builder().sink(next.clone()).build().unwrap();
            let service = service.layer(service_fn(async |request: Request<_>| {
                let parent = text(request.headers(), "x-portkey-parent-span-id").map(str::to_owned);
                let own = request.extensions().get::<Tags>().unwrap().trace().span_id().as_str().to_owned();
                assert!(parent.is_none_or(|parent| parent == own), "the header names the span of this service");
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }));
            // Extensions do not travel over a connection.
            let service = ServiceBuilder::new()
                .map_request(|mut request: Request<_>| {
                    request.extensions_mut().clear();
                    request
                })
                .service(service);
            let request = Request::post("/")
                .header("traceparent", TRACEPARENT)
                .header("tracestate", "vendor=42")
                .header("x-portkey-metadata", r#"{"_user":"ada"}"#)
                .header("x-portkey-parent-span-id", "aaaaaaaaaaaaaaaa");
            let (step_id, remember) = (std::sync::Arc::new(std::sync::Mutex::new(None)), in_step);
            let seen = step_id.clone();
            let event = event_of(request.body(Body::empty()).unwrap(), move |headers: HeaderMap| {
                let (tagging, propagate, service, seen) =
                    (tagging.clone(), propagate.clone(), service.clone(), seen.clone());
                async move {
                    let mut call = call_to("http://next.test/");
                    if forwards {
                        *call.headers_mut() = headers;
                    }
                    let sent = async {
                        match order {
                            Order::Client => {
                                let client = TaggedClient::new(service).tagging(tagging).propagate(propagate);
                                client.send(call).await.unwrap().into_body().collect().await.unwrap();
                            }
                            Order::TaggingOutside => {
                                let layers = ServiceBuilder::new().layer(tagging).layer(propagate);
                                let response = layers.service(service).oneshot(call).await.unwrap();
                                response.into_body().collect().await.unwrap();
                            }
                            Order::PropagateOutside => {
                                let layers = ServiceBuilder::new().layer(propagate).layer(tagging);
                                let response = layers.service(service).oneshot(call).await.unwrap();
                                response.into_body().collect().await.unwrap();
                            }
                        }
                    };
                    if remember {
                        let step = Tags::current().unwrap().child("agent:plan");
                        *seen.lock().unwrap() = Some(step.trace().span_id().as_str().to_owned());
                        step.scope(sent).await;
                    } else {
                        sent.await;
                    }
                }
            })
            .await;
            let (call, next) = (calls.single(), next.single());
            let parent = step_id.lock().unwrap().clone();
            let parent = parent.unwrap_or_else(|| event.trace().span_id().as_str().to_owned());
            assert_eq!(event.trace().parent_span_id(), Some("aaaaaaaaaaaaaaaa"), "{case}");
            for event in [&call, &next] {
                assert_eq!(event.trace().trace_id().as_str(), &TRACEPARENT[3..35], "{case}");
                assert_eq!(event.trace().tracestate(), Some("vendor=42"), "{case}");
            }
            assert_eq!(call.trace().parent_span_id(), Some(parent.as_str()), "{case}");
            assert_eq!(next.trace().parent_span_id(), Some(call.trace().span_id().as_str()), "{case}");
            assert_eq!(call.metadata().get("_user"), Some("ada"), "{case}");
            if matches!(dialect, Dialect::Portkey | Dialect::Majordomo) {
                assert_eq!(next.trace().span_name(), in_step.then_some("agent:plan"), "{case}");
            }
        }
    }
}

/// A call with a `traceparent` of another trace keeps it.
#[tokio::test]
async fn an_explicit_trace_is_kept() {
    let calls = Recorder::new();
    let tagging = TaggingLayer::client_builder().sink(calls.clone()).build().unwrap();
    let client = TaggedClient::new(service_fn(async |_: Call| Ok::<_, Infallible>(Response::new(Body::empty()))));
    let client = client.tagging(tagging);
    let mut call = call_to("http://next.test/");
    call.headers_mut().insert("traceparent", TRACEPARENT.parse().unwrap());
    Tags::new().scope(client.send(call)).await.unwrap();
    let call = calls.single();
    assert_eq!(call.trace().trace_id().as_str(), &TRACEPARENT[3..35]);
    assert_eq!(call.trace().parent_span_id(), Some(&TRACEPARENT[36..52]));
    // Outside of a request, the call starts a trace.
    client.send(call_to("http://next.test/")).await.unwrap();
    assert_eq!(calls.events()[1].trace().parent_span_id(), None);
}

/// Each host receives the tags and the trace that it may have, and a response has no header that the provider did not send.
#[tokio::test]
async fn hosts_receive_what_they_may_have() {
    let echo = service_fn(async |call: Call| {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(call.headers().clone());
        Ok::<_, Infallible>(response)
    });
    let propagate = PropagateLayer::builder()
        .host("gateway.test", Destination::new().dialect(Dialect::Portkey).allow(["_user"]))
        .host("third-party.test", Destination::nothing())
        .build()
        .unwrap();
    let client = TaggedClient::new(echo).propagate(propagate);
    let event = event_of(inbound(), move |headers| {
        let client = client.clone();
        async move {
            for forwards in [false, true] {
                let sent = async |uri: &str| {
                    let mut call = call_to(uri);
                    if forwards {
                        call.headers_mut().extend(headers.clone());
                        call.headers_mut().remove("x-portkey-metadata");
                    }
                    let response = client.send(call).await.unwrap();
                    assert!(response.headers().is_empty(), "{:?}", response.headers());
                    response.extensions().get::<HeaderMap>().unwrap().clone()
                };
                let gateway = sent("http://gateway.test/").await;
                assert_eq!(text(&gateway, "x-portkey-metadata"), Some(r#"{"_user":"ada"}"#));
                let span = text(&gateway, "traceparent").map(|value| value[36..52].to_owned());
                assert_eq!(text(&gateway, "x-portkey-parent-span-id"), span.as_deref());
                let other = sent("http://other.test/").await;
                assert!(other.contains_key("traceparent") && !other.contains_key("x-portkey-metadata"));
                let third_party = sent("http://third-party.test/").await;
                assert_eq!(third_party.get("traceparent"), None, "forwards: {forwards}");
                assert_eq!(third_party.get("tracestate"), None);
            }
        }
    })
    .await;
    assert_eq!(event.outcome(), Outcome::Completed);
}

fn answer(model: &str) -> Value {
    let usage = json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100});
    json!({"id": format!("id-{model}"), "model": model, "choices": [], "usage": usage})
}

/// A response that runs in the background.
fn background(status: &str) -> Value {
    let usage = if status == "completed" { json!({"input_tokens": 1000, "output_tokens": 100}) } else { Value::Null };
    json!({"id": "r", "object": "response", "background": true, "status": status, "model": "gpt-4o", "usage": usage})
}

type Chunk = Result<Bytes, BoxError>;

fn chunk(content: &Value) -> Bytes {
    format!("data: {content}\n\n").into()
}

/// Answers as the header `answer` of the call asks. Each answer takes two seconds of the clock, streams one more to their
/// first token.
fn provider(
    clock: ManualClock,
) -> impl Service<Call, Response = Response<Body>, Error = BoxError, Future: Send> + Clone + Send + Sync + 'static {
    service_fn(move |call: Call| {
        let clock = clock.clone();
        async move {
            let kind = text(call.headers(), "answer").unwrap().to_owned();
            call.into_body().collect().await?;
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(2));
            let delta = json!({"id": "id-stream", "model": "gpt-4o", "choices": [{"delta": {"content": "a"}}]});
            let usage = json!({"id": "id-stream", "model": "gpt-4o", "choices": [], "usage": answer("")["usage"]});
            let first = {
                let clock = clock.clone();
                stream::once(async move {
                    clock.advance(Duration::from_secs(1));
                    Chunk::Ok(chunk(&delta))
                })
            };
            let done = stream::iter([Ok("data: [DONE]\n\n".into())]);
            let (status, body) = match kind.as_str() {
                "busy" => (429, Body::from(r#"{"error":{"message":"slow down"}}"#)),
                "failed" => (200, Body::from(r#"{"model":"gpt-4o","error":{"message":"overloaded"}}"#)),
                "stream" => (200, Body::from_stream(first.chain(stream::iter([Ok(chunk(&usage))])).chain(done))),
                "stream without usage" => (200, Body::from_stream(first.chain(done))),
                "endless" => (200, Body::from_stream(first.chain(stream::pending()))),
                "broken stream" => (200, Body::from_stream(first.chain(stream::iter([Err("reset".into())])))),
                "queued" | "in_progress" | "completed" => (200, Body::from(background(&kind).to_string())),
                model => (200, Body::from(answer(model).to_string())),
            };
            let media =
                if kind.contains("stream") || kind == "endless" { "text/event-stream" } else { "application/json" };
            Ok(Response::builder().status(status).header("content-type", media).body(body)?)
        }
    })
}

/// Runs a request that makes calls one after the other, or at once, and returns its event.
async fn with_calls(calls: &'static [(&'static str, &'static str)], at_once: bool) -> std::sync::Arc<Event> {
    let clock = ManualClock::new();
    let events = tower_tagging::EventLayer::new(Recorder::new()).clock(clock.clone());
    let tagging = TaggingLayer::client_builder().events(events).build().unwrap();
    let client = TaggedClient::new(provider(clock)).tagging(tagging);
    event_of(inbound(), move |_| {
        let client = client.clone();
        async move {
            let call = async |(path, answer): (&str, &str)| {
                let method = if path.starts_with(RESULT) { "GET" } else { "POST" };
                let mut call = Request::builder().method(method).uri(format!("http://provider.test{path}"));
                call = call.header("answer", answer).header("content-type", "application/json");
                let model = if answer.contains('-') { answer } else { "gpt-4o" };
                let body = json!({"model": model, "stream": answer.contains("stream") || answer == "endless"});
                let sent = client.send(call.body(Full::from(body.to_string())).unwrap());
                if answer == "not awaited" {
                    assert!(sent.now_or_never().is_none());
                    return;
                }
                let mut body = sent.await.unwrap().into_body();
                if answer == "endless" {
                    body.frame().await.unwrap().unwrap();
                } else {
                    assert_eq!(body.collect().await.is_err(), answer.starts_with("broken"));
                }
            };
            match calls {
                [one, two] if at_once => _ = join(call(*one), call(*two)).await,
                calls => {
                    for one in calls {
                        call(*one).await;
                    }
                }
            }
        }
    })
    .await
}

const CHAT: &str = "/v1/chat/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const RESULT: &str = "/v1/responses/r";

#[tokio::test]
async fn a_single_call_keeps_what_is_known() {
    struct Expected {
        operation: &'static str,
        request_model: Option<&'static str>,
        response_model: Option<&'static str>,
        id: Option<&'static str>,
        stream: bool,
        usage: UsageStatus,
        cost: CostStatus,
        first_token: Option<u64>,
        seconds: u64,
    }
    let base = Expected {
        operation: "chat",
        request_model: Some("gpt-4o"),
        response_model: Some("gpt-4o"),
        id: Some("id-gpt-4o"),
        stream: false,
        usage: UsageStatus::Reported,
        cost: CostStatus::Priced,
        first_token: None,
        seconds: 2,
    };
    let stream = || Expected { id: Some("id-stream"), stream: true, first_token: Some(3), seconds: 3, ..base };
    let cases: [(&'static [(&str, &str)], Expected); 10] = [
        (&[(CHAT, "gpt-4o")], Expected { ..base }),
        (&[(CHAT, "broken stream")], Expected { usage: UsageStatus::Partial, cost: CostStatus::Partial, ..stream() }),
        // The result of a call in the background counts, and neither its start nor its polls.
        (
            &[("/v1/responses", "queued"), (RESULT, "in_progress"), (RESULT, "completed"), (RESULT, "completed")],
            Expected { operation: "responses", id: Some("r"), ..base },
        ),
        (
            &[(EMBEDDINGS, "text-embedding-3-small")],
            Expected {
                operation: "embeddings",
                request_model: Some("text-embedding-3-small"),
                response_model: Some("text-embedding-3-small"),
                id: Some("id-text-embedding-3-small"),
                ..base
            },
        ),
        (&[(CHAT, "stream")], stream()),
        // Nothing is missing that the provider reported: it reported nothing.
        (
            &[(CHAT, "stream without usage")],
            Expected { usage: UsageStatus::Absent, cost: CostStatus::NoUsage, ..stream() },
        ),
        (&[(CHAT, "endless")], Expected { usage: UsageStatus::Partial, cost: CostStatus::Partial, ..stream() }),
        (
            &[(CHAT, "not awaited")],
            Expected {
                response_model: None,
                id: None,
                usage: UsageStatus::Partial,
                cost: CostStatus::Partial,
                seconds: 0,
                ..base
            },
        ),
        (
            &[(CHAT, "unknown-model")],
            Expected {
                request_model: Some("unknown-model"),
                response_model: Some("unknown-model"),
                id: Some("id-unknown-model"),
                cost: CostStatus::UnpricedModel,
                ..base
            },
        ),
        // A rejected call is free, and its retry is the only call.
        (&[(CHAT, "busy"), (CHAT, "gpt-4o")], base),
    ];
    for (calls, expected) in cases {
        let event = with_calls(calls, false).await;
        let llm = event.llm().unwrap();
        assert_eq!(llm.operation().unwrap().as_str(), expected.operation, "{calls:?}");
        assert_eq!(llm.request_model(), expected.request_model, "{calls:?}");
        assert_eq!((llm.response_model(), llm.response_id()), (expected.response_model, expected.id), "{calls:?}");
        assert_eq!(llm.is_stream(), expected.stream, "{calls:?}");
        assert_eq!((llm.usage_status(), llm.cost_status()), (expected.usage, expected.cost), "{calls:?}");
        assert_eq!(llm.time_to_first_token().map(|time| time.as_secs()), expected.first_token, "{calls:?}");
        assert_eq!((llm.calls(), llm.models().len()), (Some(1), 1), "{calls:?}");
        assert_eq!(llm.duration(), Some(Duration::from_secs(expected.seconds)), "{calls:?}");
        assert_eq!(llm.usage().is_some(), matches!(expected.usage, UsageStatus::Reported), "{calls:?}");
        let is_priced = expected.cost == CostStatus::Priced;
        assert_eq!(llm.cost().is_some(), is_priced, "{calls:?}");
    }
}

/// The counts that are missing of one call make the sum partial. The kinds of calls remain distinguishable.
#[tokio::test]
async fn several_calls_are_distinguished_by_model() {
    type Kind = (&'static str, &'static str, u64, Option<u64>, &'static str);
    const CHAT_CALL: Kind = ("chat", "gpt-4o", 1, Some(1000), "0.0035");
    const EMBEDDING: Kind = ("embeddings", "text-embedding-3-small", 1, Some(1000), "0.00002");
    const TWICE: Kind = ("chat", "gpt-4o", 2, Some(2000), "0.007");
    const UNKNOWN: Kind = ("chat", "gpt-4o", 1, None, "");
    type Case = (&'static [(&'static str, &'static str)], UsageStatus, CostStatus, &'static [Kind]);
    let cases: [Case; 5] = [
        (
            &[(CHAT, "gpt-4o"), (EMBEDDINGS, "text-embedding-3-small")],
            UsageStatus::Reported,
            CostStatus::Priced,
            &[CHAT_CALL, EMBEDDING],
        ),
        (
            &[(EMBEDDINGS, "text-embedding-3-small"), (CHAT, "gpt-4o"), (CHAT, "stream")],
            UsageStatus::Reported,
            CostStatus::Priced,
            &[EMBEDDING, TWICE],
        ),
        (
            &[(EMBEDDINGS, "text-embedding-3-small"), (CHAT, "endless")],
            UsageStatus::Partial,
            CostStatus::Partial,
            &[EMBEDDING, UNKNOWN],
        ),
        (
            &[(CHAT, "stream without usage"), (EMBEDDINGS, "text-embedding-3-small")],
            UsageStatus::Partial,
            CostStatus::Partial,
            &[UNKNOWN, EMBEDDING],
        ),
        (
            &[(CHAT, "stream without usage"), (CHAT, "stream without usage")],
            UsageStatus::Absent,
            CostStatus::NoUsage,
            &[("chat", "gpt-4o", 2, None, "")],
        ),
    ];
    for (calls, usage, cost, kinds) in cases {
        let event = with_calls(calls, false).await;
        let llm: &LlmCall = event.llm().unwrap();
        assert_eq!((llm.usage_status(), llm.cost_status()), (usage, cost), "{calls:?}");
        assert_eq!(llm.calls(), Some(calls.len() as u64));
        assert_eq!(llm.response_id(), None, "an id describes a single call: {calls:?}");
        let found: Vec<_> = llm
            .models()
            .iter()
            .map(|of| {
                let cost = of.cost.map(|cost| cost.to_string()).unwrap_or_default();
                let operation = of.operation.as_ref().unwrap().as_str();
                (operation, of.model.as_deref().unwrap(), of.calls, of.input_tokens, cost)
            })
            .collect();
        let kinds: Vec<_> = kinds.iter().map(|kind| (kind.0, kind.1, kind.2, kind.3, kind.4.to_owned())).collect();
        assert_eq!(found, kinds, "{calls:?}");
    }
}

#[tokio::test]
async fn the_last_call_describes_the_request() {
    for (calls, models) in [
        (&[(CHAT, "gpt-4o"), (CHAT, "gpt-4o-mini"), (CHAT, "gpt-4o")][..], &["gpt-4o", "gpt-4o-mini"][..]),
        (&[(CHAT, "gpt-4o-mini"), (CHAT, "stream"), (CHAT, "gpt-4o")], &["gpt-4o-mini", "gpt-4o"]),
        // A call without a response has only a requested model.
        (&[(CHAT, "not awaited"), (CHAT, "gpt-4o")], &["gpt-4o"]),
    ] {
        let event = with_calls(calls, false).await;
        let llm = event.llm().unwrap();
        let described = (llm.request_model(), llm.response_model(), llm.provider());
        assert_eq!(described, (Some("gpt-4o"), Some("gpt-4o"), Some("openai")), "{calls:?}");
        assert_eq!(llm.is_stream(), calls.iter().any(|(_, answer)| *answer == "stream"), "{calls:?}");
        let found: Vec<_> = llm.models().iter().map(|of| of.model.as_deref().unwrap()).collect();
        assert_eq!(found, models, "{calls:?}");
    }
}

/// Usage that code records needs the prices of a tap. Without them, the cost of other calls is not that of the request.
#[tokio::test]
async fn usage_without_prices_makes_the_cost_partial() {
    let client = TaggedClient::new(provider(ManualClock::new()));
    let event = event_of(inbound(), move |_| {
        let client = client.clone();
        async move {
            let call = Request::post(format!("http://provider.test{CHAT}")).header("answer", "gpt-4o");
            client.send(call.body(Full::default()).unwrap()).await.unwrap().into_body().collect().await.unwrap();
            Tags::current().unwrap().record_response("openai", answer("gpt-4o").to_string());
        }
    })
    .await;
    let llm = event.llm().unwrap();
    assert_eq!((llm.cost_status(), llm.usage().unwrap().input_tokens()), (CostStatus::Partial, Some(2000)));
    assert_eq!(llm.cost().unwrap().to_string(), "0.0035");
}

/// The time of calls that run at once counts once, so that the rest of the duration is the service's own.
#[tokio::test]
async fn the_duration_is_the_time_spent_waiting() {
    let two: &[_] = &[(CHAT, "gpt-4o"), (CHAT, "gpt-4o")];
    assert_eq!(with_calls(two, false).await.llm().unwrap().duration(), Some(Duration::from_secs(4)));
    // Each of the two calls moves the clock by two seconds while both run.
    assert_eq!(with_calls(two, true).await.llm().unwrap().duration(), Some(Duration::from_secs(4)));
    let event = with_calls(&[(CHAT, "busy")], false).await;
    assert_eq!(event.llm(), None, "a call that was not billed");
}

/// The error of a call belongs to the call. The handler decides whether the request failed.
#[tokio::test]
async fn the_error_of_a_call_is_not_that_of_the_request() {
    let event = with_calls(&[(CHAT, "failed")], false).await;
    let llm = event.llm().unwrap();
    assert_eq!((llm.error(), llm.calls(), llm.response_model()), (None, Some(1), Some("gpt-4o")));
    assert_eq!((event.outcome(), event.error(), event.status().unwrap().as_u16()), (Outcome::Completed, None, 200));
}

#[tokio::test]
async fn an_inheriting_layer_does_not_affect_a_server() {
    let recorder = Recorder::new();
    let metadata = MetadataLayer::builder().inherit_tags().scope(Scope::Workspace, tags! { "tenant" => "ours" });
    let tagging = TaggingLayer::builder().metadata(metadata).sink(recorder.clone()).build().unwrap();
    let app = Router::new().fallback(async || "").layer(tagging);
    let request = Request::get("/").header("traceparent", TRACEPARENT).body(Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
    let event = recorder.single();
    assert_eq!(event.trace().parent_span_id(), Some(&TRACEPARENT[36..52]));
    assert_eq!(event.metadata().get("tenant"), Some("ours"));
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// The client does what the wrapped one does: redirects with a body, URLs, timeouts, streamed uploads.
#[tokio::test]
async fn reqwest_works_as_without_the_layers() {
    let echo = async |headers: HeaderMap, body: String| {
        let has_trace = headers.contains_key("traceparent");
        format!("{body} {} {has_trace}", text(&headers, "content-length").unwrap_or("chunked"))
    };
    let app = Router::new()
        .route("/redirect", any(async || (http::StatusCode::TEMPORARY_REDIRECT, [("location", "/echo")])))
        .route("/echo", any(echo))
        .route("/never", any(async || std::future::pending::<()>().await));
    let url = serve(app).await;
    let client = ReqwestClient::new(reqwest::Client::new());
    Tags::new()
        .scope(async {
            let response = client.send(client.client().post(format!("{url}/redirect")).body("hello")).await.unwrap();
            assert_eq!(response.url().path(), "/echo");
            assert_eq!(response.text().await.unwrap(), "hello 5 true");

            let upload = ["hel", "lo"].map(|part| Ok::<_, Infallible>(Frame::data(Bytes::from(part))));
            let upload = reqwest::Body::wrap(StreamBody::new(stream::iter(upload)));
            let response = client.send(client.client().post(format!("{url}/echo")).body(upload)).await.unwrap();
            assert_eq!(response.text().await.unwrap(), "hello chunked true");

            let get = client.client().get(format!("{url}/echo")).build().unwrap();
            assert_eq!(client.clone().oneshot(get).await.unwrap().text().await.unwrap(), " chunked true");

            let call = client.client().get(format!("{url}/never")).timeout(Duration::from_millis(1));
            assert!(client.send(call).await.unwrap_err().is_timeout());
            let refused = client.send(client.client().get("http://127.0.0.1:1/")).await.unwrap_err();
            assert!(refused.is_connect());
            assert!(client.send(client.client().get("not a url")).await.unwrap_err().is_builder());
        })
        .await;
}

/// The whole of a request body in memory is observed, so the event knows its model.
#[tokio::test]
async fn reqwest_calls_have_events_and_costs() {
    let provider = Router::new().fallback(async || axum::Json(answer("gpt-4o-2024-08-06")));
    let url = serve(provider).await;
    let calls = Recorder::new();
    let tagging = TaggingLayer::client_builder().sink(calls.clone()).build().unwrap();
    let client = ReqwestClient::new(reqwest::Client::new()).tagging(tagging);
    let event = event_of(inbound(), move |_| {
        let (client, url) = (client.clone(), url.clone());
        async move {
            let body = r#"{"model":"gpt-4o","user":"from-body"}"#;
            let call = client.client().post(format!("{url}/v1/chat/completions"));
            let call = call.header("content-type", "application/json").body(body);
            client.send(call).await.unwrap().bytes().await.unwrap();
        }
    })
    .await;
    for llm in [event.llm().unwrap(), calls.single().llm().unwrap()] {
        assert_eq!((llm.request_model(), llm.response_model()), (Some("gpt-4o"), Some("gpt-4o-2024-08-06")));
        assert_eq!(llm.cost().unwrap().to_string(), "0.0035");
    }
    assert_eq!(calls.single().request_body_bytes(), Some(37));
    assert_eq!(calls.single().metadata().get("_user"), Some("ada"));
}

/// A tap that was configured before is not replaced by the defaults.
#[test]
fn a_client_layer_can_be_customized() {
    assert!(TaggingLayer::client_builder().build().is_ok());
    assert!(TaggingLayer::client_builder().usage(UsageTap::new().without_prices().roll_up()).build().is_ok());
}
