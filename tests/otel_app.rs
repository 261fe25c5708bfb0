//! Telemetry in an app that has its own: spans nest in those of the app, use its provider, follow the conventions, and
//! count each call once.

mod common;

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo, routing::get};
use common::{Log, Recorder};
use futures_util::FutureExt;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::json;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_http::trace::TraceLayer;
use tower_tagging::{
    Event, EventLayer, MetadataLayer, TaggingLayer, Tags,
    event::Outcome,
    otel::{
        Otel, OtelBuilder, OtlpExporter, OtlpProtocol, RequestIds,
        opentelemetry::{
            Context, KeyValue,
            trace::{
                FutureExt as _, Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags,
                TraceId, TraceState, Tracer, TracerProvider,
            },
        },
        opentelemetry_sdk::{
            self, Resource,
            error::OTelSdkResult,
            metrics::{
                InMemoryMetricExporter, PeriodicReader, SdkMeterProvider,
                data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics},
            },
            trace::{
                InMemorySpanExporter, Sampler, SamplingDecision, SamplingResult, SdkTracerProvider, ShouldSample,
                SpanData, SpanExporter, SpanProcessor,
            },
        },
    },
    sink::{self, BatchWriter, Queued, Sink, WriteError},
    tagging::RequestBody,
    trace::{TraceIdLayer, TracePolicy},
    usage::{Usage, UsageTap},
};
use tracing_subscriber::prelude::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn traceparent(trace: &str, span: &str) -> String {
    format!("00-{trace}-{span}-01")
}

/// The telemetry of an app.
#[derive(Clone)]
struct App {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
}

impl App {
    fn new() -> Self {
        Self::with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
    }

    fn with_sampler(sampler: impl ShouldSample + 'static) -> Self {
        let exporter = InMemorySpanExporter::default();
        let sampler: Box<dyn ShouldSample> = Box::new(sampler);
        let provider =
            SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).with_sampler(sampler).build();
        Self { exporter, provider }
    }

    /// Returns a subscriber that turns `tracing` spans into spans of the app.
    fn dispatch(&self) -> tracing::Dispatch {
        let layer = tracing_opentelemetry::layer().with_tracer(self.provider.tracer("app"));
        tracing::Dispatch::new(tracing_subscriber::registry().with(layer))
    }

    fn span(&self, name: &str) -> SpanData {
        let spans = self.exporter.get_finished_spans().unwrap();
        spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name}: {spans:#?}")).clone()
    }
}

/// The way in which the layer exports spans.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Export {
    OwnExporter,
    AppsProvider,
}

/// A layer that exports spans to an app's exporter.
struct Setup {
    app: App,
    layer: EventLayer,
    recorder: Recorder,
}

impl Setup {
    fn new(app: App, export: Export, configure: impl FnOnce(OtelBuilder) -> OtelBuilder) -> Self {
        let builder = match export {
            Export::OwnExporter => Otel::builder().span_exporter(app.exporter.clone()),
            Export::AppsProvider => Otel::builder().tracer_provider(&app.provider),
        };
        let otel = configure(builder).build().unwrap();
        let recorder = Recorder::new();
        Self { app, layer: EventLayer::new(recorder.clone()).otel(&otel), recorder }
    }

    /// Passes on the events, and returns the one of the only request.
    fn finish(&self) -> Arc<Event> {
        let report = self.layer.delivery().shutdown_blocking(Duration::from_secs(10));
        assert!(report.is_complete(), "{report}");
        self.recorder.single()
    }
}

/// Reads trace ids from headers, and emits the events of a layer.
fn with_ids(layer: &EventLayer) -> TaggingLayer {
    TaggingLayer::builder().events(layer.clone()).build().unwrap()
}

/// Returns the `traceparent` and the `tracestate` that it received.
async fn onward<B>(request: Request<B>) -> Result<Response<String>, Infallible> {
    let header = |name: &str| request.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    Ok(Response::new(format!("{} {}", header("traceparent"), header("tracestate"))))
}

/// Sends a request and returns the body of the response.
async fn send<S, B>(service: S, request: Request<String>) -> String
where
    S: Service<Request<String>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: hyper::body::Body<Error: std::fmt::Debug>,
{
    let response = service.oneshot(request).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

fn get_with(headers: &[(&str, &str)]) -> Request<String> {
    let mut request = Request::get("/orders/7");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(String::new()).unwrap()
}

/// The span of the app within which a request arrives.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Outer {
    None,
    Api,
    /// A `tracing` span without `otel.kind`, such as that of a `TraceLayer`.
    Tracing,
    /// A `tracing` span with `otel.kind`.
    ServerTracing,
    /// Only the context of the caller, which the app has read from the headers.
    Remote,
}

#[tokio::test]
async fn continues_at_the_current_span_of_the_process() {
    for export in [Export::OwnExporter, Export::AppsProvider] {
        for (outer, kind) in [
            (Outer::None, SpanKind::Server),
            (Outer::Api, SpanKind::Internal),
            (Outer::Tracing, SpanKind::Server),
            (Outer::ServerTracing, SpanKind::Internal),
            (Outer::Remote, SpanKind::Server),
        ] {
            for header in [None, Some(traceparent(TRACE, SPAN))] {
                // The app's span is a root, or continues the trace of the caller.
                for extracts in [false, true] {
                    let case = format!("{export:?} {outer:?} {header:?} {extracts}");
                    let setup = Setup::new(App::new(), export, |builder| builder);
                    let service = with_ids(&setup.layer).layer(service_fn(onward));
                    let request = match &header {
                        Some(header) => get_with(&[("traceparent", header), ("tracestate", "vendor=1")]),
                        None => get_with(&[]),
                    };
                    let is_extracted = extracts && header.is_some();
                    let caller = if is_extracted { remote(TRACE, SPAN) } else { Context::new() };
                    let (parent, sent) = within(&setup.app, outer, caller, send(service, request)).await;
                    let event = setup.finish();
                    let spans = setup.app.exporter.get_finished_spans().unwrap();
                    let ours = spans.iter().find(|span| span.name == "GET").unwrap();
                    let own_id = event.trace().span_id().as_str();
                    assert_eq!(ours.span_context.span_id().to_string(), own_id, "{case}");
                    assert_eq!(ours.span_context.trace_id().to_string(), event.trace().trace_id().as_str(), "{case}");
                    assert_eq!(ours.span_kind, kind, "{case}");
                    assert!(
                        sent.starts_with(&traceparent(event.trace().trace_id().as_str(), own_id)),
                        "{case}: {sent}"
                    );
                    // The current span of the process is the parent; without one, that of the caller is.
                    let expected = parent.or_else(|| header.as_ref().map(|_| (TRACE.to_owned(), SPAN.to_owned())));
                    let id = (ours.parent_span_id != SpanId::INVALID).then(|| ours.parent_span_id.to_string());
                    let got = id.map(|id| (event.trace().trace_id().to_string(), id));
                    assert_eq!(got, expected, "{case}");
                    assert_eq!(event.trace().parent_span_id().map(str::to_owned), got.map(|(_, id)| id), "{case}");
                    let is_local = !matches!(outer, Outer::None | Outer::Remote);
                    let has_parent = ours.parent_span_id != SpanId::INVALID;
                    assert_eq!(ours.parent_span_is_remote, has_parent && !is_local, "{case}");
                    // The trace of the caller is linked if the app did not continue it.
                    let is_left = is_local && header.is_some() && !is_extracted;
                    assert_eq!(event.trace().linked_trace_id(), Some(TRACE).filter(|_| is_left), "{case}");
                    let links: Vec<_> = ours.links.iter().map(|link| link.span_context.span_id().to_string()).collect();
                    assert_eq!(links, if is_left { vec![SPAN.to_owned()] } else { vec![] }, "{case}");
                    let keeps_state = header.is_some() && !is_left;
                    assert_eq!(sent.ends_with(" vendor=1"), keeps_state, "{case}: {sent}");
                }
            }
        }
    }
}

fn remote(trace: &str, span: &str) -> Context {
    let (trace, span) = (TraceId::from_hex(trace).unwrap(), SpanId::from_hex(span).unwrap());
    let state: TraceState = "vendor=1".parse().unwrap();
    Context::new().with_remote_span_context(SpanContext::new(trace, span, TraceFlags::SAMPLED, true, state))
}

