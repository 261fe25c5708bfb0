//! Gemini's interactions.
//!
//! <https://ai.google.dev/api/interactions-api>

use serde_json::Value;

use super::{
    format::Format,
    gemini::{CountNames, add_searches, read_counts},
    route::Route,
    usage_reader::UsageReader,
};
use crate::usage::{
    Operation,
    field::{EventEffect, Field, StreamEvent, UsageKind},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::tentative("^/v1/interactions", Operation::Interactions, "google"),
        Route::tentative("^/v1beta/interactions", Operation::Interactions, "google"),
        Route::tentative("^/v1alpha/interactions", Operation::Interactions, "google"),
        // Vertex AI.
        Route::tentative("/locations/**/interactions", Operation::Interactions, "google"),
    ],
    wanted: &[
        ("id", Field::Id),
        ("model", Field::Model),
        ("usage", Field::Usage(UsageKind::Total)),
        ("event_type", Field::EventType),
        ("interaction.id", Field::Id),
        ("interaction.model", Field::Model),
        ("interaction.service_tier", Field::ServiceTier),
        ("interaction.usage", Field::Usage(UsageKind::Total)),
    ],
    events: &[
        StreamEvent::new("interaction.created", EventEffect::AnnouncesEnd),
        StreamEvent::new("interaction.start", EventEffect::AnnouncesEnd),
        StreamEvent::new("interaction.completed", EventEffect::Ends),
        StreamEvent::new("interaction.complete", EventEffect::Ends),
    ],
    marks: &["\"usage"],
    matches: |reader| reader.has_any(&["total_input_tokens", "total_output_tokens"]),
    read,
    ..Format::EMPTY
};

const NAMES: CountNames = CountNames {
    input: "total_input_tokens",
    tool: "total_tool_use_tokens",
    output: "total_output_tokens",
    thoughts: "total_thought_tokens",
    total: "total_tokens",
    cached: "total_cached_tokens",
    input_details: "input_tokens_by_modality",
    tool_details: "tool_use_tokens_by_modality",
    output_details: "output_tokens_by_modality",
    cached_details: "cached_tokens_by_modality",
    entry_count: "tokens",
};

fn read(reader: &mut UsageReader<'_>) {
    read_counts(reader, &NAMES);
    let queries = grounding_queries(reader);
    add_searches(reader, queries);
}

fn grounding_queries(reader: &mut UsageReader<'_>) -> u64 {
    let entries = reader.report.get("grounding_tool_count").and_then(Value::as_array);
    let is_search = |entry: &&Value| entry.get("type").and_then(Value::as_str) == Some("google_search");
    let counts = entries.into_iter().flatten().filter(is_search).filter_map(|entry| entry.get("count"));
    let counts = counts.filter_map(|count| reader.number(count, || "grounding_tool_count".to_owned()));
    counts.fold(0, u64::saturating_add)
}
