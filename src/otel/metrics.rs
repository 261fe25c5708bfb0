use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use http::Method;
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};

use crate::{
    Event,
    sink::{Delivery, DropReason},
};

#[cfg(feature = "llm")]
use super::GenAiConventions;
use super::{attributes, labels::TagLabels, span::SpanRules};

/// The methods that keep their names; any other is `_OTHER`.
pub(super) const METHODS: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "CONNECT"];

/// What [`Event::scheme`] may say.
const SCHEMES: [&str; 2] = ["http", "https"];

/// Requests that are under way, by scheme and method. The guard of each counts it out, however it ends, so that none stays
/// behind.
#[derive(Debug, Default)]
pub(crate) struct ActiveRequests {
    counts: [[AtomicI64; METHODS.len() + 1]; SCHEMES.len()],
}

impl ActiveRequests {
    /// Counts a request in, and gives where.
    pub(crate) fn enter(&self, method: &Method, is_https: bool) -> ActivePlace {
        let name = method.as_str();
        let place = |place: usize| u8::try_from(place).unwrap_or(u8::MAX);
        let method = place(METHODS.iter().position(|known| *known == name).unwrap_or(METHODS.len()));
        let place = ActivePlace { scheme: u8::from(is_https), method };
        self.add(place, 1);
        place
    }

    /// Counts it out.
    pub(crate) fn leave(&self, place: ActivePlace) {
        self.add(place, -1);
    }

    fn add(&self, place: ActivePlace, change: i64) {
        let counts = self.counts.get(usize::from(place.scheme));
        if let Some(count) = counts.and_then(|counts| counts.get(usize::from(place.method))) {
            count.fetch_add(change, Relaxed);
        }
    }
}

/// Where a request is counted; small because it moves with the response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ActivePlace {
    scheme: u8,
    method: u8,
}

/// The instruments that events are recorded with.
pub(super) struct Instruments {
    duration: Histogram<f64>,
    request_size: Histogram<u64>,
    response_size: Histogram<u64>,
    #[cfg(feature = "llm")]
    tokens: Histogram<u64>,
    #[cfg(feature = "llm")]
    operation_duration: Histogram<f64>,
    #[cfg(feature = "llm")]
    cost: Counter<f64>,
    overflows: Counter<u64>,
    labels: TagLabels,
    is_client: bool,
    #[cfg(feature = "llm")]
    conventions: GenAiConventions,
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments").field("labels", &self.labels).finish_non_exhaustive()
    }
}

/// Seconds, as the HTTP semantic conventions advise.
const HTTP_SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Bytes of bodies: powers of four, from a hundred to a hundred million.
const BYTES: [f64; 11] =
    [0.0, 128.0, 512.0, 2048.0, 8192.0, 32768.0, 131_072.0, 524_288.0, 2_097_152.0, 8_388_608.0, 33_554_432.0];