/// Runs a future within a span of the app. Returns the ids of the current span as well.
async fn within<T>(
    app: &App,
    outer: Outer,
    caller: Context,
    future: impl Future<Output = T>,
) -> (Option<(String, String)>, T) {
    let ids = |context: &Context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| (span.trace_id().to_string(), span.span_id().to_string()))
    };
    match outer {
        Outer::None => (None, future.await),
        Outer::Remote => (ids(&caller), future.with_context(caller).await),
        Outer::Api => {
            let span = app.provider.tracer("app").start_with_context("outer", &caller);
            let context = caller.with_span(span);
            (ids(&context), future.with_context(context).await)
        }
        Outer::Tracing | Outer::ServerTracing => {
            use tracing::{Instrument, instrument::WithSubscriber};
            let dispatch = app.dispatch();
            let span = tracing::dispatcher::with_default(&dispatch, || {
                let _caller = caller.attach();
                if outer == Outer::Tracing {
                    tracing::info_span!("outer")
                } else {
                    tracing::info_span!("outer", otel.kind = "server")
                }
            });
            let future = async {
                let parent = ids(&Context::current());
                (parent, future.await)
            };
            let (parent, result) = future.instrument(span).with_subscriber(dispatch).await;
            assert!(parent.is_some(), "the span of `tracing` is current");
            (parent, result)
        }
    }
}

#[tokio::test]
async fn the_current_span_can_be_ignored_and_the_kind_chosen() {
    for export in [Export::OwnExporter, Export::AppsProvider] {
        let setup = Setup::new(App::new(), export, |builder| builder.adopt_current_span(false));
        let service = with_ids(&setup.layer).layer(service_fn(onward));
        let request = get_with(&[("traceparent", &traceparent(TRACE, SPAN))]);
        within(&setup.app, Outer::Api, Context::new(), send(service, request)).await;
        let event = setup.finish();
        assert_eq!(event.trace().trace_id().as_str(), TRACE, "{export:?}");
        assert_eq!(setup.app.span("GET").parent_span_id.to_string(), SPAN, "{export:?}");
        assert_eq!(setup.app.span("GET").span_kind, SpanKind::Server, "{export:?}");

        let setup = Setup::new(App::new(), export, |builder| builder.nested_span_kind(SpanKind::Server));
        let service = with_ids(&setup.layer).layer(service_fn(onward));
        within(&setup.app, Outer::ServerTracing, Context::new(), send(service, get_with(&[]))).await;
        setup.finish();
        assert_eq!(setup.app.span("GET").span_kind, SpanKind::Server, "{export:?}");
    }
}

/// Explicit ids of a client remain on the event, whatever the current span is.
#[tokio::test]
async fn explicit_ids_of_the_client_are_kept_within_a_span_of_the_process() {
    for (headers, parent, exported) in [
        (&[("x-portkey-trace-id", "checkout-17")][..], None, None),
        (&[("x-portkey-trace-id", "c"), ("x-portkey-parent-span-id", "step-1")], Some("step-1"), Some("step-1")),
        (
            &[("x-portkey-trace-id", "c"), ("x-portkey-parent-span-id", "00f067aa0ba902b7")],
            Some("00f067aa0ba902b7"),
            Some("00f067aa0ba902b7"),
        ),
    ] {
        for export in [Export::OwnExporter, Export::AppsProvider] {
            let setup = Setup::new(App::new(), export, |builder| builder);
            let service = with_ids(&setup.layer).layer(service_fn(onward));
            let send = send(service, get_with(headers));
            let (outer, _) = within(&setup.app, Outer::Api, Context::new(), send).await;
            let (trace_id, span_id) = outer.unwrap();
            let event = setup.finish();
            let span = setup.app.span("GET");
            let case = format!("{headers:?} {export:?}");
            assert_eq!(event.trace().client_trace_id(), Some(headers[0].1), "{case}");
            assert_eq!(event.trace().trace_id().as_str(), trace_id, "{case}");
            assert_eq!(span.parent_span_id.to_string(), span_id, "{case}");
            assert_eq!(event.trace().parent_span_id(), Some(parent.unwrap_or(&span_id)), "{case}");
            assert_eq!(attribute(&span, "tower_tagging.parent_span_id").as_deref(), exported, "{case}");
        }
    }
}

#[tokio::test]
async fn new_ids_for_clients_that_are_not_trusted_still_continue_the_process() {
    let setup = Setup::new(App::new(), Export::OwnExporter, |builder| builder);
    let ids = TraceIdLayer::new().policy(TracePolicy::Restart);
    let layer = TaggingLayer::builder().events(setup.layer.clone()).trace_ids(ids).build().unwrap();
    let request = get_with(&[("traceparent", &traceparent(TRACE, SPAN))]);
    let send = send(layer.layer(service_fn(onward)), request);
    let (outer, _) = within(&setup.app, Outer::Api, Context::new(), send).await;
    let event = setup.finish();
    assert_eq!(event.trace().trace_id().as_str(), outer.unwrap().0);
    assert_eq!(event.trace().linked_trace_id(), Some(TRACE));
}

/// The layers can also be composed by hand. Headers that an outer layer wrote are corrected.
#[tokio::test]
async fn a_trace_that_an_outer_layer_has_read_continues_at_the_current_span() {
    for export in [Export::OwnExporter, Export::AppsProvider] {
        let setup = Setup::new(App::new(), export, |builder| builder);
        let service = TraceIdLayer::new().layer(setup.layer.clone().layer(service_fn(onward)));
        let request = get_with(&[("traceparent", &traceparent(TRACE, SPAN)), ("tracestate", "vendor=1")]);
        let send = send(service, request);
        let (outer, sent) = within(&setup.app, Outer::Api, remote(TRACE, SPAN), send).await;
        let event = setup.finish();
        assert_eq!(event.trace().parent_span_id().map(str::to_owned), outer.map(|(_, span)| span), "{export:?}");
        assert_eq!(sent, format!("{} vendor=1", event.trace().traceparent()), "{export:?}");
    }
}

/// Records the resource that a provider sets.
#[derive(Clone, Debug, Default)]
struct WithResource {
    spans: InMemorySpanExporter,
    resource: Arc<Mutex<Option<Resource>>>,
}

impl SpanExporter for WithResource {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        self.spans.export(batch)
    }

    fn set_resource(&mut self, resource: &Resource) {
        *self.resource.lock().unwrap() = Some(resource.clone());
    }
}

#[tokio::test]
async fn spans_go_to_the_apps_provider_with_its_resource_and_what_the_handler_adds() {
    let exporter = WithResource::default();
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter.clone())
        .with_resource(Resource::builder_empty().with_service_name("shop").build())
        .build();
    let otel = Otel::builder().tracer_provider(&provider).build().unwrap();
    let recorder = Recorder::new();
    let layer = TaggingLayer::builder().sink(recorder.clone()).otel(&otel).build().unwrap();
    let tracer = provider.tracer("app");
    let handler = move |tags: Tags| async move {
        Context::current().span().set_attribute(KeyValue::new("app.attribute", 1));
        tracer.start("step").end();
        tags.insert("tenant", "acme");
        tags.set_error("out of stock");
        (http::StatusCode::SERVICE_UNAVAILABLE, "no")
    };
    let app: Router = Router::new().route("/orders/{id}", get(handler)).layer(layer.clone());
    let request = Request::get("http://shop.example/orders/7").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    let report = layer.delivery().shutdown(Duration::from_secs(10)).await;
    assert!(report.is_complete(), "{report}");
    provider.shutdown().unwrap();

    let resource = exporter.resource.lock().unwrap().clone().unwrap();
    assert_eq!(resource.get(&"service.name".into()).unwrap().as_str(), "shop");
    let spans = exporter.spans.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let [step, ours] = ["step", "GET /orders/{id}"].map(|name| spans.iter().find(|span| span.name == name).unwrap());
    assert_eq!(step.parent_span_id, ours.span_context.span_id());
    let event = recorder.single();
    assert_eq!(ours.span_context.span_id().to_string(), event.trace().span_id().as_str());
    assert_eq!((ours.start_time, ours.end_time), (event.time(), event.time() + event.duration()));
    assert_eq!(ours.status, Status::error("out of stock"));
    for (name, value) in [
        ("app.attribute", "1"),
        ("metadata.tenant", "acme"),
        ("http.request.method", "GET"),
        ("http.route", "/orders/{id}"),
        ("url.path", "/orders/7"),
        ("url.scheme", "http"),
        ("http.response.status_code", "503"),
        ("server.address", "shop.example"),
        ("server.port", "80"),
    ] {
        assert_eq!(attribute(ours, name).as_deref(), Some(value), "{name}");
    }
    let mut names: Vec<_> = ours.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "no attribute twice: {names:?}");
    assert_eq!(ours.instrumentation_scope.name(), "tower-tagging");
}

