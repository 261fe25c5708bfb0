//! OpenTelemetry: each request as a span, with metrics and logs, to an OTel collector or any exporter.
//!
//! ```no_run
//! use std::time::Duration;
//! use tower_tagging::{TaggingLayer, otel::Otel};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // OTLP to OTEL_EXPORTER_OTLP_ENDPOINT, by default a collector on this machine.
//! let otel = Otel::from_env()?;
//! let tagging = TaggingLayer::builder().with_env().otel(&otel).build()?;
//! let delivery = tagging.delivery();
//! // … serve requests through the layer, then:
//! println!("{}", delivery.shutdown_blocking(Duration::from_secs(5)));
//! # Ok(())
//! # }
//! ```
//!
//! # The span of a request
//!
//! It has the ids of the [event](crate::Event): its `trace_id` and `span_id`, and the caller's span as its parent. It
//! begins with the request head and ends with the event, at the true end of the response body. The attributes are those of
//! the [HTTP semantic conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/); where there is LLM usage,
//! those of the [GenAI conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/) in the [version you
//! choose](GenAiConventions), the cost as `tower_tagging.cost.usd`; and the tags, by [`TagAttributes`]. Its name is the
//! method and the route, never the path. It is an error for a status from 500, an error of the service or a panic.
//! Diagnostics are events of the span.
//!
//! While the service runs, and while the body streams, the span's context is attached: spans that the handler begins
//! through the OTel API or through `tracing` with `tracing-opentelemetry` are its children. A task that is spawned needs
//! the context handed over, as everywhere in OpenTelemetry (`FutureExt::with_current_context`).
//!
//! It belongs outside of `tower_http::trace::TraceLayer` and of other instrumentation of requests: a span that an outer
//! layer begins is no parent of ours, since only a request's `traceparent` says who called, and would be in another trace.
//! Of gRPC it tells what the HTTP exchange tells; what `grpc-status` says, a handler says by
//! [`Tags::set_error`](crate::Tags::set_error).
//!
//! # Metrics
//!
//! | instrument | |
//! |---|---|
//! | `http.server.request.duration` | seconds, to the end of the body |
//! | `http.server.active_requests` | under way, by method |
//! | `http.server.request.body.size`, `http.server.response.body.size` | bytes |
//! | `gen_ai.client.token.usage`, `gen_ai.client.operation.duration` | LLM calls |
//! | `tower_tagging.cost` | by `currency` |
//! | `tower_tagging.delivery.events`, `….delivery.retries`, `….delivery.waiting` | what becomes of events, by sink |
//! | `tower_tagging.label.overflows` | values of tags that were too many |
//!
//! No tag is a label unless [you name it](OtelBuilder::metric_labels); each has 100 values at most, and so have the names of
//! models; the others are `__other__`. With a layer that wraps a client ([`OtelBuilder::client`]) the instruments are
//! `http.client.…`.
//!
//! # Export
//!
//! [`Otel::from_env`] exports over OTLP, by gRPC or HTTP, as the
//! [variables](https://opentelemetry.io/docs/specs/otel/protocol/exporter/) of the OpenTelemetry specification say:
//! `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_PROTOCOL` (`http/protobuf` by default, or `grpc`), `…_HEADERS`, `…_TIMEOUT`,
//! `…_COMPRESSION` (`gzip` or `none`), `…_CERTIFICATE` (a PEM file of the authorities that are trusted in place of the public
//! ones), `…_CLIENT_CERTIFICATE` and `…_CLIENT_KEY`, each for all signals or for one (`OTEL_EXPORTER_OTLP_TRACES_…`);
//! `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER`, `OTEL_{TRACES,METRICS,LOGS}_EXPORTER` (`otlp` or
//! `none`), `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_SDK_DISABLED`. Logs are exported when `OTEL_LOGS_EXPORTER` is `otlp`. It
//! runs on threads of its own: from any thread, with a Tokio runtime or without. With [`Otel::builder`] you hand in
//! exporters of your own.
//!
//! Spans and logs go through [`Queued`] sinks: a collector that is away costs a request nothing, and shows in the
//! [report](crate::sink::Delivery::report) of the layer's delivery. `Delivery::shutdown` flushes all of it.

