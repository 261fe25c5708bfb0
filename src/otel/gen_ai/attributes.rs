use opentelemetry::KeyValue;

use crate::{
    Event,
    otel::{attribute_list::AttributeList, gen_ai_conventions::GenAiConventions},
    usage::{LlmCall, Unit, Usage},
};

use super::exported_calls::ExportedCalls;
use super::names::{operation_name, provider_attributes, provider_name, system_name};

/// Adds the attributes of the event's LLM call, if it has one.
///
/// Names without a convention, such as those of the cost, begin with `tower_tagging.`.
pub(in crate::otel) fn add_attributes(event: &Event, conventions: GenAiConventions, list: &mut AttributeList) {
    let Some(call) = event.llm() else { return };
    if event.attachment(ExportedCalls::have_spans).is_some() {
        add_rolled_up(call, list);
    } else {
        add_call(call, conventions, list);
        add_usage(call, conventions, list);
        add_cost(call, list);
    }
}

/// Adds the sums over calls that have their own spans, under names that differ from those of the calls. A sum over all spans
/// then counts each call once.
fn add_rolled_up(call: &LlmCall, list: &mut AttributeList) {
    for (name, count) in [
        ("tower_tagging.rolled_up.calls", call.calls()),
        ("tower_tagging.rolled_up.input_tokens", call.usage().and_then(Usage::input_tokens)),
        ("tower_tagging.rolled_up.output_tokens", call.usage().and_then(Usage::output_tokens)),
    ] {
        if let Some(count) = count {
            list.number(name, count);
        }
    }
    list.fixed("tower_tagging.rolled_up.cost.status", call.cost_status().as_str());
    if let Some(cost) = call.cost() {
        list.push(KeyValue::new("tower_tagging.rolled_up.cost.usd", cost.usd()));
    }
}

fn add_call(call: &LlmCall, conventions: GenAiConventions, list: &mut AttributeList) {
    if let Some(operation) = call.operation() {
        list.text("gen_ai.operation.name", operation_name(operation));
    }
    if let Some(provider) = call.provider() {
        let (current, old) = provider_attributes(conventions);
        for (name, value) in [(current, provider_name(provider)), (old, system_name(provider))] {
            if let Some(name) = name {
                list.text(name, value);
            }
        }
    }
    for (name, value) in [
        ("gen_ai.request.model", call.request_model()),
        ("gen_ai.response.model", call.response_model()),
        ("gen_ai.response.id", call.response_id()),
        ("tower_tagging.service_tier", call.service_tier()),
        ("tower_tagging.price.source", call.price_source()),
    ] {
        if let Some(value) = value {
            list.text(name, value);
        }
    }
    list.push(KeyValue::new("gen_ai.request.stream", call.is_stream()));
}

fn add_usage(call: &LlmCall, conventions: GenAiConventions, list: &mut AttributeList) {
    let has_details = conventions != GenAiConventions::System;
    for (name, unit, is_detail) in [
        ("gen_ai.usage.input_tokens", Unit::InputTokens, false),
        ("gen_ai.usage.output_tokens", Unit::OutputTokens, false),
        ("gen_ai.usage.cache_read.input_tokens", Unit::CacheReadTokens, true),
        ("gen_ai.usage.cache_creation.input_tokens", Unit::CacheWriteTokens, true),
        ("gen_ai.usage.reasoning.output_tokens", Unit::ReasoningTokens, true),
    ] {
        if let Some(count) = call.usage().and_then(|usage| usage.get(unit))
            && (has_details || !is_detail)
        {
            list.number(name, count);
        }
    }
    if let Some(time) = call.time_to_first_token() {
        list.push(KeyValue::new("gen_ai.response.time_to_first_chunk", time.as_secs_f64()));
    }
    list.fixed("tower_tagging.usage.status", call.usage_status().as_str());
}

fn add_cost(call: &LlmCall, list: &mut AttributeList) {
    list.fixed("tower_tagging.cost.status", call.cost_status().as_str());
    for (name, cost) in [
        ("tower_tagging.cost.usd", call.cost()),
        ("tower_tagging.cost.input_usd", call.input_cost()),
        ("tower_tagging.cost.output_usd", call.output_cost()),
    ] {
        if let Some(cost) = cost {
            list.push(KeyValue::new(name, cost.usd()));
        }
    }
}