/// A sampler that looks at the attributes, and changes the `tracestate`.
#[derive(Clone, Debug)]
struct ByPath;

impl ShouldSample for ByPath {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        _trace_id: TraceId,
        _name: &str,
        _kind: &SpanKind,
        attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        let is_quiet = attributes.iter().any(|one| one.key.as_str() == "url.path" && one.value.as_str() == "/quiet");
        SamplingResult {
            decision: if is_quiet { SamplingDecision::Drop } else { SamplingDecision::RecordAndSample },
            attributes: vec![KeyValue::new("sampler", "by path")],
            trace_state: "sampler=1".parse().unwrap(),
        }
    }
}

#[tokio::test]
async fn the_sampler_of_the_apps_provider_decides() {
    for (path, is_sampled) in [("/", true), ("/quiet", false)] {
        let app = App::with_sampler(ByPath);
        let setup = Setup::new(app, Export::AppsProvider, |builder| builder.sampler(Sampler::AlwaysOff));
        let request = Request::get(path).header("tracestate", "vendor=1").body(String::new()).unwrap();
        let sent = send(with_ids(&setup.layer).layer(service_fn(onward)), request).await;
        let event = setup.finish();
        assert_eq!(event.trace().sampled(), is_sampled);
        assert_eq!(sent, format!("{} sampler=1", event.trace().traceparent()));
        let spans = setup.app.exporter.get_finished_spans().unwrap();
        assert_eq!(spans.len(), usize::from(is_sampled));
        assert!(spans.iter().all(|span| attribute(span, "sampler").is_some()));
    }
}

/// Starts another span whenever a span starts.
#[derive(Debug)]
struct StartsSpans(SdkTracerProvider);