mod attributes;
mod export;
mod labels;
mod log;
mod metrics;
mod observer;
mod span;
mod tls;

use std::{
    env, fmt,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

pub use opentelemetry;
pub use opentelemetry_otlp;
pub use opentelemetry_sdk;

use opentelemetry::{
    Context, InstrumentationScope,
    metrics::{Meter, MeterProvider},
    trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceId},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkError,
    logs::LogExporter,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{SamplingDecision, ShouldSample, SpanExporter},
};

use crate::{
    Event,
    sink::{BatchWriter, Delivery, Queued, Sink, SinkReport, WriteError, yielding_chunks},
    trace::{TraceContext, TraceSampler},
};

use self::{
    attributes::AttributeLimits,
    export::{Destination, ExportRuntime, Signal},
    labels::TagLabels,
    log::LogWriter,
    metrics::{ActiveRequests, Deliveries, Instruments},
    span::{SpanRules, SpanWriter},
};
pub use self::{
    attributes::{GenAiConventions, ParseConventionsError, TagAttributes},
    export::{OtelError, OtlpProtocol},
};

/// Where telemetry goes; see the [module](self). Clones are the same.
///
/// It is handed to [`TaggingLayerBuilder::otel`](crate::tagging::TaggingLayerBuilder::otel) or
/// [`EventLayer::otel`](crate::EventLayer::otel).
#[derive(Clone)]
pub struct Otel {
    inner: Arc<Inner>,
}

struct Inner {
    first: Queued,
    delivery: Delivery,
    active: Arc<ActiveRequests>,
    sampler: Option<Sampler>,
    deliveries: Deliveries,
}

impl Otel {
    /// Spans and metrics over OTLP, as the environment says; see the [module](self).
    ///
    /// # Errors
    /// [`OtelError`] naming the variable and what is wrong with it, or what the system refused.
    pub fn from_env() -> Result<Self, OtelError> {
        Self::builder().otlp()?.build()
    }

    /// Chooses what is exported, and how.
    pub fn builder() -> OtelBuilder {
        OtelBuilder::default()
    }

    /// Reports what becomes of the events of another sink by the instruments `tower_tagging.delivery.…`, beside the spans and
    /// logs of this one. What is observed already is not observed twice.
    pub fn observe_delivery(&self, delivery: &Delivery) {
        let mut deliveries = self.inner.deliveries.lock().unwrap_or_else(PoisonError::into_inner);
        let others = delivery.without(&deliveries);
        if !others.is_none() {
            deliveries.push(others);
        }
    }

    /// The sampler, for a [`TraceIdLayer`](crate::TraceIdLayer) that is put together by hand; `None` when the flag of the
    /// caller decides, and traces that begin here are sampled.
    /// [`TaggingLayerBuilder::otel`](crate::tagging::TaggingLayerBuilder::otel) uses it by itself.
    pub fn sampler(&self) -> Option<impl TraceSampler + use<>> {
        self.inner.sampler.clone()
    }
}

impl fmt::Debug for Otel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otel").field("delivery", &self.inner.delivery).finish_non_exhaustive()
    }
}

impl Sink for Otel {
    fn emit(&self, event: Arc<Event>) {
        self.inner.first.emit(event);
    }

    fn delivery(&self) -> Delivery {
        self.inner.delivery.clone()
    }

    fn name(&self) -> &'static str {
        "otel"
    }
}

/// Records metrics, and hands events on to where spans and logs are exported.
struct Distributor {
    instruments: Option<Arc<Instruments>>,
    spans: Option<Queued>,
    logs: Option<Queued>,
}

