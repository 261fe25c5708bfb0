use crate::{
    event::Event,
    metadata::Metadata,
    text::http_version,
    time::whole_micros,
    usage::{CostLine, LlmCall, Money, Operation, SignedMoney, Unit, Usage},
};

use super::{
    EventRow,
    stored::{stored_count, stored_metadata, stored_millis, stored_text, stored_time_after, stored_tokens},
};

/// Flattens an event. `indexed_metadata` stays empty, because only stores have activated keys.
impl From<&Event> for EventRow {
    fn from(event: &Event) -> Self {
        let mut row = Self::blank();
        set_request(&mut row, event);
        set_result(&mut row, event);
        set_trace(&mut row, event);
        set_tags(&mut row, event);
        if let Some(call) = event.llm() {
            set_call(&mut row, call);
        }
        row
    }
}

fn owned(text: &str) -> String {
    stored_text(text).into_owned()
}

fn set_request(row: &mut EventRow, event: &Event) {
    row.id = event.id();
    row.requested_at = whole_micros(event.time());
    event.method().as_str().clone_into(&mut row.request_method);
    row.request_path = owned(event.path());
    row.route = event.route().map(owned);
    row.host = event.host().map(owned);
    http_version(event.http_version()).clone_into(&mut row.http_version);
    row.request_bytes = event.request_body_bytes().map(stored_count);
    row.api_key = event.api_key().map(owned);
    row.workspace = event.workspace().map(owned);
    row.virtual_key = event.virtual_key().map(owned);
}

fn set_result(row: &mut EventRow, event: &Event) {
    row.responded_at = stored_time_after(row.requested_at, event.duration());
    row.response_time_ms = stored_millis(event.duration());
    row.time_to_head_ms = event.time_to_head().map(stored_millis);
    row.time_to_first_byte_ms = event.time_to_first_byte().map(stored_millis);
    row.status_code = event.status().map(|status| status.as_u16());
    row.grpc_status = event.grpc_status();
    row.response_bytes = stored_count(event.response_body_bytes());
    event.outcome().as_str().clone_into(&mut row.outcome);
    row.rejection = event.rejection().map(owned);
    row.limit_rule = event.limit_rule().map(owned);
    row.error_message = event.error().map(owned);
    row.is_error = event.is_error();
}

fn set_trace(row: &mut EventRow, event: &Event) {
    let trace = event.trace();
    trace.trace_id().as_str().clone_into(&mut row.trace_id);
    row.client_trace_id = trace.client_trace_id().map(owned);
    trace.span_id().as_str().clone_into(&mut row.span_id);
    row.parent_span_id = trace.parent_span_id().map(owned);
    row.linked_trace_id = trace.linked_trace_id().map(owned);
    row.span_name = trace.span_name().map(owned);
    row.span_path = trace.span_path().map(owned);
    row.sampled = trace.sampled();
}

fn set_tags(row: &mut EventRow, event: &Event) {
    row.raw_metadata = stored_metadata(event.metadata());
    row.metadata_sources = event.sources().map(|(key, scope)| (stored_text(key), scope.as_str())).collect::<Metadata>();
    let notes = event.diagnostics();
    if !notes.is_empty() {
        row.diagnostics = without_nul(serde_json::to_value(notes).unwrap_or_default());
    }
}

/// Replaces NUL in the texts of a JSON value. The names of its members are ours.
fn without_nul(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;

    match value {
        Value::String(text) => Value::String(owned(&text)),
        Value::Array(values) => values.into_iter().map(without_nul).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, without_nul(value))).collect(),
        other => other,
    }
}

/// Returns the cost, at most that of one call, so that sums over billions of rows fit a `bigint`.
fn nanos(cost: Money) -> u64 {
    cost.min(LlmCall::MAX_COST).nano_usd()
}

fn set_call(row: &mut EventRow, call: &LlmCall) {
    row.time_to_first_token_ms = call.time_to_first_token().map(stored_millis);
    row.provider = call.provider().map(owned);
    row.operation = call.operation().map(Operation::as_str).map(owned);
    row.model = call.response_model().or(call.request_model()).map(owned);
    row.request_model = call.request_model().map(owned);
    row.response_model = call.response_model().map(owned);
    row.response_id = call.response_id().map(owned);
    row.service_tier = call.service_tier().map(owned);
    row.response_tier = call.response_tier().map(owned);
    row.inference_geo = call.inference_geo().map(owned);
    row.stream = Some(call.is_stream());
    row.llm_error = call.error().map(owned);
    row.llm_calls = call.calls().map(stored_count);
    row.llm_time_ms = call.duration().map(stored_millis);
    set_usage(row, call);
    row.cost_status = Some(call.cost_status().as_str().to_owned());
    row.cost_origin = Some(call.cost_origin().as_str().to_owned());
    row.total_cost_nanos = call.cost().map(nanos);
    row.input_cost_nanos = call.input_cost().map(nanos);
    row.output_cost_nanos = call.output_cost().map(nanos);
    row.cost_lines = call.cost_lines().map(|lines| lines.iter().map(stored_line).collect());
    row.cache_savings_nanos = call.cache_savings().map(SignedMoney::nano_usd);
    row.price_source = call.price_source().map(owned);
}

fn stored_line(line: &CostLine) -> CostLine {
    CostLine { quantity: stored_tokens(line.quantity), ..*line }
}

fn set_usage(row: &mut EventRow, call: &LlmCall) {
    row.usage_status = Some(call.usage_status().as_str().to_owned());
    for (unit, count) in call.usage().into_iter().flat_map(Usage::iter) {
        let count = stored_tokens(count);
        match unit {
            Unit::InputTokens => row.input_tokens = Some(count),
            Unit::OutputTokens => row.output_tokens = Some(count),
            Unit::CacheReadTokens => row.cache_read_tokens = Some(count),
            Unit::CacheWriteTokens => row.cache_write_tokens = Some(count),
            Unit::CacheWrite1hTokens => row.cache_write_1h_tokens = Some(count),
            Unit::ReasoningTokens => row.reasoning_tokens = Some(count),
            Unit::InputAudioTokens => row.input_audio_tokens = Some(count),
            Unit::OutputAudioTokens => row.output_audio_tokens = Some(count),
            other => _ = row.other_usage.insert(other.as_str().to_owned(), count),
        }
    }
    for quantity in call.quantities().iter().filter(|quantity| quantity.amount().is_finite()) {
        let sum = row.quantities.entry(owned(quantity.name())).or_default();
        *sum = (*sum + quantity.amount()).clamp(f64::MIN, f64::MAX);
    }
}