impl SpanProcessor for StartsSpans {
    fn on_start(&self, _: &mut opentelemetry_sdk::trace::Span, _: &Context) {
        self.0.tracer("processor").start_with_context("other", &Context::new()).end();
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[tokio::test]
async fn spans_of_a_provider_have_the_ids_that_the_layer_has_read() {
    let root = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01";
    for (headers, span_id) in [
        (&[("x-portkey-trace-id", "0af76519-16cd-43dd-8448-eb211c80319c")][..], None),
        (&[("x-portkey-trace-id", TRACE), ("x-portkey-span-id", SPAN)], Some(SPAN)),
        (&[("traceparent", root)], None),
        (&[("x-portkey-trace-id", "checkout-17")], None),
    ] {
        let [exporter, others] = [(); 2].map(|()| InMemorySpanExporter::default());
        let builder = || SdkTracerProvider::builder().with_id_generator(RequestIds::new());
        let of_processor = builder().with_simple_exporter(others.clone()).build();
        let provider =
            builder().with_span_processor(StartsSpans(of_processor)).with_simple_exporter(exporter.clone()).build();
        let setup = Setup::new(App { exporter, provider }, Export::AppsProvider, |builder| builder);
        send(with_ids(&setup.layer).layer(service_fn(onward)), get_with(headers)).await;
        let event = setup.finish();
        let ids = setup.app.span("GET").span_context;
        assert_eq!(ids.trace_id().to_string(), event.trace().trace_id().as_str(), "{headers:?}");
        assert_eq!(ids.span_id().to_string(), event.trace().span_id().as_str(), "{headers:?}");
        assert!(span_id.is_none_or(|id| event.trace().span_id().as_str() == id), "{headers:?}");
        // Without a provider, the trace id is the same.
        let plain = Setup::new(App::new(), Export::OwnExporter, |builder| builder);
        send(with_ids(&plain.layer).layer(service_fn(onward)), get_with(headers)).await;
        assert_eq!(event.trace().trace_id(), plain.finish().trace().trace_id(), "{headers:?}");
        // Spans that are started at the same time have ids of their own.
        let others = others.get_finished_spans().unwrap();
        assert_eq!(others.len(), 1);
        assert_ne!(others[0].span_context.span_id(), ids.span_id(), "{headers:?}");
        assert_ne!(others[0].span_context.trace_id(), ids.trace_id(), "{headers:?}");
    }
}

#[tokio::test]
async fn a_provider_that_was_shut_down_affects_no_request() {
    let setup = Setup::new(App::new(), Export::AppsProvider, |builder| builder);
    setup.app.provider.shutdown().unwrap();
    let sent = send(with_ids(&setup.layer).layer(service_fn(onward)), get_with(&[])).await;
    let event = setup.finish();
    assert_eq!(sent.trim(), event.trace().traceparent());
}

/// A layer can export to several destinations.
#[tokio::test]
async fn several_exporters_of_a_layer_describe_the_same_span() {
    for first in [Export::OwnExporter, Export::AppsProvider] {
        for outer in [Outer::None, Outer::ServerTracing] {
            let setup = Setup::new(App::new(), first, |builder| builder);
            let second = InMemorySpanExporter::default();
            let otel = Otel::builder().span_exporter(second.clone()).build().unwrap();
            let layer = TaggingLayer::builder().events(setup.layer.clone()).otel(&otel).build().unwrap();
            let recorded = Arc::new(Mutex::new(false));
            let seen = Arc::clone(&recorded);
            let handler = service_fn(move |request: Request<RequestBody<String>>| {
                *seen.lock().unwrap() = Context::current().span().is_recording();
                onward(request)
            });
            let sent = within(&setup.app, outer, Context::new(), send(layer.layer(handler), get_with(&[]))).await.1;
            assert!(Sink::delivery(&otel).shutdown_blocking(Duration::from_secs(10)).is_complete());
            let event = setup.finish();
            let case = format!("{first:?} {outer:?}");
            let (first_span, second) = (setup.app.span("GET"), second.get_finished_spans().unwrap());
            assert_eq!(second.len(), 1, "{case}");
            assert_eq!(first_span.span_context.span_id().to_string(), event.trace().span_id().as_str(), "{case}");
            assert_eq!(sent.trim(), event.trace().traceparent(), "{case}");
            for (one, other) in [
                (first_span.span_context.span_id(), second[0].span_context.span_id()),
                (first_span.parent_span_id, second[0].parent_span_id),
            ] {
                assert_eq!(one, other, "{case}");
            }
            assert_eq!(first_span.span_kind, second[0].span_kind, "{case}");
            assert_eq!(*recorded.lock().unwrap(), first == Export::AppsProvider, "{case}");
        }
    }
}

#[tokio::test]
async fn a_second_provider_of_a_layer_gets_a_span_within_the_first() {
    let setup = Setup::new(App::new(), Export::AppsProvider, |builder| builder);
    let second = App::new();
    let otel = Otel::builder().tracer_provider(&second.provider).build().unwrap();
    let layer = TaggingLayer::builder().events(setup.layer.clone()).otel(&otel).build().unwrap();
    send(layer.layer(service_fn(onward)), get_with(&[])).await;
    assert!(Sink::delivery(&otel).shutdown_blocking(Duration::from_secs(10)).is_complete());
    let event = setup.finish();
    let (outer, inner) = (setup.app.span("GET"), second.span("GET"));
    assert_eq!(outer.span_context.span_id().to_string(), event.trace().span_id().as_str());
    assert_eq!(inner.parent_span_id, outer.span_context.span_id());
    assert_eq!((&outer.span_kind, &inner.span_kind), (&SpanKind::Server, &SpanKind::Internal));
    assert_eq!(attribute(&inner, "tower_tagging.outcome").as_deref(), Some("completed"));
}

/// The `tracing` span of the layer shows the ids of the event, whatever the order of the builder's calls.
#[tokio::test]
async fn the_tracing_span_is_within_the_span_of_the_request() {
    use tracing::instrument::WithSubscriber;

    for export in [Export::OwnExporter, Export::AppsProvider] {
        for is_first in [true, false] {
            let app = App::new();
            let builder = match export {
                Export::OwnExporter => Otel::builder().span_exporter(app.exporter.clone()),
                Export::AppsProvider => Otel::builder().tracer_provider(&app.provider),
            };
            let otel = builder.build().unwrap();
            let recorder = Recorder::new();
            let layer = EventLayer::new(recorder.clone());
            let layer = if is_first {
                layer.span(tracing::Level::INFO).otel(&otel)
            } else {
                layer.otel(&otel).span(tracing::Level::INFO)
            };
            send(layer.layer(service_fn(onward)), get_with(&[])).with_subscriber(app.dispatch()).await;
            assert!(layer.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
            let event = recorder.single();
            let (outer, inner) = (app.span("GET"), app.span("request"));
            assert_eq!(outer.span_context.span_id().to_string(), event.trace().span_id().as_str());
            assert_eq!(inner.parent_span_id, outer.span_context.span_id(), "{export:?} {is_first}");
            let trace_id = event.trace().trace_id().as_str();
            assert_eq!(attribute(&inner, "trace_id").as_deref(), Some(trace_id), "{export:?} {is_first}");
        }
    }
}

/// Work that is not an HTTP request has no attributes of HTTP.
#[tokio::test]
async fn the_span_of_work_continues_at_the_producer_or_within_the_process() {
    for export in [Export::OwnExporter, Export::AppsProvider] {
        for (outer, header, kind) in [
            (Outer::None, None, SpanKind::Internal),
            (Outer::None, Some(traceparent(TRACE, SPAN)), SpanKind::Consumer),
            (Outer::Tracing, None, SpanKind::Internal),
            (Outer::Api, Some(traceparent(TRACE, SPAN)), SpanKind::Internal),
        ] {
            let setup = Setup::new(App::new(), export, |builder| builder);
            let work = Tags::work("consume invoices");
            let work = match &header {
                Some(header) => work.header(http::HeaderName::from_static("traceparent"), header),
                None => work,
            };
            // It starts at the call.
            let run = async { work.run(with_ids(&setup.layer), |_| async { Ok::<_, Infallible>(()) }).await };
            let (parent, result) = within(&setup.app, outer, Context::new(), run).await;
            assert!(result.is_ok());
            let event = setup.finish();
            let span = setup.app.span("consume invoices");
            let case = format!("{export:?} {outer:?} {header:?}");
            assert_eq!(span.span_kind, kind, "{case}");
            assert_eq!(span.span_context.span_id().to_string(), event.trace().span_id().as_str(), "{case}");
            let expected = parent.map(|(_, id)| id).or_else(|| header.map(|_| SPAN.to_owned()));
            assert_eq!(event.trace().parent_span_id().map(str::to_owned), expected, "{case}");
            assert_eq!(attribute(&span, "tower_tagging.outcome").as_deref(), Some("completed"), "{case}");
            let of_http = |name: &str| name.starts_with("http.") || name.starts_with("url.");
            assert!(!span.attributes.iter().any(|attribute| of_http(attribute.key.as_str())), "{case}: {span:#?}");
        }
    }
}

/// Children of the request would otherwise lack their parent.
#[tokio::test]
async fn a_span_whose_event_is_dropped_is_exported_without_details() {
    let setup = Setup::new(App::new(), Export::AppsProvider, |builder| builder);
    let report = setup.layer.delivery().shutdown_blocking(Duration::from_secs(10));
    assert!(report.is_complete(), "{report}");
    send(with_ids(&setup.layer).layer(service_fn(onward)), get_with(&[])).await;
    drop(setup.recorder);
    drop(setup.layer);
    let span = setup.app.span("GET");
    assert_eq!(attribute(&span, "url.path").as_deref(), Some("/orders/7"));
    assert_eq!(attribute(&span, "tower_tagging.outcome"), None);
}

/// The layers of an app, outermost last, as `Router::layer` adds them.
#[tokio::test]
async fn a_request_has_one_server_span_whatever_the_order_of_the_layers() {
    use tracing::instrument::WithSubscriber;

    // Whether the app's span is outside, and has the kind `SERVER`.
    for (is_outside, is_server) in [(true, true), (true, false), (false, false)] {
        for export in [Export::OwnExporter, Export::AppsProvider] {
            let setup = Setup::new(App::new(), export, |builder| builder);
            let trace_layer = TraceLayer::new_for_http().make_span_with(move |_: &Request<_>| {
                if is_server {
                    tracing::info_span!("http_request", otel.kind = "server")
                } else {
                    tracing::info_span!("http_request")
                }
            });
            let handler = || async { tracing::info_span!("load_order").in_scope(|| "order") };
            let routes: Router = Router::new().route("/orders/{id}", get(handler));
            let tagging = with_ids(&setup.layer);
            let app = if is_outside {
                routes.layer(tagging).layer(trace_layer)
            } else {
                routes.layer(trace_layer).layer(tagging)
            };
            let request = Request::get("/orders/7").body(Body::empty()).unwrap();
            async { app.oneshot(request).await.unwrap().into_body().collect().await.unwrap() }
                .with_subscriber(setup.app.dispatch())
                .await;
            setup.finish();
            let case = format!("{is_outside} {is_server} {export:?}");
            let spans = setup.app.exporter.get_finished_spans().unwrap();
            assert_eq!(spans.len(), 3, "{case}: {spans:#?}");
            assert!(
                spans.iter().all(|span| span.span_context.trace_id() == spans[0].span_context.trace_id()),
                "{case}"
            );
            let servers = spans.iter().filter(|span| span.span_kind == SpanKind::Server).count();
            assert_eq!(servers, 1, "{case}: {spans:#?}");
            let [ours, theirs, step] =
                ["GET /orders/{id}", "http_request", "load_order"].map(|name| setup.app.span(name));
            let (outer, inner) = if is_outside { (theirs, ours) } else { (ours, theirs) };
            assert_eq!(inner.parent_span_id, outer.span_context.span_id(), "{case}");
            assert_eq!(step.parent_span_id, inner.span_context.span_id(), "{case}");
        }
    }
}

/// A call is a child of the current span, unless its headers name a span that is closer.
#[tokio::test]
async fn the_span_of_a_call_is_a_child_of_the_current_span_or_of_the_one_that_its_headers_name() {
    for (header, expects_header) in [
        (None, false),
        // A span that the app's own instrumentation has injected.
        (Some((None, "1111111111111111")), true),
        // Headers of another request, which a proxy passed on.
        (Some((Some(TRACE), SPAN)), false),
    ] {
        let app = App::new();
        let otel = Otel::builder().client().span_exporter(app.exporter.clone()).build().unwrap();
        let layer = with_ids(&EventLayer::new(sink::from_fn(|_| {})).otel(&otel));
        let span = app.provider.tracer("app").start("handler");
        let (trace_id, span_id) = (span.span_context().trace_id().to_string(), span.span_context().span_id());
        let request = match header {
            Some((trace, span)) => get_with(&[("traceparent", &traceparent(trace.unwrap_or(&trace_id), span))]),
            None => get_with(&[]),
        };
        let context = Context::new().with_span(span);
        send(layer.layer(service_fn(onward)), request).with_context(context).await;
        let _ = layer.delivery().shutdown_blocking(Duration::from_secs(10));
        let call = app.span("GET");
        assert_eq!(call.span_context.trace_id().to_string(), trace_id, "{header:?}");
        let expected = if expects_header { header.unwrap().1.to_owned() } else { span_id.to_string() };
        assert_eq!(call.parent_span_id.to_string(), expected, "{header:?}");
        assert_eq!(call.span_kind, SpanKind::Client);
    }
}

/// A proxy passes on the headers that name the span of the request, although the handler has a span within it.
#[tokio::test]
async fn a_call_of_a_proxy_is_a_child_of_the_handlers_span() {
    let setup = Setup::new(App::new(), Export::OwnExporter, |builder| builder);
    let client = Otel::builder().client().span_exporter(setup.app.exporter.clone()).build().unwrap();
    let client = with_ids(&EventLayer::new(sink::from_fn(|_| {})).otel(&client));
    let tracer = setup.app.provider.tracer("app");
    let (layer, handle) = (client.clone(), client.delivery());
    let proxy = service_fn(move |request: Request<RequestBody<String>>| {
        let client = layer.clone().layer(service_fn(onward));
        let context = Context::current_with_span(tracer.start("handler"));
        async move {
            let mut request = request.map(|_| String::new());
            request.extensions_mut().remove::<Tags>();
            client.oneshot(request).await
        }
        .with_context(context)
    });
    send(with_ids(&setup.layer).layer(proxy), get_with(&[])).await;
    let _ = handle.shutdown_blocking(Duration::from_secs(10));
    setup.finish();
    let spans = setup.app.exporter.get_finished_spans().unwrap();
    let of_kind = |kind: SpanKind| spans.iter().find(|span| span.span_kind == kind).unwrap();
    let handler = setup.app.span("handler");
    assert_eq!(of_kind(SpanKind::Client).parent_span_id, handler.span_context.span_id(), "{spans:#?}");
    assert_eq!(handler.parent_span_id, of_kind(SpanKind::Server).span_context.span_id());
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.to_string())
}

#[tokio::test]
async fn describes_the_client_and_the_server_by_the_conventions() {
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7)), 41_237);
    let forwarded = [
        ("x-forwarded-for", "203.0.113.195, 10.1.1.1"),
        ("x-forwarded-host", "shop.example:8443"),
        ("x-forwarded-proto", "https"),
    ];
    let standard = [("forwarded", "for=\"[2001:db8::7]:80\";host=shop.example;proto=https, for=10.1.1.1")];
    for (headers, trusts, expected) in [
        (&forwarded[..], false, [Some("10.0.0.7"), Some("internal"), Some("8080"), Some("http")]),
        (&forwarded, true, [Some("203.0.113.195"), Some("shop.example"), Some("8443"), Some("https")]),
        (&standard, true, [Some("2001:db8::7"), Some("shop.example"), Some("443"), Some("https")]),
        (&[], true, [Some("10.0.0.7"), Some("internal"), Some("8080"), Some("http")]),
    ] {
        for export in [Export::OwnExporter, Export::AppsProvider] {
            let reader = InMemoryMetricExporter::default();
            let meters = SdkMeterProvider::builder()
                .with_reader(PeriodicReader::builder(reader.clone()).with_interval(Duration::from_secs(3600)).build())
                .build();
            let setup = Setup::new(App::new(), export, |builder| {
                let builder = if trusts { builder.trust_forwarded_headers() } else { builder };
                builder.meter_provider(&meters)
            });
            let mut request = Request::get("/").header("host", "internal:8080").header("user-agent", "curl/8.14");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.extension(ConnectInfo(peer)).body(String::new()).unwrap();
            send(with_ids(&setup.layer).layer(service_fn(onward)), request).await;
            setup.finish();
            let span = setup.app.span("GET");
            let case = format!("{headers:?} {trusts} {export:?}");
            let names = ["client.address", "server.address", "server.port", "url.scheme"];
            assert_eq!(
                names.map(|name| attribute(&span, name)),
                expected.map(|value| value.map(str::to_owned)),
                "{case}"
            );
            assert_eq!(attribute(&span, "user_agent.original").as_deref(), Some("curl/8.14"), "{case}");
            assert_eq!(attribute(&span, "network.peer.address").as_deref(), Some("10.0.0.7"), "{case}");
            assert_eq!(attribute(&span, "network.peer.port").as_deref(), Some("41237"), "{case}");
            // Metrics have the same scheme.
            meters.force_flush().unwrap();
            let metrics = format!("{:?}", reader.get_finished_metrics().unwrap());
            let other = if expected[3] == Some("https") { "\"http\"" } else { "\"https\"" };
            assert!(!metrics.contains(other), "{case}: {metrics}");
        }
    }
}

