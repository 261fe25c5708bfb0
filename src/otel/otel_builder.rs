use std::{fmt, mem, sync::Arc, time::Duration};

use opentelemetry::{
    InstrumentationScope, Key,
    global::BoxedTracer,
    metrics::{Meter, MeterProvider},
    trace::{SpanKind, Tracer, TracerProvider, noop::NoopTracer},
};
use opentelemetry_sdk::{
    Resource,
    logs::LogExporter,
    metrics::{SdkMeterProvider, exporter::PushMetricExporter},
    trace::{ShouldSample, SpanExporter},
};

use crate::sink::{Delivery, Queued, Sink};

use super::{
    active_requests::ActiveRequests,
    attribute_limits::AttributeLimits,
    delivery_metrics::ObservedDeliveries,
    distribute::Distribute,
    environment,
    exporters::{Exporters, Metrics, Spans},
    flush::FlushMetrics,
    gen_ai_conventions::GenAiConventions,
    instruments::Instruments,
    metric_labels::MetricLabels,
    otel::{Otel, Signals},
    otel_error::OtelError,
    sampler::Sampler,
    span_rules::SpanRules,
    span_starter::SpanStarter,
    tag_attributes::TagAttributes,
};

/// Sets the exporters of the signals that have none.
pub(super) type SetDefaults = Box<dyn FnOnce(&mut Exporters) -> Result<(), OtelError> + Send>;

/// Default time between two exports of metrics, as the specification has it.
const METRIC_INTERVAL: Duration = Duration::from_secs(60);

/// Builder of [`Otel`].
///
/// Setters can be called in any order. Problems are collected and returned by [`build`](Self::build).
#[must_use = "a builder does nothing until `build` is called"]
pub struct OtelBuilder {
    exporters: Exporters,
    pub(super) set_defaults: Option<SetDefaults>,
    /// `None` if the SDK reads the interval from the environment.
    metric_interval: Option<Duration>,
    /// `None` if the SDK reads it from the environment.
    resource: Option<Resource>,
    sampler: Option<Arc<dyn ShouldSample>>,
    tags: TagAttributes,
    limits: AttributeLimits,
    conventions: GenAiConventions,
    starter: SpanStarter,
    labels: Vec<String>,
    max_label_values: usize,
    is_disabled: bool,
    problems: Vec<OtelError>,
}

impl Otel {
    /// Returns a builder that exports nothing until an exporter or a provider is set.
    ///
    /// It reads only the [resource](OtelBuilder::resource) from the environment.
    pub fn builder() -> OtelBuilder {
        OtelBuilder::new()
    }
}

impl OtelBuilder {
    fn new() -> Self {
        Self {
            exporters: Exporters::default(),
            set_defaults: None,
            metric_interval: Some(METRIC_INTERVAL),
            resource: None,
            sampler: None,
            tags: TagAttributes::new(),
            limits: AttributeLimits::default(),
            conventions: GenAiConventions::default(),
            starter: SpanStarter::default(),
            labels: Vec::new(),
            max_label_values: 100,
            is_disabled: false,
            problems: Vec::new(),
        }
    }

    /// Returns a builder with the defaults that the environment sets.
    ///
    /// Reads the [variables of the SDK](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/):
    ///
    /// - `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`
    /// - `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`
    /// - `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, and the same names without `SPAN_`
    /// - `OTEL_METRIC_EXPORT_INTERVAL`, in milliseconds
    /// - `OTEL_SEMCONV_STABILITY_OPT_IN`; `gen_ai/dup` selects [`GenAiConventions::Both`]
    /// - `OTEL_SDK_DISABLED`; `true` disables all exporters, including those set on the builder
    ///
    /// Setters override these values. Invalid values are reported by [`build`](Self::build).
    pub fn from_env() -> Self {
        let mut builder = Self::new();
        match AttributeLimits::from_env() {
            Ok(limits) => builder.limits = limits,
            Err(error) => builder.problems.push(error),
        }
        builder.metric_interval = None;
        builder.sampler = environment::sampler();
        builder.conventions = environment::gen_ai_conventions();
        builder.is_disabled = environment::is_disabled();
        builder
    }

    /// Exports spans to this exporter.
    ///
    /// It is called on a dedicated thread, outside of any async runtime.
    pub fn span_exporter(mut self, exporter: impl SpanExporter + 'static) -> Self {
        self.exporters.set_spans(exporter);
        self
    }