impl BatchWriter for Distributor {
    fn write(&mut self, events: &[Arc<Event>]) -> Result<(), WriteError> {
        for event in yielding_chunks(events) {
            if let Some(spans) = self.spans.as_ref().filter(|_| event.trace().sampled()) {
                spans.emit(Arc::clone(event));
            }
            if let Some(logs) = &self.logs {
                logs.emit(Arc::clone(event));
            }
            if let Some(instruments) = &self.instruments {
                instruments.record(event);
            }
        }
        Ok(())
    }
}

/// Flushes the metrics when all else is done.
struct MetricsPart(SdkMeterProvider);

impl crate::sink::DeliverySource for MetricsPart {
    fn report(&self) -> Option<SinkReport> {
        None
    }

    fn close(&self, _deadline: Instant) {
        // What others take of the time must not cost the metrics so far.
        let provider = self.0.clone();
        let _ = std::thread::Builder::new().name("tagging otel".to_owned()).spawn(move || provider.force_flush());
    }

    fn wait(&self, deadline: Instant) {
        // The SDK waits for as long as it likes: so that is done elsewhere.
        let provider = self.0.clone();
        let (done, ended) = std::sync::mpsc::channel();
        let flush = move || {
            match provider.shutdown() {
                // A second time there is nothing left to flush.
                Ok(()) | Err(OTelSdkError::AlreadyShutdown) => {}
                Err(error) => {
                    tracing::warn!(target: "tower_tagging::delivery", %error, "the last metrics could not be exported");
                }
            }
            // Nobody waits any more, when the deadline has passed.
            let _ = done.send(());
        };
        if std::thread::Builder::new().name("tagging otel".to_owned()).spawn(flush).is_ok() {
            let _ = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }
}

/// A sampler of the SDK.
#[derive(Clone, Debug)]
struct Sampler(Arc<dyn ShouldSample>);

impl TraceSampler for Sampler {
    fn is_sampled(&self, trace: &TraceContext, parent: Option<bool>) -> bool {
        let trace_id = TraceId::from_bytes(trace.trace_id().to_bytes());
        let parent = parent.map(|is_sampled| {
            let flags = if is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
            let parent_id = trace.w3c_parent().unwrap_or_else(|| trace.span_id());
            let parent_id = SpanId::from_bytes(parent_id.to_bytes());
            let context = SpanContext::new(trace_id, parent_id, flags, true, span::trace_state(trace));
            Context::new().with_remote_span_context(context)
        });
        let result = self.0.should_sample(parent.as_ref(), trace_id, "", &SpanKind::Server, &[], &[]);
        result.decision == SamplingDecision::RecordAndSample
    }
}

type Start<T> = Box<dyn FnOnce(Arc<SpanRules>, &Resource) -> T + Send>;

/// Builds an [`Otel`].
#[must_use]
pub struct OtelBuilder {
    resource: Option<Resource>,
    sampler: Option<Arc<dyn ShouldSample>>,
    tags: TagAttributes,
    conventions: Option<GenAiConventions>,
    is_client: bool,
    labels: Vec<String>,
    max_label_values: usize,
    spans: Option<Start<Queued>>,
    logs: Option<Start<Queued>>,
    meter: Option<Meter>,
    own_metrics: Option<Start<SdkMeterProvider>>,
    is_disabled: bool,
    destination: Destination,
}

impl Default for OtelBuilder {
    fn default() -> Self {
        Self {
            resource: None,
            sampler: None,
            tags: TagAttributes::new(),
            conventions: None,
            is_client: false,
            labels: Vec::new(),
            max_label_values: 100,
            spans: None,
            logs: None,
            meter: None,
            own_metrics: None,
            is_disabled: false,
            destination: Destination::default(),
        }
    }
}

impl fmt::Debug for OtelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtelBuilder").field("tags", &self.tags).field("labels", &self.labels).finish_non_exhaustive()
    }
}