#[tokio::test]
async fn a_request_without_connection_and_user_agent_has_neither() {
    let setup = Setup::new(App::new(), Export::OwnExporter, |builder| builder);
    send(with_ids(&setup.layer).layer(service_fn(onward)), get_with(&[])).await;
    setup.finish();
    let span = setup.app.span("GET");
    for name in ["client.address", "user_agent.original", "network.peer.address", "server.address", "server.port"] {
        assert_eq!(attribute(&span, name), None, "{name}");
    }
}

/// The client's user agent is not that of the service's own calls.
#[tokio::test]
async fn a_call_has_no_client_address() {
    let app = App::new();
    let otel = Otel::builder().client().span_exporter(app.exporter.clone()).trust_forwarded_headers().build().unwrap();
    let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
    let request = get_with(&[("user-agent", "browser")]);
    send(layer.layer(service_fn(onward)), request).await;
    let _ = layer.delivery().shutdown_blocking(Duration::from_secs(10));
    assert_eq!(attribute(&app.span("GET"), "user_agent.original"), None);
}

/// Headers that a proxy passes on describe the request of its client, not its own call.
#[tokio::test]
async fn forwarded_headers_do_not_describe_a_call() {
    for headers in [
        &[
            ("x-forwarded-for", "203.0.113.195"),
            ("x-forwarded-host", "shop.example:8443"),
            ("x-forwarded-proto", "https"),
        ][..],
        &[("forwarded", "for=203.0.113.195;host=shop.example;proto=https")],
        &[("x-forwarded-proto", "https")],
    ] {
        for export in [Export::OwnExporter, Export::AppsProvider] {
            let reader = InMemoryMetricExporter::default();
            let meters = SdkMeterProvider::builder()
                .with_reader(PeriodicReader::builder(reader.clone()).with_interval(Duration::from_secs(3600)).build())
                .build();
            let setup = Setup::new(App::new(), export, |builder| {
                builder.client().trust_forwarded_headers().meter_provider(&meters)
            });
            let mut request = Request::get("http://upstream:8080/");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            send(with_ids(&setup.layer).layer(service_fn(onward)), request.body(String::new()).unwrap()).await;
            setup.finish();
            let span = setup.app.span("GET");
            let case = format!("{headers:?} {export:?}");
            for (name, expected) in [
                ("server.address", Some("upstream")),
                ("server.port", Some("8080")),
                ("url.scheme", Some("http")),
                ("url.full", Some("http://upstream:8080/")),
                ("client.address", None),
            ] {
                assert_eq!(attribute(&span, name).as_deref(), expected, "{case} {name}");
            }
            meters.force_flush().unwrap();
            let metrics = format!("{:?}", reader.get_finished_metrics().unwrap());
            assert!(metrics.contains("\"http\"") && !metrics.contains("\"https\""), "{case}: {metrics}");
        }
    }
}

#[tokio::test]
async fn excluded_requests_have_tags_but_no_event_span_or_metric() {
    for by_layer in [false, true] {
        let app = App::new();
        let reader = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(reader.clone()).with_interval(Duration::from_secs(3600)).build())
            .build();
        let otel = Otel::builder().tracer_provider(&app.provider).meter_provider(&meters).build().unwrap();
        let recorder = Recorder::new();
        let is_metrics = |request: &http::request::Parts| {
            let route = request.extensions.get::<axum::extract::MatchedPath>();
            route.is_some_and(|route| route.as_str() == "/metrics/{name}")
        };
        let builder = TaggingLayer::builder()
            .metadata(
                MetadataLayer::builder()
                    .scope(tower_tagging::metadata::Scope::Workspace, tower_tagging::tags! { "a" => "b" }),
            )
            .otel(&otel);
        let layer = if by_layer {
            let events = EventLayer::new(recorder.clone()).exclude(|request| request.uri.path() == "/health");
            builder.events(events.exclude(is_metrics))
        } else {
            builder.exclude(|request| request.uri.path() == "/health").exclude(is_metrics).sink(recorder.clone())
        };
        let layer = layer.build().unwrap();
        let handler = |tags: Tags| async move {
            assert_eq!(tags.get("a").as_deref(), Some("b"));
            assert!(!Context::current().has_active_span() || tags.trace().sampled());
            "ok"
        };
        let routes = ["/health", "/metrics/{name}", "/orders"];
        let router: Router = routes.iter().fold(Router::new(), |router, path| router.route(path, get(handler)));
        let router = router.layer(layer.clone());
        for path in ["/health", "/metrics/a", "/orders", "/health"] {
            let response = router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "ok");
        }
        let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
        assert!(report.is_complete(), "{report}");
        assert_eq!(recorder.single().path(), "/orders");
        assert_eq!(app.exporter.get_finished_spans().unwrap().len(), 1);
        meters.force_flush().unwrap();
        let metrics = format!("{:?}", reader.get_finished_metrics().unwrap());
        assert!(
            metrics.contains("/orders") && !metrics.contains("/health") && !metrics.contains("/metrics"),
            "{metrics}"
        );
    }
}