    /// Creates spans with an existing provider, such as the one of the app.
    ///
    /// The provider's resource, sampler, id generator, limits, and processors apply. [`sampler`](Self::sampler) has no
    /// effect. The span is started when the request arrives, so that handlers can add attributes to it through
    /// `Context::current().span()`. It is ended on a dedicated thread, with the times of the event.
    ///
    /// The provider chooses the span id, and the trace id if the request names no parent. The event has the same ids. With the
    /// id generator [`RequestIds`](super::RequestIds), they are those that the layer has read or generated. With another
    /// generator, a trace id that the client sent in a header other than `traceparent` is only the
    /// [`client_trace_id`](crate::trace::TraceContext::client_trace_id).
    ///
    /// The caller flushes the provider and shuts it down, after the [delivery](crate::sink::Delivery::shutdown) of the layer.
    ///
    /// Replaces a [`span_exporter`](Self::span_exporter).
    ///
    /// ```
    /// use tower_tagging::otel::{Otel, RequestIds, opentelemetry_sdk::{Resource, trace::SdkTracerProvider}};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let resource = Resource::builder().with_service_name("shop").build();
    /// let provider =
    ///     SdkTracerProvider::builder().with_resource(resource).with_id_generator(RequestIds::new()).build();
    /// let otel = Otel::builder().tracer_provider(&provider).build()?;
    /// # let _ = otel;
    /// # Ok(())
    /// # }
    /// ```
    pub fn tracer_provider<P>(mut self, provider: &P) -> Self
    where
        P: TracerProvider,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        let tracer = BoxedTracer::new(Box::new(provider.tracer_with_scope(scope())));
        self.exporters.spans = Some(Spans::Tracer(tracer));
        self
    }

    /// Exports each event as a log record to this exporter.
    ///
    /// It is called on a dedicated thread, outside of any async runtime.
    pub fn log_exporter(mut self, exporter: impl LogExporter + 'static) -> Self {
        self.exporters.set_logs(exporter);
        self
    }

    /// Exports metrics to this exporter, at the [interval](Self::metric_interval) and at shutdown.
    ///
    /// Replaces a [`meter_provider`](Self::meter_provider).
    pub fn metric_exporter(mut self, exporter: impl PushMetricExporter) -> Self {
        self.exporters.set_metrics(exporter);
        self
    }

    /// Records metrics with an existing provider.
    ///
    /// The caller flushes it and shuts it down.
    ///
    /// Replaces a [`metric_exporter`](Self::metric_exporter).
    pub fn meter_provider(mut self, provider: &impl MeterProvider) -> Self {
        self.exporters.metrics = Some(Metrics::Meter(provider.meter_with_scope(scope())));
        self
    }

    /// Sets the time between two exports of metrics. The default is 60 seconds.
    pub fn metric_interval(mut self, interval: Duration) -> Self {
        self.metric_interval = Some(interval);
        self
    }

    /// Sets the resource that the telemetry describes.
    ///
    /// The default is what the SDK reads from `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES`. If neither names the service,
    /// `build` logs a warning.
    ///
    /// Spans that a [`tracer_provider`](Self::tracer_provider) exports and metrics that a
    /// [`meter_provider`](Self::meter_provider) exports have the resource of that provider instead.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = Some(resource);
        self
    }

    /// Sets the sampler, unless the layer's [`TraceIdLayer`](crate::TraceIdLayer) has its own.
    ///
    /// By default, the caller's sampled flag decides, and traces that start here are sampled.
    pub fn sampler(mut self, sampler: impl ShouldSample + 'static) -> Self {
        self.sampler = Some(Arc::new(sampler));
        self
    }

    /// Sets how tags become attributes of spans and logs.
    pub fn tag_attributes(mut self, tags: TagAttributes) -> Self {
        self.tags = tags;
        self
    }

    /// Sets the maximum number of attributes of a span or a log record.
    ///
    /// The default is 128.
    pub fn max_attributes(mut self, count: usize) -> Self {
        self.limits.count = count;
        self
    }

    /// Sets the maximum length of an attribute value, in characters.
    ///
    /// By default, it is unlimited.
    pub fn max_attribute_chars(mut self, chars: usize) -> Self {
        self.limits.value_chars = chars;
        self
    }

    /// Sets the version of the GenAI conventions.
    ///
    /// It decides the names of the attributes of LLM calls. The default is the newest version.
    pub fn gen_ai_conventions(mut self, conventions: GenAiConventions) -> Self {
        self.conventions = conventions;
        self
    }

    /// Describes outgoing requests.
    ///
    /// Spans have the kind `CLIENT`, and metrics are named `http.client.…`.
    ///
    /// Use it with a layer that wraps an HTTP client.
    pub fn client(mut self) -> Self {
        self.starter.is_client = true;
        self
    }

    /// Sets whether the current span of the process becomes the parent of the request's span. The default is `true`.
    ///
    /// See [how spans nest](super#nesting).
    pub fn adopt_current_span(mut self, is_adopted: bool) -> Self {
        self.starter.ignores_current = !is_adopted;
        self
    }

    /// Sets the kind of a request's span within a span of the process.
    ///
    /// By default, the kind is detected, so that a request has one span of the kind `SERVER`. See
    /// [how spans nest](super#nesting). Spans of [clients](Self::client) always have the kind `CLIENT`.
    pub fn nested_span_kind(mut self, kind: SpanKind) -> Self {
        self.starter.nested_kind = Some(kind);
        self
    }

    /// Reads the client's address, the host, and the scheme from the headers that proxies add.
    ///
    /// These are `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)), `X-Forwarded-For`, `X-Forwarded-Host`, and
    /// `X-Forwarded-Proto`. The first entry of a list is used. Clients can send these headers too, so use this only behind a
    /// proxy that removes or replaces them. Outgoing requests of a [client](Self::client) are described without them.
    pub fn trust_forwarded_headers(mut self) -> Self {
        self.starter.trusts_forwarded = true;
        self
    }

    /// Adds tags as labels of metrics, under their attribute names.
    ///
    /// The backend stores a series for every value, so no tag is a label by default.
    pub fn metric_labels<K: Into<String>>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.labels.extend(keys.into_iter().map(Into::into));
        self
    }

    /// Sets the maximum number of values of each label. The default is 100.
    ///
    /// Further values are recorded as `__other__` and counted by `tower_tagging.label.overflows`. `http.route` has at least 1,000
    /// values, because most routes are templates of the app's router.
    pub fn max_label_values(mut self, values: usize) -> Self {
        self.max_label_values = values;
        self
    }

    /// Builds the `Otel` and starts its threads.
    ///
    /// # Errors
    /// Returns an [`OtelError`] with every problem that was found, such as an invalid environment variable.
    pub fn build(mut self) -> Result<Otel, OtelError> {
        if self.is_disabled {
            self.exporters = Exporters::default();
        } else if let Some(set) = self.set_defaults.take() {
            self.problems.extend(set(&mut self.exporters).err());
        }
        OtelError::join(mem::take(&mut self.problems))?;
        Ok(self.start())
    }

    fn start(mut self) -> Otel {
        if let Some(Spans::Tracer(tracer)) = &mut self.exporters.spans {
            let none = BoxedTracer::new(Box::new(NoopTracer::new()));
            self.starter.tracer = Some(mem::replace(tracer, none));
        } else {
            self.starter.sampler = self.sampler.map(Sampler);
        }
        let resource = self.resource.unwrap_or_else(|| default_resource(&self.exporters));
        let starter = Arc::new(self.starter);
        let rules = Arc::new(SpanRules {
            is_client: starter.is_client,
            tags: self.tags,
            conventions: self.conventions,
            limits: self.limits,
            scope: scope(),
            starter: Arc::clone(&starter),
        });
        let spans = self.exporters.spans.map(|spans| spans.start(&rules, &resource));
        let logs = self.exporters.logs.map(|start| start(&rules, &resource));
        let (meter, provider) = start_metrics(self.exporters.metrics, &resource, self.metric_interval);
        let active = Arc::<ActiveRequests>::default();
        let observed = ObservedDeliveries::default();
        let instruments = meter.map(|meter| {
            // For a client, the conventions require the server's address, which is not counted.
            if !rules.is_client {
                active.register(&meter);
            }
            observed.register(&meter);
            let labels = MetricLabels::new(&meter, &self.labels, self.max_label_values, &rules.tags);
            Instruments::new(&meter, labels, &rules)
        });
        let outlets = [&spans, &logs].into_iter().flatten().map(Sink::delivery);
        let outlets = Delivery::join(outlets);
        let signals = Signals { spans: spans.is_some(), metrics: instruments.is_some() };
        let name = if instruments.is_some() { "otel metrics" } else { "otel events" };
        let queue = Queued::new(name, Distribute { instruments, spans, logs, starter: Arc::clone(&starter) });
        let delivery = queue.delivery().chain(outlets.clone());
        observed.add(&delivery);
        let flush = provider.map(|provider| Delivery::new(FlushMetrics(provider)));
        let delivery = Delivery::join([delivery].into_iter().chain(flush));
        Otel::new(queue, outlets, delivery, observed, active, starter, signals)
    }
}

