use std::sync::Arc;

use opentelemetry::{
    KeyValue,
    metrics::{Histogram, Meter},
};

use crate::{Event, event::Outcome};

use super::{
    gen_ai::GenAiInstruments, http_attributes, methods, metric_labels::MetricLabels, request_span::RequestSpan,
    span_rules::SpanRules, span_starter::SpanStarter,
};

/// Bucket boundaries in seconds, as the
/// [HTTP conventions](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/) recommend.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Bucket boundaries in bytes: powers of four.
const BYTES: [f64; 11] =
    [0.0, 128.0, 512.0, 2048.0, 8192.0, 32768.0, 131_072.0, 524_288.0, 2_097_152.0, 8_388_608.0, 33_554_432.0];

/// The instruments that record finished requests.
pub(super) struct Instruments {
    duration: Histogram<f64>,
    request_size: Histogram<u64>,
    response_size: Histogram<u64>,
    gen_ai: GenAiInstruments,
    labels: MetricLabels,
    is_client: bool,
    starter: Arc<SpanStarter>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter, labels: MetricLabels, rules: &SpanRules) -> Self {
        let side = if rules.is_client { "client" } else { "server" };
        let size = |direction: &str| {
            let histogram = meter.u64_histogram(format!("http.{side}.{direction}.body.size"));
            histogram.with_unit("By").with_boundaries(BYTES.to_vec()).build()
        };
        Self {
            duration: meter
                .f64_histogram(format!("http.{side}.request.duration"))
                .with_unit("s")
                .with_description("Time from the request head to the end of the response body.")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            request_size: size("request"),
            response_size: size("response"),
            gen_ai: GenAiInstruments::new(meter, rules.conventions),
            labels,
            is_client: rules.is_client,
            starter: Arc::clone(&rules.starter),
        }
    }

    /// Records one request.
    pub(super) fn record(&self, event: &Event) {
        let span = self.starter.span_of(event);
        let error_type = http_attributes::error_type(event, self.is_client);
        let mut labels = self.http_labels(event, span, error_type.as_deref());
        let first_tag = labels.len();
        self.labels.add_tags(event, &mut labels);
        if !event.is_work() {
            self.record_http(event, &labels);
        }
        let tags = labels.get(first_tag..).unwrap_or_default();
        self.gen_ai.record(event, &self.labels, tags, error_type.as_deref());
    }

    fn record_http(&self, event: &Event, labels: &[KeyValue]) {
        self.duration.record(event.duration().as_secs_f64(), labels);
        if let Some(bytes) = event.request_body_bytes() {
            self.request_size.record(bytes, labels);
        }
        if event.status().is_some() {
            self.response_size.record(event.response_body_bytes(), labels);
        }
    }

    fn http_labels(&self, event: &Event, span: Option<&RequestSpan>, error_type: Option<&str>) -> Vec<KeyValue> {
        let mut labels = Vec::with_capacity(8);
        labels.push(KeyValue::new("http.request.method", methods::method_name(event.method())));
        let version = http_attributes::protocol_version(event.http_version());
        labels.push(KeyValue::new("network.protocol.version", version));
        labels.extend(event.route().map(|route| self.labels.route(route)));
        let status = event.status().map(|status| i64::from(status.as_u16()));
        labels.extend(status.map(|status| KeyValue::new("http.response.status_code", status)));
        labels.extend(error_type.map(|kind| KeyValue::new("error.type", kind.to_owned())));
        if event.outcome() == Outcome::Cancelled {
            labels.push(KeyValue::new(http_attributes::CANCELLED, true));
        }
        let scheme = http_attributes::scheme(event, span);
        labels.push(KeyValue::new("url.scheme", scheme));
        if self.is_client
            && let Some(host) = event.host()
        {
            let (host, port) = http_attributes::host_and_port(host);
            labels.push(self.labels.capped("server.address", host));
            let port = port.unwrap_or_else(|| http_attributes::default_port(scheme));
            labels.push(KeyValue::new("server.port", i64::from(port)));
        }
        labels
    }
}