/// Returns the sums of a metric by labels.
fn sums(exporter: &InMemoryMetricExporter, name: &str) -> Vec<(String, f64)> {
    let all = exporter.get_finished_metrics().unwrap();
    let metrics = all.iter().flat_map(ResourceMetrics::scope_metrics).flat_map(ScopeMetrics::metrics);
    let Some(metric) = metrics.filter(|metric| metric.name() == name).last() else { return Vec::new() };
    let labels = |list: &mut dyn Iterator<Item = &KeyValue>| {
        let mut list: Vec<_> = list.map(|label| format!("{}={}", label.key, label.value)).collect();
        list.sort();
        list.join(",")
    };
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    match metric.data() {
        AggregatedMetrics::F64(MetricData::Sum(sum)) => {
            sum.data_points().map(|point| (labels(&mut point.attributes()), point.value())).collect()
        }
        AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
            histogram.data_points().map(|point| (labels(&mut point.attributes()), point.sum() as f64)).collect()
        }
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
            histogram.data_points().map(|point| (labels(&mut point.attributes()), point.count() as f64)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_about(sum: f64, expected: f64, case: &str) {
    assert!((sum - expected).abs() < 1e-9, "{case}: {sum} instead of {expected}");
}

/// A provider whose answer has 1,000 input and 200 output tokens.
async fn provider(request: Request<RequestBody<String>>) -> Result<Response<String>, Infallible> {
    request.into_body().collect().await.unwrap();
    let body = json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}});
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(body.to_string()).unwrap())
}

#[tokio::test]
async fn calls_that_are_rolled_up_count_once() {
    // Whether the layer around the client exports telemetry, and whether the handler records usage in addition.
    for (is_exported, records) in [(true, false), (true, true), (false, false), (false, true)] {
        let app = App::new();
        let reader = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder()
            .with_reader(PeriodicReader::builder(reader.clone()).with_interval(Duration::from_secs(3600)).build())
            .build();
        let builder = || Otel::builder().tracer_provider(&app.provider).meter_provider(&meters);
        let server = builder().build().unwrap();
        let client = builder().client().build().unwrap();
        let tap = UsageTap::new().trust_request().roll_up();
        let around_client = TaggingLayer::builder().usage(tap);
        let around_client = if is_exported { around_client.otel(&client) } else { around_client };
        let around_client = around_client.build().unwrap();
        let layer = TaggingLayer::builder()
            .otel(&server)
            .usage(UsageTap::new())
            .also_deliver(around_client.delivery())
            .build()
            .unwrap();
        let llm = around_client.clone().layer(service_fn(provider));
        let handler = service_fn(move |request: Request<RequestBody<String>>| {
            let llm = llm.clone();
            async move {
                for _ in 0..2 {
                    let call = Request::post("https://api.openai.com/v1/chat/completions")
                        .header("content-type", "application/json")
                        .body(json!({"model": "gpt-4o"}).to_string())
                        .unwrap();
                    llm.clone().oneshot(call).await.unwrap().into_body().collect().await.unwrap();
                }
                if records {
                    let tags = request.extensions().get::<Tags>().unwrap();
                    tags.record_usage(Usage::tokens(10, 20).of("openai", "gpt-4o"));
                }
                Ok::<_, Infallible>(Response::new(String::new()))
            }
        });
        send(layer.clone().layer(handler), get_with(&[])).await;
        let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
        assert!(report.is_complete(), "{report}");
        meters.force_flush().unwrap();
        let case = format!("{is_exported} {records}");
        let total = |name: &str, label: &str| {
            let points = sums(&reader, name);
            points.iter().filter(|(labels, _)| labels.contains(label)).map(|(_, sum)| sum).sum::<f64>()
        };
        let (input, output) = if records { (2010.0, 420.0) } else { (2000.0, 400.0) };
        assert_about(total("gen_ai.client.token.usage", "gen_ai.token.type=input"), input, &case);
        assert_about(total("gen_ai.client.token.usage", "gen_ai.token.type=output"), output, &case);
        let expected = input * 2.5e-6 + output * 1e-5;
        assert_about(total("tower_tagging.cost", ""), expected, &case);
        // Over all spans, each token counts once as well.
        let spans = app.exporter.get_finished_spans().unwrap();
        let sum = |name: &str| {
            let values = spans.iter().filter_map(|span| attribute(span, name));
            values.map(|value| value.parse::<f64>().unwrap()).sum::<f64>()
        };
        if is_exported {
            assert_about(sum("gen_ai.usage.input_tokens"), 2000.0, &case);
            assert_about(sum("tower_tagging.rolled_up.input_tokens"), input, &case);
            assert_about(sum("tower_tagging.rolled_up.cost.usd"), expected, &case);
            assert_eq!(spans.iter().filter(|span| span.name == "chat gpt-4o").count(), 2, "{case}: {spans:#?}");
        } else {
            assert_about(sum("gen_ai.usage.input_tokens"), input, &case);
        }
    }
}

/// A call counts as one operation, even if its tokens and its cost are unknown or zero.
#[tokio::test]
async fn a_call_is_one_operation_whatever_it_reports() {
    let chat = |usage: serde_json::Value| {
        json!({"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-2024-08-06", "choices": [], "usage": usage})
            .to_string()
    };
    let usage = |input: u64, output: u64| {
        chat(json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}))
    };
    let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]});
    for (case, media, body) in [
        ("usage", "application/json", usage(1000, 200)),
        ("no output", "application/json", usage(1000, 0)),
        ("nothing", "application/json", usage(0, 0)),
        ("only input", "application/json", chat(json!({"prompt_tokens": 1000}))),
        ("no usage", "application/json", chat(json!(null))),
        ("stream without usage", "text/event-stream", format!("data: {chunk}\n\ndata: [DONE]\n\n")),
    ] {
        // Whether the layer around the client exports metrics, the number of calls, and the number of operations.
        for (is_exported, calls, expected) in [(true, 1, 1.0), (true, 3, 3.0), (false, 1, 1.0), (false, 3, 1.0)] {
            let reader = InMemoryMetricExporter::default();
            let meters = SdkMeterProvider::builder()
                .with_reader(PeriodicReader::builder(reader.clone()).with_interval(Duration::from_secs(3600)).build())
                .build();
            let server = Otel::builder().meter_provider(&meters).build().unwrap();
            let client = Otel::builder().meter_provider(&meters).client().build().unwrap();
            let around_client = TaggingLayer::builder().usage(UsageTap::new().trust_request().roll_up());
            let around_client = if is_exported { around_client.otel(&client) } else { around_client };
            let around_client = around_client.build().unwrap();
            let delivery = around_client.delivery();
            let layer =
                TaggingLayer::builder().otel(&server).usage(UsageTap::new()).also_deliver(delivery).build().unwrap();
            let body = body.clone();
            let llm = around_client.layer(service_fn(move |request: Request<RequestBody<String>>| {
                let body = body.clone();
                async move {
                    request.into_body().collect().await.unwrap();
                    Ok::<_, Infallible>(Response::builder().header("content-type", media).body(body).unwrap())
                }
            }));
            let handler = service_fn(move |_: Request<RequestBody<String>>| {
                let llm = llm.clone();
                async move {
                    for _ in 0..calls {
                        let call = Request::post("https://api.openai.com/v1/chat/completions")
                            .header("content-type", "application/json")
                            .body(json!({"model": "gpt-4o", "stream": media != "application/json"}).to_string())
                            .unwrap();
                        llm.clone().oneshot(call).await.unwrap().into_body().collect().await.unwrap();
                    }
                    Ok::<_, Infallible>(Response::new(String::new()))
                }
            });
            send(layer.clone().layer(handler), get_with(&[])).await;
            let report = layer.delivery().shutdown_blocking(Duration::from_secs(10));
            assert!(report.is_complete(), "{report}");
            meters.force_flush().unwrap();
            let operations: f64 = sums(&reader, "gen_ai.client.operation.duration").iter().map(|(_, sum)| sum).sum();
            assert_about(operations, expected, &format!("{case}, {calls} calls, exported: {is_exported}"));
        }
    }
}

