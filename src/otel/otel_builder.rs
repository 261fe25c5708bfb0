use std::{fmt, sync::Arc, time::Duration};

use opentelemetry::{
    InstrumentationScope,
    metrics::{Meter, MeterProvider},
};
use opentelemetry_sdk::{
    Resource,
    logs::LogExporter,
    metrics::{SdkMeterProvider, exporter::PushMetricExporter},
    resource::TelemetryResourceDetector,
    trace::{ShouldSample, SpanExporter},
};

use crate::sink::{Delivery, Queued, Sink};

use super::{
    active_requests::ActiveRequests,
    attribute_limits::AttributeLimits,
    delivery_metrics::ObservedDeliveries,
    distribute::Distribute,
    environment,
    exporters::{Exporters, Metrics},
    flush::FlushMetrics,
    gen_ai_conventions::GenAiConventions,
    instruments::Instruments,
    metric_labels::MetricLabels,
    otel::Otel,
    otel_error::OtelError,
    sampler::Sampler,
    span_rules::SpanRules,
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
    resource: Resource,
    sampler: Option<Arc<dyn ShouldSample>>,
    tags: TagAttributes,
    limits: AttributeLimits,
    conventions: GenAiConventions,
    is_client: bool,
    labels: Vec<String>,
    max_label_values: usize,
    is_disabled: bool,
    problems: Vec<OtelError>,
}

impl Otel {
    /// Returns a builder that does not read the environment.
    ///
    /// It exports nothing until an exporter is set.
    pub fn builder() -> OtelBuilder {
        let telemetry_sdk = Box::new(TelemetryResourceDetector);
        let resource =
            Resource::builder_empty().with_detector(telemetry_sdk).with_service_name("unknown_service").build();
        OtelBuilder::new(resource)
    }
}

impl OtelBuilder {
    fn new(resource: Resource) -> Self {
        Self {
            exporters: Exporters::default(),
            set_defaults: None,
            metric_interval: Some(METRIC_INTERVAL),
            resource,
            sampler: None,
            tags: TagAttributes::new(),
            limits: AttributeLimits::default(),
            conventions: GenAiConventions::default(),
            is_client: false,
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
        let mut builder = Self::new(Resource::builder().build());
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
    /// By default, the service is called `unknown_service`.
    pub fn resource(mut self, resource: Resource) -> Self {
        self.resource = resource;
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
        self.is_client = true;
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
    /// Further values are recorded as `__other__` and counted by `tower_tagging.label.overflows`.
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
        OtelError::join(std::mem::take(&mut self.problems))?;
        Ok(self.start())
    }

    fn start(self) -> Otel {
        let rules = Arc::new(SpanRules {
            is_client: self.is_client,
            tags: self.tags,
            conventions: self.conventions,
            limits: self.limits,
            scope: scope(),
        });
        let spans = self.exporters.spans.map(|start| start(&rules, &self.resource));
        let logs = self.exporters.logs.map(|start| start(&rules, &self.resource));
        let (meter, provider) = start_metrics(self.exporters.metrics, &self.resource, self.metric_interval);
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
        let queue = Queued::new("otel", Distribute { instruments, spans, logs });
        let delivery = queue.delivery().chain(outlets);
        observed.add(&delivery);
        let flush = provider.map(|provider| Delivery::new(FlushMetrics(provider)));
        let delivery = Delivery::join([delivery].into_iter().chain(flush));
        Otel::new(queue, delivery, observed, active, self.sampler.map(Sampler))
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

/// Returns the library that produces the telemetry.
fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("tower-tagging").with_version(env!("CARGO_PKG_VERSION")).build()
}