/// Seconds and tokens, as the GenAI semantic conventions advise.
#[cfg(feature = "llm")]
const GEN_AI_SECONDS: [f64; 14] =
    [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
#[cfg(feature = "llm")]
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// What is observed when metrics are collected.
pub(super) type Deliveries = Arc<Mutex<Vec<Delivery>>>;

impl Instruments {
    pub(super) fn new(
        meter: &Meter,
        labels: TagLabels,
        rules: &SpanRules,
        active: &Arc<ActiveRequests>,
        deliveries: &Deliveries,
    ) -> Self {
        let is_client = rules.is_client;
        let side = if is_client { "client" } else { "server" };
        // Of a client, the conventions want the server's address on it, which is counted by no one.
        if !is_client {
            observe_active(meter, active);
        }
        observe_deliveries(meter, deliveries);
        let size = |what: &str| {
            let histogram = meter.u64_histogram(format!("http.{side}.{what}.body.size"));
            histogram.with_unit("By").with_boundaries(BYTES.to_vec()).build()
        };
        Self {
            duration: meter
                .f64_histogram(format!("http.{side}.request.duration"))
                .with_unit("s")
                .with_description("From the request head to the end of the response body.")
                .with_boundaries(HTTP_SECONDS.to_vec())
                .build(),
            request_size: size("request"),
            response_size: size("response"),
            #[cfg(feature = "llm")]
            tokens: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_boundaries(TOKENS.to_vec())
                .build(),
            #[cfg(feature = "llm")]
            operation_duration: meter
                .f64_histogram("gen_ai.client.operation.duration")
                .with_unit("s")
                .with_boundaries(GEN_AI_SECONDS.to_vec())
                .build(),
            #[cfg(feature = "llm")]
            cost: meter.f64_counter("tower_tagging.cost").with_description("What requests cost, by currency.").build(),
            overflows: meter
                .u64_counter("tower_tagging.label.overflows")
                .with_description("Values of tags that were counted as `__other__`.")
                .build(),
            labels,
            is_client,
            #[cfg(feature = "llm")]
            conventions: rules.conventions,
        }
    }

    pub(super) fn record(&self, event: &Event) {
        let mut labels = Vec::with_capacity(8);
        labels.push(KeyValue::new("http.request.method", attributes::method_name(event.method())));
        labels.push(KeyValue::new("network.protocol.version", attributes::protocol_version(event.http_version())));
        if let Some(route) = event.route() {
            labels.push(KeyValue::new("http.route", route.to_owned()));
        }
        if let Some(status) = event.status() {
            labels.push(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        }
        if let Some(kind) = attributes::error_type(event, self.is_client) {
            labels.push(KeyValue::new("error.type", kind));
        }
        labels.push(KeyValue::new("url.scheme", event.scheme()));
        if self.is_client
            && let Some(host) = event.host()
        {
            let (host, port) = attributes::host_and_port(host);
            let (label, is_other) = self.labels.capped("server.address", host);
            self.overflows.add(u64::from(is_other), &[]);
            labels.push(label);
            let port = port.unwrap_or_else(|| attributes::default_port(event));
            labels.push(KeyValue::new("server.port", i64::from(port)));
        }
        let first_tag = labels.len();
        let overflows = self.labels.add(event, &mut labels);
        if overflows > 0 {
            self.overflows.add(overflows, &[]);
        }
        self.duration.record(event.duration().as_secs_f64(), &labels);
        if let Some(bytes) = event.request_body_bytes() {
            self.request_size.record(bytes, &labels);
        }
        if event.status().is_some() {
            self.response_size.record(event.response_body_bytes(), &labels);
        }
        #[cfg(feature = "llm")]
        if let Some(llm) = event.llm() {
            self.record_llm(event, llm, labels.get(first_tag..).unwrap_or_default());
        }
        #[cfg(not(feature = "llm"))]
        let _ = first_tag;
    }

    #[cfg(feature = "llm")]
    fn record_llm(&self, event: &Event, llm: &crate::usage::LlmCall, tags: &[KeyValue]) {
        let mut labels = tags.to_vec();
        let provider = llm.provider().map(attributes::provider_name);
        let (new, old) = self.conventions.provider_names();
        // Models are what callers and providers say.
        for (name, value) in [
            (Some("gen_ai.operation.name"), llm.operation().map(attributes::operation_name)),
            (new, provider),
            (old, provider),
            (Some("gen_ai.request.model"), llm.request_model()),
            (Some("gen_ai.response.model"), llm.response_model()),
        ] {
            if let (Some(name), Some(value)) = (name, value) {
                let (label, is_other) = self.labels.capped(name, value);
                self.overflows.add(u64::from(is_other), &[]);
                labels.push(label);
            }
        }
        let count = labels.len();
        if let Some(kind) = attributes::error_type(event, self.is_client) {
            labels.push(KeyValue::new("error.type", kind));
        }
        self.operation_duration.record(event.duration().as_secs_f64(), &labels);
        labels.truncate(count);
        if let Some(cost) = llm.cost() {
            labels.push(KeyValue::new("currency", "USD"));
            self.cost.add(cost.usd(), &labels);
            labels.pop();
        }
        let usage = llm.usage();
        let counts = [
            ("input", usage.and_then(crate::usage::Usage::input_tokens)),
            ("output", usage.and_then(crate::usage::Usage::output_tokens)),
        ];
        for (kind, count) in counts {
            if let Some(count) = count {
                labels.push(KeyValue::new("gen_ai.token.type", kind));
                self.tokens.record(count, &labels);
                labels.pop();
            }
        }
    }
}

fn observe_active(meter: &Meter, active: &Arc<ActiveRequests>) {
    let active = Arc::clone(active);
    meter
        .i64_observable_up_down_counter("http.server.active_requests")
        .with_unit("{request}")
        .with_callback(move |observer| {
            for (scheme, counts) in SCHEMES.into_iter().zip(&active.counts) {
                for (method, count) in METHODS.into_iter().chain(["_OTHER"]).zip(counts) {
                    let labels = [KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", scheme)];
                    observer.observe(count.load(Relaxed), &labels);
                }
            }
        })
        .build();
}

/// What became of the events of the sinks of one name, which are one series.
#[derive(Default)]
struct Fates {
    events: BTreeMap<&'static str, u64>,
    retried: u64,
    in_memory: u64,
    in_spool: u64,
}

fn fates(deliveries: &Deliveries) -> BTreeMap<String, Fates> {
    let deliveries = deliveries.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut fates: BTreeMap<String, Fates> = BTreeMap::new();
    for sink in deliveries.iter().flat_map(|delivery| delivery.report().sinks) {
        let of_name = fates.entry(sink.name.clone()).or_default();
        let dropped = DropReason::ALL.iter().map(|reason| (reason.as_str(), sink.dropped_for(*reason)));
        let delivered = [("delivered", sink.delivered)];
        of_name.retried += sink.retried;
        for (fate, count) in delivered.into_iter().chain(dropped.filter(|(_, count)| *count > 0)) {
            *of_name.events.entry(fate).or_default() += count;
        }
        of_name.in_spool += sink.spool.waiting;
        of_name.in_memory += sink.in_flight().saturating_sub(sink.spool.waiting);
    }
    fates
}

fn observe_deliveries(meter: &Meter, deliveries: &Deliveries) {
    let for_events = Arc::clone(deliveries);
    meter
        .u64_observable_counter("tower_tagging.delivery.events")
        .with_unit("{event}")
        .with_description("Events by what became of them: delivered, or the reason why they were dropped.")
        .with_callback(move |observer| {
            for (sink, fates) in fates(&for_events) {
                for (fate, count) in fates.events {
                    observer.observe(count, &[KeyValue::new("sink", sink.clone()), KeyValue::new("fate", fate)]);
                }
            }
        })
        .build();
    let for_retries = Arc::clone(deliveries);
    meter
        .u64_observable_counter("tower_tagging.delivery.retries")
        .with_unit("{event}")
        .with_description("Events that were written again, each time.")
        .with_callback(move |observer| {
            for (sink, fates) in fates(&for_retries) {
                observer.observe(fates.retried, &[KeyValue::new("sink", sink)]);
            }
        })
        .build();
    let for_waiting = Arc::clone(deliveries);
    meter
        .u64_observable_gauge("tower_tagging.delivery.waiting")
        .with_unit("{event}")
        .with_description("Events that wait for their delivery, in memory or in the spool.")
        .with_callback(move |observer| {
            for (sink, fates) in fates(&for_waiting) {
                for (place, count) in [("memory", fates.in_memory), ("spool", fates.in_spool)] {
                    observer.observe(count, &[KeyValue::new("sink", sink.clone()), KeyValue::new("place", place)]);
                }
            }
        })
        .build();
}