/// The names of spans of calls, and their statuses when the caller does not read the whole response.
#[tokio::test]
async fn spans_of_calls_are_named_after_the_operation_and_the_model() {
    for (path, body, name) in [
        ("https://api.openai.com/v1/chat/completions", r#"{"model":"gpt-4o"}"#, "chat gpt-4o"),
        ("https://api.anthropic.com/v1/messages", r#"{"model":"claude-sonnet-4-5"}"#, "chat claude-sonnet-4-5"),
        (
            "https://api.openai.com/v1/embeddings",
            r#"{"model":"text-embedding-3-small"}"#,
            "embeddings text-embedding-3-small",
        ),
        ("https://api.openai.com/v1/chat/completions", "{}", "chat"),
        ("https://example.com/v1/things", "{}", "POST"),
    ] {
        for reads in [true, false] {
            let app = App::new();
            let otel = Otel::builder().client().span_exporter(app.exporter.clone()).build().unwrap();
            let recorder = Recorder::new();
            let layer =
                TaggingLayer::builder().usage(UsageTap::new().trust_request()).sink(recorder.clone()).otel(&otel);
            let layer = layer.build().unwrap();
            // An answer that does not end.
            let service = layer.layer(service_fn(|request: Request<RequestBody<String>>| async {
                request.into_body().collect().await.unwrap();
                let chunks = futures_util::stream::iter([Ok::<_, Infallible>(http_body::Frame::data(
                    hyper::body::Bytes::from_static(b"{}"),
                ))]);
                Ok::<_, Infallible>(Response::new(http_body_util::StreamBody::new(chunks)))
            }));
            let request = Request::post(path).header("content-type", "application/json").body(body.to_owned()).unwrap();
            let response = service.oneshot(request).await.unwrap();
            if reads {
                response.into_body().collect().await.unwrap();
            } else {
                drop(response);
            }
            let _ = layer.delivery().shutdown_blocking(Duration::from_secs(10));
            let span = app.span(name);
            let outcome = if reads { Outcome::Completed } else { Outcome::Cancelled };
            assert_eq!(recorder.single().outcome(), outcome, "{path}");
            assert_eq!(span.status, Status::Unset, "{path} {outcome}");
            assert_eq!(attribute(&span, "error.type"), None, "{path} {outcome}");
            let cancelled = (!reads).then(|| "true".to_owned());
            assert_eq!(attribute(&span, "tower_tagging.cancelled"), cancelled, "{path} {outcome}");
        }
    }
}

/// Runs code with a subscriber that collects log lines.
fn logged(run: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, run);
    log.take()
}

#[test]
fn a_layer_that_is_dropped_with_undelivered_events_warns() {
    /// Waits until the other end is dropped.
    struct Blocked(std::sync::mpsc::Receiver<()>);

    impl BatchWriter for Blocked {
        fn write(&mut self, _: &[Arc<Event>]) -> Result<(), WriteError> {
            let _ = self.0.recv();
            Ok(())
        }
    }

    for shuts_down in [false, true] {
        for nests in [false, true] {
            let (release, blocked) = std::sync::mpsc::channel();
            let queue = Queued::new("slow", Blocked(blocked));
            let delivery = queue.delivery();
            let layer = if nests {
                EventLayer::new(sink::Filter::new(|_: &Event| true, queue))
            } else {
                EventLayer::new(queue)
            };
            for _ in 0..3 {
                drop(layer.layer(service_fn(onward)).oneshot(get_with(&[])).now_or_never().unwrap());
            }
            let output = logged(|| {
                if shuts_down {
                    let _ = delivery.shutdown_blocking(Duration::ZERO);
                }
                drop(layer);
            });
            drop(release);
            let _ = delivery.shutdown_blocking(Duration::from_secs(10));
            assert_eq!(output.contains("dropped without `Delivery::shutdown`"), !shuts_down, "{output}");
            assert_eq!(output.contains("sink=\"slow\" undelivered=3"), !shuts_down, "{output}");
        }
    }
}

/// An exporter that never answers.
#[derive(Debug)]
struct Silent;

impl SpanExporter for Silent {
    fn export(&self, _: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        std::future::pending()
    }
}

#[test]
fn telemetry_that_was_not_shut_down_warns_of_its_spans() {
    let otel = Otel::builder().span_exporter(Silent).build().unwrap();
    let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
    drop(layer.layer(service_fn(onward)).oneshot(get_with(&[])).now_or_never().unwrap());
    let delivery = layer.delivery();
    while delivery.report().sink("otel spans").unwrap().accepted == 0 {
        std::thread::yield_now();
    }
    let output = logged(|| {
        drop(layer);
        drop(otel);
    });
    assert!(output.contains("sink=\"otel spans\" undelivered=1"), "{output}");
}

#[test]
fn one_shutdown_delivers_the_events_of_the_layers_around_clients() {
    let (of_server, of_client) = (Recorder::new(), InMemorySpanExporter::default());
    let client = Otel::builder().client().span_exporter(of_client.clone()).build().unwrap();
    let client = TaggingLayer::builder().otel(&client).build().unwrap();
    drop(client.layer(service_fn(onward)).oneshot(get_with(&[])).now_or_never().unwrap());
    let builders = [
        TaggingLayer::builder().sink(of_server.clone()).also_deliver(client.delivery()),
        TaggingLayer::builder().events(EventLayer::new(of_server.clone()).also_deliver(client.delivery())),
        // A layer without events can shut others down.
        TaggingLayer::builder().also_deliver(client.delivery()),
    ];
    for builder in builders {
        let report = builder.build().unwrap().delivery().shutdown_blocking(Duration::from_secs(10));
        assert!(report.is_complete(), "{report}");
        assert_eq!(report.sink("otel spans").unwrap().delivered, 1, "{report}");
        assert_eq!(of_client.get_finished_spans().unwrap().len(), 1);
    }
}

#[test]
fn the_report_names_the_signals() {
    let meters = SdkMeterProvider::builder().build();
    let spans = || Otel::builder().span_exporter(InMemorySpanExporter::default());
    for (builder, expected) in [
        (spans(), &["otel events", "otel spans"][..]),
        (spans().meter_provider(&meters), &["otel metrics", "otel spans"]),
        (Otel::builder().meter_provider(&meters), &["otel metrics"]),
        (Otel::builder().tracer_provider(&App::new().provider), &["otel events", "otel spans"]),
    ] {
        let report = builder.build().unwrap().delivery().report();
        let names: Vec<_> = report.sinks.iter().map(|sink| sink.name.as_str()).collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn a_protocol_that_does_not_fit_its_port_is_reported() {
    for (protocol, port, fits) in [
        (OtlpProtocol::HttpProtobuf, 4317, false),
        (OtlpProtocol::Grpc, 4318, false),
        (OtlpProtocol::HttpProtobuf, 4318, true),
        (OtlpProtocol::Grpc, 4317, true),
        (OtlpProtocol::HttpProtobuf, 8080, true),
    ] {
        let output = logged(|| {
            let exporter = OtlpExporter::from_env().endpoint(format!("http://127.0.0.1:{port}")).protocol(protocol);
            drop(Otel::builder().otlp(exporter).build().unwrap());
        });
        let hints =
            output.contains("the port of the OTLP endpoint does not fit the protocol") && output.contains("hint=");
        assert_eq!(hints, !fits, "{protocol:?} {port}: {output}");
        let names_both = output.contains(&format!("endpoint=\"http://127.0.0.1:{port}\""))
            && output.contains(&format!("protocol={:?}", protocol.as_str()));
        assert_eq!(names_both, !fits, "{output}");
    }
}

#[test]
fn a_failed_export_names_the_endpoint_and_the_protocol() {
    // Nothing listens on the port.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for protocol in [OtlpProtocol::HttpProtobuf, OtlpProtocol::Grpc] {
        let exporter = OtlpExporter::from_env().endpoint(format!("http://{free}")).protocol(protocol).metrics(false);
        let otel = Otel::builder().otlp(exporter).build().unwrap();
        let layer = EventLayer::new(sink::from_fn(|_| {})).otel(&otel);
        drop(layer.layer(service_fn(onward)).oneshot(get_with(&[])).now_or_never().unwrap());
        let delivery = layer.delivery();
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let error = loop {
            if let Some(error) = delivery.report().sink("otel spans").unwrap().last_error.clone() {
                break error;
            }
            assert!(std::time::Instant::now() < deadline, "no error");
            std::thread::yield_now();
        };
        let expected = format!("OTLP over {} to http://{free}", protocol.as_str());
        assert!(error.contains(&expected), "{error}");
        let _ = delivery.shutdown_blocking(Duration::ZERO);
    }
}

#[test]
fn a_missing_service_name_is_reported_unless_the_provider_has_its_own() {
    let app = App::new();
    let named = Resource::builder().with_service_name("shop").build();
    for (builder, warns) in [
        (Otel::builder().span_exporter(app.exporter.clone()), true),
        (Otel::builder().span_exporter(app.exporter.clone()).resource(named), false),
        (Otel::builder().tracer_provider(&app.provider), false),
    ] {
        let output = logged(|| drop(builder.build().unwrap()));
        assert_eq!(output.contains("telemetry is exported without the name of the service"), warns, "{output}");
    }
}

/// Spans of another version of `opentelemetry` are not visible. The fields of the app's `tracing` spans reveal them.
#[test]
fn warns_once_of_spans_that_another_version_of_opentelemetry_may_have_started() {
    for (has_fields, warnings) in [(true, 1), (false, 0)] {
        let setup = Setup::new(App::new(), Export::OwnExporter, |builder| builder);
        let service = with_ids(&setup.layer).layer(service_fn(onward));
        let output = logged(|| {
            for _ in 0..100 {
                let span = if has_fields {
                    tracing::info_span!("http_request", otel.kind = "server")
                } else {
                    tracing::info_span!("http_request")
                };
                span.in_scope(|| drop(service.clone().oneshot(get_with(&[])).now_or_never().unwrap()));
            }
        });
        let found = output.matches("may use another version of `opentelemetry`").count();
        assert_eq!(found, warnings, "{output}");
    }
}

/// Memory and the number of series are bounded, whatever sets the routes.
#[test]
fn the_routes_of_metrics_are_capped() {
    for (max, routes, expected) in [(100, 900, 900), (100, 1500, 1000), (1200, 1500, 1200)] {
        let reader = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder()
            .with_view(|_: &opentelemetry_sdk::metrics::Instrument| {
                opentelemetry_sdk::metrics::Stream::builder().with_cardinality_limit(10_000).build().ok()
            })
            .with_reader(PeriodicReader::builder(reader.clone()).with_interval(Duration::from_secs(3600)).build())
            .build();
        let otel = Otel::builder().meter_provider(&meters).max_label_values(max).build().unwrap();
        for route in 0..routes {
            otel.emit(Arc::new(Event::builder().route(format!("/a.B/{route}")).build()));
        }
        let report = Sink::delivery(&otel).shutdown_blocking(Duration::from_secs(10));
        assert!(report.is_complete(), "{report}");
        meters.force_flush().unwrap();
        let series = sums(&reader, "http.server.request.duration");
        let (other, named): (Vec<_>, Vec<_>) =
            series.iter().partition(|(labels, _)| labels.contains("http.route=__other__"));
        assert_eq!(named.len(), expected, "{max} {routes}");
        let rest: f64 = other.iter().map(|(_, count)| count).sum();
        #[allow(clippy::cast_precision_loss, reason = "small numbers")]
        let expected_rest = (routes - expected) as f64;
        assert_about(rest, expected_rest, &format!("{max} {routes}"));
    }
}

/// The place of an `Otel` that is only a sink.
#[derive(Clone, Copy, Debug)]
enum Place {
    Sink,
    Filter,
    Fanout,
    Observed,
}

impl Place {
    /// Returns a layer that passes its events to the `Otel`.
    fn layer(self, otel: &Otel) -> TaggingLayer {
        let builder = TaggingLayer::builder();
        match self {
            Self::Sink => builder.sink(otel.clone()),
            Self::Filter => builder.sink(sink::Filter::new(|_: &Event| true, otel.clone())),
            Self::Fanout => builder.sink(sink::Fanout::new().with(sink::from_fn(|_| {})).with(otel.clone())),
            Self::Observed => builder.otel(otel),
        }
        .build()
        .unwrap()
    }
}

/// An `Otel` that is only a sink has not started the span of a request.
#[tokio::test]
async fn a_sink_creates_the_spans_of_its_events() {
    let named = [("traceparent", &*traceparent(TRACE, SPAN))];
    for place in [Place::Sink, Place::Filter, Place::Fanout, Place::Observed] {
        for (headers, is_client, kind) in
            [(&[][..], false, SpanKind::Server), (&named, false, SpanKind::Server), (&named, true, SpanKind::Client)]
        {
            for has_request_ids in [true, false] {
                let exporter = InMemorySpanExporter::default();
                let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone());
                let provider =
                    if has_request_ids { provider.with_id_generator(RequestIds::new()) } else { provider }.build();
                let otel = Otel::builder().tracer_provider(&provider);
                let otel = if is_client { otel.client() } else { otel }.build().unwrap();
                let tagging = place.layer(&otel);
                let service = tagging.layer(service_fn(async |request: Request<RequestBody<String>>| {
                    request.extensions().get::<Tags>().unwrap().insert("team", "blue");
                    Ok::<_, Infallible>(Response::builder().status(503).body(String::new()).unwrap())
                }));
                let before = std::time::SystemTime::now();
                send(service, get_with(headers)).await;
                let report = tagging.delivery().shutdown_blocking(Duration::from_secs(10));
                let case = format!("{place:?} {headers:?} {kind:?} {has_request_ids}");
                let spans = report.sink("otel spans").unwrap();
                assert_eq!((spans.delivered, spans.dropped()), (1, 0), "{case}: {report}");
                let spans = exporter.get_finished_spans().unwrap();
                let [span] = &spans[..] else { panic!("{case}: {spans:#?}") };
                assert_eq!((&*span.name, &span.span_kind), ("GET", &kind), "{case}");
                assert!(
                    before <= span.start_time + Duration::from_micros(1) && span.start_time <= span.end_time,
                    "{case}"
                );
                assert_eq!(span.status, Status::error(""), "{case}");
                if headers.is_empty() {
                    assert_eq!(span.parent_span_id, SpanId::INVALID, "{case}");
                } else {
                    assert_eq!(span.parent_span_id.to_string(), SPAN, "{case}");
                    assert_eq!(span.span_context.trace_id().to_string(), TRACE, "{case}");
                }
                for (name, expected) in [
                    ("http.response.status_code", "503"),
                    ("url.path", "/orders/7"),
                    ("metadata.team", "blue"),
                    ("tower_tagging.outcome", "completed"),
                ] {
                    assert_eq!(attribute(span, name).as_deref(), Some(expected), "{case} {name}");
                }
                let mut names: Vec<_> = span.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
                names.sort_unstable();
                let all = names.len();
                names.dedup();
                assert_eq!(names.len(), all, "{case}: {names:?}");
            }
        }
    }
}

/// The span of an event has its times, its ids, and its diagnostics.
#[test]
fn a_span_that_a_sink_creates_equals_the_event() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(exporter.clone())
        .with_id_generator(RequestIds::new())
        .build();
    let otel = Otel::builder().tracer_provider(&provider).build().unwrap();
    let recorder = Recorder::new();
    let both = sink::Fanout::new().with(recorder.clone()).with(otel.clone());
    let tagging = TaggingLayer::builder()
        .metadata(MetadataLayer::builder().sources(tower_tagging::TagSources::portkey()))
        .sink(both)
        .build()
        .unwrap();
    let service = tagging.layer(service_fn(onward));
    for headers in [&[][..], &[("x-portkey-metadata", "[1]")], &[("x-portkey-trace-id", "order 7")]] {
        drop(service.clone().oneshot(get_with(headers)).now_or_never().unwrap().unwrap());
    }
    assert!(tagging.delivery().shutdown_blocking(Duration::from_secs(10)).is_complete());
    let (spans, events) = (exporter.get_finished_spans().unwrap(), recorder.events());
    assert_eq!((spans.len(), events.len()), (3, 3));
    for (span, event) in spans.iter().zip(&events) {
        assert_eq!(span.span_context.trace_id().to_string(), event.trace().trace_id().as_str());
        assert_eq!(span.span_context.span_id().to_string(), event.trace().span_id().as_str());
        assert_eq!((span.start_time, span.end_time), (event.time(), event.time() + event.duration()));
        assert_eq!(span.events.events.len(), event.diagnostics().len());
    }
}

/// An event without a span is not delivered. A span that is not sampled is no loss.
#[tokio::test]
async fn events_for_which_a_provider_creates_no_span_count_as_dropped() {
    for place in [Place::Sink, Place::Filter, Place::Fanout] {
        for (is_shut_down, dropped) in [(true, 1), (false, 0)] {
            let app = App::with_sampler(Sampler::AlwaysOff);
            if is_shut_down {
                app.provider.shutdown().unwrap();
            }
            let otel = Otel::builder().tracer_provider(&app.provider).build().unwrap();
            let tagging = place.layer(&otel);
            send(tagging.clone().layer(service_fn(onward)), get_with(&[])).await;
            let report = tagging.delivery().shutdown_blocking(Duration::from_secs(10));
            let spans = report.sink("otel spans").unwrap();
            let case = format!("{place:?} {is_shut_down}: {report}");
            assert_eq!(
                (spans.delivered, spans.dropped_for(sink::DropReason::Rejected)),
                (1 - dropped, dropped),
                "{case}"
            );
            let reason = "the tracer provider creates no spans";
            assert_eq!(spans.last_error.as_ref().is_some_and(|error| error.contains(reason)), is_shut_down, "{case}");
        }
    }
}
