//! Tests of work that is not an HTTP request: queue messages, jobs, commands.

mod common;

use std::{
    convert::Infallible,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use common::Recorder;
use futures_util::FutureExt;
use http::{HeaderMap, Response};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::{
    metrics::{
        InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
        data::{Metric, ResourceMetrics, ScopeMetrics},
    },
    trace::{InMemorySpanExporter, SdkTracerProvider},
};
use serde_json::json;
use tower::service_fn;
use tower_tagging::{
    Event, EventLayer, MetadataLayer, Scope, TagSources, TaggingLayer, Tags,
    client::TaggedClient,
    event::{ManualClock, Outcome},
    metadata::{DiagnosticCode, Limits, Overflow},
    otel::Otel,
    propagate::{self, Destination, Dialect},
    tagging::RequestBody,
    tags,
    usage::{Usage, UsageTap},
};

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn layer(recorder: &Recorder) -> TaggingLayer {
    let sources = TagSources::portkey().allow_list("x-tenant=tenant");
    TaggingLayer::builder().sources(sources).usage(UsageTap::new()).sink(recorder.clone()).build().unwrap()
}

/// Runs work and returns its event.
fn event_of(work: impl FnOnce(&TaggingLayer)) -> Arc<Event> {
    let recorder = Recorder::new();
    work(&layer(&recorder));
    recorder.single()
}

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", TRACEPARENT.parse().unwrap());
    headers.insert("x-tenant", "acme".parse().unwrap());
    headers.insert("x-portkey-metadata", r#"{"_user":"ada","team":"spoofed"}"#.parse().unwrap());
    headers
}

#[test]
fn work_has_the_handle_and_the_event_of_a_request() {
    let event = event_of(|layer| {
        let work = Tags::work("consume invoices").headers(&headers()).tag("attempt", 2);
        let work = work.extend_scope(Scope::Workspace, tags! { "team" => "growth" });
        let future = work.run(layer, |tags| async move {
            assert_eq!(tags.get("tenant").as_deref(), Some("acme"));
            assert_eq!(tags.get("attempt").as_deref(), Some("2"));
            Tags::current().unwrap().insert("invoice_id", "17");
            Ok::<_, Infallible>("done")
        });
        assert_eq!(future.now_or_never().unwrap().unwrap(), "done");
    });
    assert_eq!((event.outcome(), event.error(), event.is_error()), (Outcome::Completed, None, false));
    assert_eq!(
        (event.route(), event.path(), event.method().as_str()),
        (Some("consume invoices"), "consume invoices", "WORK")
    );
    assert_eq!((event.status(), event.response_body_bytes(), event.is_work()), (None, 0, true));
    let expected =
        tags! { "_user" => "ada", "attempt" => "2", "invoice_id" => "17", "team" => "growth", "tenant" => "acme" };
    assert_eq!(event.metadata(), &expected);
    assert_eq!(
        [event.source("tenant"), event.source("attempt"), event.source("team")],
        [Some(Scope::Request), Some(Scope::Handler), Some(Scope::Workspace)]
    );
    assert_eq!(event.diagnostics()[0].code(), DiagnosticCode::Shadowed);
    assert_eq!(event.trace().trace_id().as_str(), &TRACEPARENT[3..35]);
    assert_eq!(event.trace().parent_span_id(), Some(&TRACEPARENT[36..52]));
    let json = serde_json::to_string(&*event).unwrap();
    assert!(serde_json::from_str::<Event>(&json).unwrap().is_work());
}

#[test]
fn the_end_determines_the_outcome() {
    fn name() -> tower_tagging::tagging::Work {
        Tags::work("job")
    }
    type Run = fn(&TaggingLayer);
    let cases: [(&str, Run, Outcome, Option<&str>); 12] = [
        (
            "a result",
            |layer| drop(name().run(layer, |_| async { Ok::<_, io::Error>(()) }).now_or_never()),
            Outcome::Completed,
            None,
        ),
        (
            "an error",
            |layer| drop(name().run(layer, |_| async { Err::<(), _>(io::Error::other("disk gone")) }).now_or_never()),
            Outcome::Failed,
            Some("disk gone"),
        ),
        (
            "any output",
            |layer| assert_eq!(name().scope(layer, async { 7 }).now_or_never(), Some(7)),
            Outcome::Completed,
            None,
        ),
        (
            "a panic",
            |layer| {
                let work = name().scope(layer, async { panic!("bug") });
                assert!(AssertUnwindSafe(work).catch_unwind().now_or_never().unwrap().is_err());
            },
            Outcome::Panicked,
            Some("panic: bug"),
        ),
        (
            "a panic before the future",
            |layer| {
                let run = || name().run(layer, |_| -> std::future::Ready<Result<(), io::Error>> { panic!("bug") });
                assert!(catch_unwind(AssertUnwindSafe(|| drop(run()))).is_err());
            },
            Outcome::Panicked,
            Some("panic: bug"),
        ),
        (
            "dropped",
            |layer| assert_eq!(name().scope(layer, std::future::pending::<()>()).now_or_never(), None),
            Outcome::Cancelled,
            None,
        ),
        ("never polled", |layer| drop(name().scope(layer, async {})), Outcome::Cancelled, None),
        ("a guard", |layer| name().start(layer).complete(), Outcome::Completed, None),
        ("a failed guard", |layer| name().start(layer).fail("no disk"), Outcome::Failed, Some("no disk")),
        ("a dropped guard", |layer| drop(name().start(layer)), Outcome::Cancelled, None),
        (
            "a panic in a guard",
            |layer| {
                let mut guard = name().start(layer);
                assert!(catch_unwind(AssertUnwindSafe(|| guard.enter(|| panic!("bug")))).is_err());
            },
            Outcome::Panicked,
            Some("panic: bug"),
        ),
        (
            "an error that the code describes",
            |layer| {
                let work = name().run(layer, |tags| async move {
                    tags.set_error("row 7 is invalid");
                    Err::<(), _>("invalid input")
                });
                assert!(work.now_or_never().unwrap().is_err());
            },
            Outcome::Failed,
            Some("row 7 is invalid"),
        ),
    ];
    for (case, run, outcome, error) in cases {
        let event = event_of(run);
        assert_eq!((event.outcome(), event.error()), (outcome, error), "{case}");
        assert_eq!(event.is_error(), matches!(outcome, Outcome::Failed | Outcome::Panicked), "{case}");
    }
}

/// An error that is formatted by a function.
struct Odd(fn(&mut fmt::Formatter<'_>) -> fmt::Result);

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

#[test]
fn the_text_of_an_error_is_bounded_and_cannot_harm_the_work() {
    type Create = fn() -> Odd;
    common::expect_panics("expected: ");
    let type_name = "work error: work::Odd";
    let cases: [(&str, Create, String); 8] = [
        ("panics", || Odd(|_| panic!("expected: panic")), type_name.to_owned()),
        (
            "panics after a text",
            || Odd(|f| f.write_str("text").map(|()| panic!("expected: late panic"))),
            type_name.to_owned(),
        ),
        ("returns an error", || Odd(|_| Err(fmt::Error)), type_name.to_owned()),
        ("is empty", || Odd(|_| Ok(())), type_name.to_owned()),
        ("is long", || Odd(|f| f.write_str(&"é".repeat(5_000))), "é".repeat(1024)),
        (
            "has no end",
            || {
                Odd(|f| {
                    loop {
                        f.write_str("and so on, ")?;
                    }
                })
            },
            "and so on, ".repeat(100).chars().take(1024).collect(),
        ),
        ("has control characters", || Odd(|f| f.write_str("a\r\nb\0\u{1b}[31m\u{85}c")), "ab[31mc".to_owned()),
        ("is plain", || Odd(|f| f.write_str("disk gone")), "disk gone".to_owned()),
    ];
    for (case, error, expected) in cases {
        let of_future = event_of(|layer| {
            let work = Tags::work("job").run(layer, |_| async { Err::<(), _>(error()) });
            // The output arrives, whatever its text does.
            assert!(work.now_or_never().unwrap().is_err(), "{case}");
        });
        let of_guard = event_of(|layer| Tags::work("job").start(layer).fail(error()));
        for event in [of_future, of_guard] {
            assert_eq!((event.outcome(), event.error()), (Outcome::Failed, Some(&*expected)), "{case}");
        }
    }
}

#[test]
fn errors_and_names_have_a_maximum_length() {
    let event = event_of(|layer| Tags::work(&"n".repeat(1000)).start(layer).fail("e".repeat(5000)));
    assert_eq!((event.path().len(), event.error().unwrap().len()), (256, 1024));
    for (name, expected) in [("", "work"), ("/", "work"), ("*", "work"), ("/jobs/x", "jobs/x"), ("ünïcode", "ünïcode")]
    {
        let event = event_of(|layer| Tags::work(name).start(layer).complete());
        assert_eq!((event.path(), event.is_work()), (expected, true), "{name:?}");
    }
}

/// Usage, cost, and calls of clients are those of a request.
#[tokio::test]
async fn usage_and_calls_belong_to_the_work() {
    let recorder = Recorder::new();
    let provider = service_fn(async |_: http::Request<RequestBody<String>>| {
        let usage = json!({"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100});
        let body = json!({"model": "gpt-4o", "choices": [], "usage": usage}).to_string();
        Ok::<_, Infallible>(Response::builder().header("content-type", "application/json").body(body).unwrap())
    });
    let client = TaggedClient::new(provider);
    let work = Tags::work("summarize").run(layer(&recorder), |tags| async move {
        let call = http::Request::post("http://provider.test/v1/chat/completions").body(String::new()).unwrap();
        let body = client.send(call).await?.into_body();
        http_body_util::BodyExt::collect(body).await?;
        tags.record_usage(Usage::tokens(1000, 100).of("openai", "gpt-4o"));
        Ok::<_, Infallible>(())
    });
    tokio::spawn(work).await.unwrap().unwrap();
    let event = recorder.single();
    let llm = event.llm().unwrap();
    assert_eq!((llm.calls(), llm.cost().unwrap().to_string().as_str()), (Some(1), "0.007"));
}

/// The producer sends the trace and its tags with the message.
#[test]
fn the_trace_continues_from_producer_to_consumer() {
    let recorder = Recorder::new();
    let layer = layer(&recorder);
    let destination = Destination::new().dialect(Dialect::Portkey).allow(["tenant"]);
    let produced = Tags::work("produce").tag("tenant", "acme").tag("plan", "secret").start(&layer);
    let message = propagate::headers(produced.tags(), &destination);
    produced.complete();
    // Queues have headers of their own kind.
    let mut work = Tags::work("consume");
    for (name, value) in &message {
        work = work.header(name.as_str(), value.as_bytes());
    }
    work.header("not a name", "x").header("x-tenant", "bad\nvalue").start(&layer).complete();
    let events = recorder.events();
    assert_eq!(events[1].trace().trace_id(), events[0].trace().trace_id());
    assert_eq!(events[1].trace().parent_span_id(), Some(events[0].trace().span_id().as_str()));
    assert_eq!(events[1].metadata(), &tags! { "tenant" => "acme" });
}

/// Strict modes reject requests. Work runs, and its diagnostics say why a request would not.
#[test]
fn strict_modes_do_not_reject_work() {
    let recorder = Recorder::new();
    let limits = Limits::default().value_chars(3).overflow(Overflow::Reject);
    let metadata = MetadataLayer::builder().sources(TagSources::new().allow_list("x-tenant=tenant")).limits(limits);
    let tagging = TaggingLayer::builder().metadata(metadata).sink(recorder.clone()).build().unwrap();
    Tags::work("job").header("x-tenant", "too long").start(&tagging).complete();
    let event = recorder.single();
    assert_eq!((event.outcome(), event.rejection()), (Outcome::Completed, None));
    assert_eq!(event.diagnostics()[0].code(), DiagnosticCode::ValueTooLong);
}

/// The handle works with every layer, also if nothing listens.
#[test]
fn any_layer_can_run_work() {
    let quiet = TaggingLayer::builder().build().unwrap();
    let recorder = Recorder::new();
    let clock = ManualClock::new();
    let events = EventLayer::new(recorder.clone()).clock(clock.clone());
    for layer in [quiet.clone().without_request_body(), quiet.into(), events.into()] {
        let mut guard = Tags::work("job").tag("key", true).start(layer);
        let current = guard.enter(|| Tags::current().unwrap());
        assert_eq!(current.get("key").as_deref(), Some("true"));
        assert!(!current.is_finished() && Tags::current().is_none());
        clock.advance(Duration::from_secs(3));
        guard.complete();
    }
    assert_eq!(recorder.single().duration(), Duration::from_secs(3));
}

/// The span of work is not that of an HTTP request.
#[tokio::test(flavor = "multi_thread")]
async fn spans_and_metrics_are_not_those_of_http() {
    let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
    let meters = SdkMeterProvider::builder().with_reader(PeriodicReader::builder(metrics.clone()).build()).build();
    let otel = Otel::builder().span_exporter(spans.clone()).meter_provider(&meters).build().unwrap();
    let tagging = TaggingLayer::builder().otel(&otel).usage(UsageTap::new()).build().unwrap();
    Tags::work("consume invoices").headers(&headers()).start(&tagging).fail("broken");
    let guard = Tags::work("nightly report").start(&tagging);
    guard.tags().record_usage(Usage::tokens(10, 1).of("openai", "gpt-4o"));
    guard.complete();
    assert!(tagging.delivery().shutdown(Duration::from_secs(10)).await.is_complete());
    let spans = spans.get_finished_spans().unwrap();
    let [consumed, report] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((&*consumed.name, &consumed.span_kind), ("consume invoices", &SpanKind::Consumer));
    assert_eq!((&*report.name, &report.span_kind), ("nightly report", &SpanKind::Internal));
    assert_eq!(consumed.parent_span_id, SpanId::from_hex(&TRACEPARENT[36..52]).unwrap());
    assert_eq!((&consumed.status, &report.status), (&Status::error("broken"), &Status::Unset));
    for span in &spans {
        let names: Vec<_> = span.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        assert!(!names.iter().any(|name| name.starts_with("http.") || name.starts_with("url.")), "{names:?}");
    }
    meters.force_flush().unwrap();
    let metrics = metrics.get_finished_metrics().unwrap();
    let scopes = metrics.iter().flat_map(ResourceMetrics::scope_metrics);
    let names: Vec<_> = scopes.flat_map(ScopeMetrics::metrics).map(Metric::name).collect();
    assert!(
        names.contains(&"gen_ai.client.token.usage") && !names.contains(&"http.server.request.duration"),
        "{names:?}"
    );
}

/// The app's own provider starts the span, with the name and kind of work.
#[tokio::test]
async fn the_provider_of_the_app_starts_spans_of_work() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let otel = Otel::builder().tracer_provider(&provider).build().unwrap();
    let tagging = TaggingLayer::builder().otel(&otel).build().unwrap();
    Tags::work("consume invoices").headers(&headers()).start(&tagging).complete();
    Tags::work("nightly report").start(&tagging).complete();
    assert!(tagging.delivery().shutdown(Duration::from_secs(10)).await.is_complete());
    let spans = exporter.get_finished_spans().unwrap();
    let found: Vec<_> = spans.iter().map(|span| (&*span.name, span.span_kind.clone())).collect();
    assert_eq!(found, [("consume invoices", SpanKind::Consumer), ("nightly report", SpanKind::Internal)]);
    let names = spans.iter().flat_map(|span| &span.attributes).map(|attribute| attribute.key.as_str());
    assert!(names.clone().all(|name| !name.starts_with("http.") && !name.starts_with("url.")));
}

/// A predicate looks at requests, so it cannot select work by accident.
#[test]
fn work_is_not_excluded() {
    let sink = Recorder::new();
    let tagging = TaggingLayer::builder().sink(sink.clone()).exclude(|_| true).build().unwrap();
    Tags::work("consume invoices").start(&tagging).complete();
    assert_eq!(sink.single().route(), Some("consume invoices"));
}