impl OtelBuilder {
    /// Where [`otlp`](Self::otlp) and [`otlp_logs`](Self::otlp_logs), called after this, export to, such as
    /// `http://collector:4318`: whatever the environment says. Over HTTP `/v1/traces` and the like are added.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.destination.endpoint = Some(endpoint.into());
        self
    }

    /// The protocol of [`otlp`](Self::otlp) and [`otlp_logs`](Self::otlp_logs), called after this, whatever the environment
    /// says.
    pub fn protocol(mut self, protocol: OtlpProtocol) -> Self {
        self.destination.protocol = Some(protocol);
        self
    }

    /// Exports over OTLP what has no exporter yet, as the environment says; see the [module](self).
    ///
    /// # Errors
    /// [`OtelError`] naming the variable and what is wrong with it, or what the system refused.
    pub fn otlp(mut self) -> Result<Self, OtelError> {
        if is_disabled() {
            self.is_disabled = true;
            return Ok(self);
        }
        let runtime = ExportRuntime::start().map_err(|problem| OtelError::of("a thread to export", problem))?;
        if self.spans.is_none() && Signal::Traces.is_wanted()? != Some(false) {
            let exporter = export::otlp_spans(&runtime, &self.destination)?;
            self = self.span_exporter(exporter);
        }
        if self.logs.is_none() && Signal::Logs.is_wanted()? == Some(true) {
            self = self.otlp_logs_on(&runtime)?;
        }
        if self.meter.is_none() && Signal::Metrics.is_wanted()? != Some(false) {
            let exporter = export::otlp_metrics(&runtime, &self.destination)?;
            self.own_metrics = Some(Box::new(move |_, resource| {
                let reader = PeriodicReader::builder(exporter).build();
                SdkMeterProvider::builder().with_reader(reader).with_resource(resource.clone()).build()
            }));
        }
        Ok(self)
    }

    /// Exports each event as a log record over OTLP too, correlated with the span.
    ///
    /// # Errors
    /// Those of [`otlp`](Self::otlp).
    pub fn otlp_logs(mut self) -> Result<Self, OtelError> {
        if is_disabled() {
            self.is_disabled = true;
            return Ok(self);
        }
        let runtime = ExportRuntime::start().map_err(|problem| OtelError::of("a thread to export", problem))?;
        self.otlp_logs_on(&runtime)
    }

    fn otlp_logs_on(self, runtime: &Arc<ExportRuntime>) -> Result<Self, OtelError> {
        let exporter = export::otlp_logs(runtime, &self.destination)?;
        Ok(self.log_exporter(exporter))
    }

    /// Hands spans to an exporter of yours. It is called on a thread of its own, outside of any runtime.
    pub fn span_exporter(mut self, exporter: impl SpanExporter + 'static) -> Self {
        self.spans = Some(Box::new(move |rules, resource| {
            let mut exporter = exporter;
            exporter.set_resource(resource);
            Queued::builder("otel spans", SpanWriter { exporter, rules }).max_delay(Duration::from_secs(1)).build()
        }));
        self
    }

    /// Hands events as log records to an exporter of yours, as [`span_exporter`](Self::span_exporter) does.
    pub fn log_exporter(mut self, exporter: impl LogExporter + 'static) -> Self {
        self.logs = Some(Box::new(move |rules, resource| {
            let mut exporter = exporter;
            exporter.set_resource(resource);
            Queued::builder("otel logs", LogWriter::new(exporter, rules)).max_delay(Duration::from_secs(1)).build()
        }));
        self
    }

    /// Records metrics with a provider of yours, which you flush and shut down yourself.
    pub fn meter_provider(mut self, provider: &impl MeterProvider) -> Self {
        self.meter = Some(provider.meter_with_scope(scope()));
        self
    }

    /// What the telemetry is of; by default as `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Which traces are recorded, unless the layer's `TraceIdLayer` has a sampler; by default as `OTEL_TRACES_SAMPLER` says.
    pub fn sampler(mut self, sampler: impl ShouldSample + 'static) -> Self {
        self.sampler = Some(Arc::new(sampler));
        self
    }

    /// How tags become attributes of spans and logs.
    pub fn tag_attributes(mut self, tags: TagAttributes) -> Self {
        self.tags = tags;
        self
    }

    /// Which names the attributes of LLM usage have; by default `OTEL_SEMCONV_STABILITY_OPT_IN` decides:
    /// `gen_ai_latest_experimental` or nothing is the newest, `gen_ai/dup` is both.
    pub fn gen_ai_conventions(mut self, conventions: GenAiConventions) -> Self {
        self.conventions = Some(conventions);
        self
    }

    /// The layer wraps a client: spans are of the kind `CLIENT`, metrics are called `http.client.…`.
    pub fn client(mut self) -> Self {
        self.is_client = true;
        self
    }

    /// These tags are labels of metrics, under the names of their attributes. Every value is a series of its own in the
    /// backend, so none is by default.
    pub fn metric_labels<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.labels = keys.into_iter().map(Into::into).collect();
        self
    }

    /// Most values of a label, 100 by default. What comes after is `__other__`, and counted by `tower_tagging.label.overflows`.
    pub fn max_label_values(mut self, values: usize) -> Self {
        self.max_label_values = values;
        self
    }

    /// Starts the threads that export.
    ///
    /// # Errors
    /// [`OtelError`] naming the variable and what is wrong with it.
    pub fn build(self) -> Result<Otel, OtelError> {
        let limits = AttributeLimits::from_env().map_err(OtelError::new)?;
        let resource = self.resource.unwrap_or_else(|| Resource::builder().build());
        let conventions = match self.conventions {
            Some(conventions) => conventions,
            None => conventions_of_env(),
        };
        let rules = SpanRules { is_client: self.is_client, tags: self.tags, conventions, limits, scope: scope() };
        let rules = Arc::new(rules);
        let sampler = match (self.sampler, env::var("OTEL_TRACES_SAMPLER").is_ok_and(|name| !name.is_empty())) {
            (Some(sampler), _) => Some(Sampler(sampler)),
            (None, true) => Some(Sampler(Arc::from(opentelemetry_sdk::trace::Config::default().sampler))),
            (None, false) => None,
        };
        let is_on = !self.is_disabled;
        let spans = self.spans.filter(|_| is_on).map(|start| start(Arc::clone(&rules), &resource));
        let logs = self.logs.filter(|_| is_on).map(|start| start(Arc::clone(&rules), &resource));
        let own_metrics = self.own_metrics.filter(|_| is_on).map(|start| start(Arc::clone(&rules), &resource));
        let meter = self.meter.filter(|_| is_on);
        let meter = meter.or_else(|| own_metrics.as_ref().map(|provider| provider.meter_with_scope(scope())));
        let active = Arc::default();
        let deliveries = Deliveries::default();
        let instruments = meter.map(|meter| {
            let labels = TagLabels::new(&self.labels, self.max_label_values, &rules.tags);
            Arc::new(Instruments::new(&meter, labels, &rules, &active, &deliveries))
        });
        let outlets = [&spans, &logs].into_iter().flatten().map(Sink::delivery);
        let outlets = Delivery::join(outlets);
        let first = Queued::new("otel", Distributor { instruments, spans, logs });
        let delivery = first.delivery().chain(outlets);
        deliveries.lock().unwrap_or_else(PoisonError::into_inner).push(delivery.clone());
        let flush = own_metrics.map(|provider| Delivery::new(MetricsPart(provider)));
        let delivery = Delivery::join([delivery].into_iter().chain(flush));
        Ok(Otel { inner: Arc::new(Inner { first, delivery, active, sampler, deliveries }) })
    }
}

fn is_disabled() -> bool {
    env::var("OTEL_SDK_DISABLED").is_ok_and(|text| text.eq_ignore_ascii_case("true"))
}

/// The library that the telemetry is of.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("tower-tagging").with_version(env!("CARGO_PKG_VERSION")).build()
}

fn conventions_of_env() -> GenAiConventions {
    let text = env::var("OTEL_SEMCONV_STABILITY_OPT_IN").unwrap_or_default();
    if text.split(',').any(|word| word.trim() == "gen_ai/dup") {
        return GenAiConventions::Both;
    }
    GenAiConventions::default()
}
