use std::fmt;

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};

use crate::{
    Event,
    otel::{gen_ai_conventions::GenAiConventions, metric_labels::MetricLabels},
    usage::LlmCall,
};

use super::{
    exported_calls::ExportedCalls,
    names::{operation_name, provider_attributes, provider_name},
};

/// Bucket boundaries in seconds, as the
/// [conventions](https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/) recommend.
const SECONDS: [f64; 14] = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];

/// Bucket boundaries in tokens: powers of four, as the conventions recommend.
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

/// The instruments for LLM calls.
pub(in crate::otel) struct GenAiInstruments {
    tokens: Histogram<u64>,
    duration: Histogram<f64>,
    cost: Counter<f64>,
    conventions: GenAiConventions,
}

impl GenAiInstruments {
    pub(in crate::otel) fn new(meter: &Meter, conventions: GenAiConventions) -> Self {
        Self {
            tokens: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_boundaries(TOKENS.to_vec())
                .build(),
            duration: meter
                .f64_histogram("gen_ai.client.operation.duration")
                .with_unit("s")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            cost: meter.f64_counter("tower_tagging.cost").with_description("Cost of requests, by currency.").build(),
            conventions,
        }
    }

    /// Records the event's LLM call, if it has one, with the labels of its tags.
    pub(in crate::otel) fn record(
        &self,
        event: &Event,
        labels: &MetricLabels,
        tags: &[KeyValue],
        error_type: Option<&str>,
    ) {
        let Some(call) = event.llm() else { return };
        let exported = event.attachment(|_: &ExportedCalls| true);
        let measured = exported.map(ExportedCalls::measured).unwrap_or_default();
        let Some(rest) = measured.rest_of(call) else { return };
        let mut of_call = tags.to_vec();
        self.add_labels(call, labels, &mut of_call);
        let mut of_duration = of_call.clone();
        of_duration.extend(error_type.map(|kind| KeyValue::new("error.type", kind.to_owned())));
        self.duration.record(event.duration().as_secs_f64(), &of_duration);
        if let Some(cost) = rest.cost {
            of_call.push(KeyValue::new("currency", "USD"));
            self.cost.add(cost.usd(), &of_call);
            of_call.pop();
        }
        for (kind, count) in [("input", rest.input_tokens), ("output", rest.output_tokens)] {
            if let Some(count) = count {
                of_call.push(KeyValue::new("gen_ai.token.type", kind));
                self.tokens.record(count, &of_call);
                of_call.pop();
            }
        }
    }

    /// Clients and providers choose the names of models, so these labels are capped.
    fn add_labels(&self, call: &LlmCall, labels: &MetricLabels, to: &mut Vec<KeyValue>) {
        let provider = call.provider().map(provider_name);
        let (current, old) = provider_attributes(self.conventions);
        for (name, value) in [
            (Some("gen_ai.operation.name"), call.operation().map(operation_name)),
            (current, provider),
            (old, provider),
            (Some("gen_ai.request.model"), call.request_model()),
            (Some("gen_ai.response.model"), call.response_model()),
        ] {
            if let (Some(name), Some(value)) = (name, value) {
                to.push(labels.capped(name, value));
            }
        }
    }
}

impl fmt::Debug for GenAiInstruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GenAiInstruments").field("conventions", &self.conventions).finish_non_exhaustive()
    }
}
