//! Anthropic's messages.
//!
//! <https://platform.claude.com/docs/en/api/messages>

use serde_json::Value;

use super::{format::Format, openai_responses, route::Route, usage_reader::UsageReader};
use crate::usage::{
    Operation, Unit,
    field::{EventEffect, Field, StreamEvent, UsageKind},
    iterations::Iterations,
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::certain("/v1/messages", Operation::Messages, "anthropic"),
        // Vertex AI.
        Route::streaming("/publishers/anthropic/models/{*}:rawPredict", Operation::Messages, "google", false),
        Route::streaming("/publishers/anthropic/models/{*}:streamRawPredict", Operation::Messages, "google", true),
        Route::excluded("/publishers/anthropic/models/count-tokens:rawPredict"),
    ],
    wanted: &[
        ("id", Field::Id),
        ("model", Field::Model),
        ("usage", Field::Usage(UsageKind::Total)),
        ("stop_reason", Field::StopReason),
        ("type", Field::EventType),
        ("message.id", Field::Id),
        ("message.model", Field::Model),
        ("message.usage", Field::Usage(UsageKind::Initial)),
        ("delta.usage", Field::Usage(UsageKind::Total)),
        ("delta.stop_reason", Field::StopReason),
        ("error", Field::Error),
    ],
    events: &[
        StreamEvent::marked("message_delta", EventEffect::Counts),
        StreamEvent::marked("message_stop", EventEffect::Ends),
    ],
    marks: &["\"usage", "\"message", "\"error\""],
    text_members: &["text", "thinking", "partial_json"],
    matches,
    read,
    ..Format::EMPTY
};

/// Many providers serve this format. OpenAI's responses use the same names for the main counts.
fn matches(reader: &UsageReader<'_>) -> bool {
    const OWN_MEMBERS: [&str; 4] =
        ["cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "iterations"];
    openai_responses::is_response(reader) && (reader.provider == Some("anthropic") || reader.has_any(&OWN_MEMBERS))
}

fn read(reader: &mut UsageReader<'_>) {
    read_counts(reader);
    // Anthropic does not bill a call that a model refuses before any output. Other providers of its models do.
    let is_refused = reader.response.is_refused && reader.provider == Some("anthropic");
    read_iterations(reader, is_refused);
    openai_responses::read_details(reader);
    openai_responses::read_tools(reader);
    let normalized = &mut reader.normalized;
    let has_output = normalized.usage.output_tokens() != Some(0) || !normalized.iterations.list.is_empty();
    normalized.is_waived = is_refused && !has_output;
}

fn read_counts(reader: &mut UsageReader<'_>) {
    reader.set(Unit::InputTokens, &["input_tokens"]);
    reader.set(Unit::OutputTokens, &["output_tokens"]);
    let read = reader.count(&["cache_read_input_tokens"]);
    let short = reader.count(&["cache_creation", "ephemeral_5m_input_tokens"]);
    let long = reader.count(&["cache_creation", "ephemeral_1h_input_tokens"]);
    let parts = (short.is_some() || long.is_some()).then(|| short.unwrap_or(0).saturating_add(long.unwrap_or(0)));
    let write = reader.count(&["cache_creation_input_tokens"]).or(parts);
    reader.add_cache_outside_input(read, write);
    reader.add(Unit::CacheWrite5mTokens, short);
    reader.add(Unit::CacheWrite1hTokens, long);
}

fn read_iterations(reader: &mut UsageReader<'_>, is_refused: bool) {
    let entries = reader.report.get("iterations").and_then(Value::as_array);
    let Some(entries) = entries.filter(|entries| !entries.is_empty()) else { return };
    let iterations = Iterations::read(entries, &reader.normalized.usage, is_refused, |report| {
        let mut iteration = reader.for_report(report);
        read_counts(&mut iteration);
        iteration.normalized.usage
    });
    reader.normalized.inconsistencies.extend(iterations.problem.clone());
    if !iterations.list.is_empty() {
        reader.normalized.usage = iterations.sum();
    }
    reader.normalized.iterations = iterations;
}