impl fmt::Debug for OtelBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtelBuilder")
            .field("resource", &self.resource)
            .field("tags", &self.tags)
            .field("labels", &self.labels)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}

/// Returns the meter, and the provider if it must be flushed here.
fn start_metrics(
    metrics: Option<Metrics>,
    resource: &Resource,
    interval: Option<Duration>,
) -> (Option<Meter>, Option<SdkMeterProvider>) {
    match metrics {
        None => (None, None),
        Some(Metrics::Meter(meter)) => (Some(meter), None),
        Some(Metrics::Provider(start)) => {
            let provider = start(resource, interval);
            (Some(provider.meter_with_scope(scope())), Some(provider))
        }
    }
}

/// Returns the resource that the environment describes. Warns if telemetry is exported under an unknown name.
fn default_resource(exporters: &Exporters) -> Resource {
    let resource = Resource::builder().build();
    let name = resource.get(&Key::from_static_str("service.name"));
    let is_unknown = name.is_none_or(|name| name.as_str().starts_with("unknown_service"));
    if is_unknown && exporters.need_resource() {
        tracing::warn!(
            target: "tower_tagging::otel",
            "telemetry is exported without the name of the service: set OTEL_SERVICE_NAME or call `OtelBuilder::resource`"
        );
    }
    resource
}

/// Returns the library that produces the telemetry.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("tower-tagging").with_version(env!("CARGO_PKG_VERSION")).build()
}
