use opentelemetry::{KeyValue, metrics::Meter};

use crate::{
    Event,
    otel::{attribute_list::AttributeList, gen_ai_conventions::GenAiConventions, metric_labels::MetricLabels},
};

pub(in crate::otel) fn add_attributes(_: &Event, _: GenAiConventions, _: &mut AttributeList) {}

#[derive(Debug)]
pub(in crate::otel) struct GenAiInstruments;

impl GenAiInstruments {
    pub(in crate::otel) fn new(_: &Meter, _: GenAiConventions) -> Self {
        Self
    }

    #[expect(clippy::unused_self, reason = "the signature is the same as with the feature `llm`")]
    pub(in crate::otel) fn record(&self, _: &Event, _: &MetricLabels, _: &[KeyValue], _: Option<&str>) {}
}
