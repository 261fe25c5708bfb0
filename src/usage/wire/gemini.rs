//! Gemini's `generateContent`, on the Gemini API and on Vertex AI.
//!
//! <https://ai.google.dev/api/generate-content#UsageMetadata>

use serde_json::Value;

use super::{format::Format, route::Route, usage_reader::UsageReader};
use crate::usage::{
    Operation, Unit,
    field::{Field, ToolField, UsageKind},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::streaming("/{*}:generateContent", Operation::GenerateContent, "google", false),
        Route::streaming("/{*}:streamGenerateContent", Operation::GenerateContent, "google", true),
        Route::streaming("/{*}:embedContent", Operation::Embeddings, "google", false),
        Route::streaming("/{*}:batchEmbedContents", Operation::Embeddings, "google", false),
    ],
    wanted: &[
        ("responseId", Field::Id),
        ("modelVersion", Field::Model),
        ("usageMetadata", Field::Usage(UsageKind::Running)),
        ("candidates[].finishReason", Field::LastFinishReason),
        ("candidates[].groundingMetadata.webSearchQueries", Field::Tool(ToolField::Queries)),
        ("candidates[].groundingMetadata.imageSearchQueries", Field::Tool(ToolField::Queries)),
        ("promptFeedback.blockReason", Field::BlockReason),
        // Gemini Code Assist wraps its answer.
        ("response.modelVersion", Field::Model),
        ("response.usageMetadata", Field::Usage(UsageKind::Running)),
        ("error", Field::Error),
    ],
    marks: &["\"usage", "ount\"", "\"finishReason\"", "\"error\""],
    text_members: &["text"],
    object_members: &["functionCall", "inlineData", "executableCode"],
    matches: |reader| {
        reader.has_any(&["promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount"])
    },
    read,
    ..Format::EMPTY
};

fn read(reader: &mut UsageReader<'_>) {
    read_counts(reader, &GENERATE_CONTENT);
    let queries = reader.response.tools.google_queries();
    add_searches(reader, queries);
}

/// The names of the counts in one of Gemini's APIs.
pub(super) struct CountNames {
    pub(super) input: &'static str,
    pub(super) tool: &'static str,
    pub(super) output: &'static str,
    pub(super) thoughts: &'static str,
    pub(super) total: &'static str,
    pub(super) cached: &'static str,
    pub(super) input_details: &'static str,
    pub(super) tool_details: &'static str,
    pub(super) output_details: &'static str,
    pub(super) cached_details: &'static str,
    /// The count in an entry of the details.
    pub(super) entry_count: &'static str,
}

const GENERATE_CONTENT: CountNames = CountNames {
    input: "promptTokenCount",
    tool: "toolUsePromptTokenCount",
    output: "candidatesTokenCount",
    thoughts: "thoughtsTokenCount",
    total: "totalTokenCount",
    cached: "cachedContentTokenCount",
    input_details: "promptTokensDetails",
    tool_details: "toolUsePromptTokensDetails",
    output_details: "candidatesTokensDetails",
    cached_details: "cacheTokensDetails",
    entry_count: "tokenCount",
};

/// The units of text, audio, images, and video.
type Modalities = [Unit; 4];

const INPUT: Modalities =
    [Unit::InputTextTokens, Unit::InputAudioTokens, Unit::InputImageTokens, Unit::InputVideoTokens];
const TOOL: Modalities =
    [Unit::InputTextToolTokens, Unit::InputAudioToolTokens, Unit::InputImageToolTokens, Unit::InputVideoToolTokens];
const OUTPUT: Modalities =
    [Unit::OutputTextTokens, Unit::OutputAudioTokens, Unit::OutputImageTokens, Unit::OutputVideoTokens];
const CACHED: Modalities =
    [Unit::CacheTextReadTokens, Unit::CacheAudioReadTokens, Unit::CacheImageReadTokens, Unit::CacheVideoReadTokens];

/// Reads counts. Input excludes the results of tools, and input includes what was cached. Output excludes thoughts,
/// unless the total shows otherwise.
pub(super) fn read_counts(reader: &mut UsageReader<'_>, names: &CountNames) {
    reader.set(Unit::InputTokens, &[names.input]);
    let tool = reader.count(&[names.tool]);
    reader.add(Unit::InputTokens, tool);
    reader.add(Unit::InputToolTokens, tool);
    reader.set(Unit::OutputTokens, &[names.output]);
    let thoughts = reader.count(&[names.thoughts]);
    if !total_includes_thoughts_in_output(reader, names, thoughts) {
        reader.add(Unit::OutputTokens, thoughts);
    }
    reader.add(Unit::ReasoningTokens, thoughts);
    reader.set(Unit::CacheReadTokens, &[names.cached]);
    // Embeddings use a singular name.
    let input_details = if reader.has(names.input_details) { names.input_details } else { "promptTokenDetails" };
    read_modalities(reader, names, names.cached_details, &[CACHED]);
    read_modalities(reader, names, input_details, &[INPUT]);
    read_modalities(reader, names, names.output_details, &[OUTPUT]);
    read_modalities(reader, names, names.tool_details, &[INPUT, TOOL]);
}

/// Returns `true` if the total shows that output includes thoughts, as it does on some compatible servers.
fn total_includes_thoughts_in_output(reader: &mut UsageReader<'_>, names: &CountNames, thoughts: Option<u64>) -> bool {
    let usage = &reader.normalized.usage;
    let (input, output) = (usage.input_tokens().unwrap_or(0), usage.output_tokens().unwrap_or(0));
    let is_part = thoughts.is_some_and(|thoughts| thoughts > 0 && thoughts <= output);
    is_part && reader.count(&[names.total]) == Some(input.saturating_add(output))
}

fn read_modalities(reader: &mut UsageReader<'_>, names: &CountNames, key: &str, units: &[Modalities]) {
    let Some(details) = reader.report.get(key).and_then(Value::as_array) else { return };
    // If a modality has several entries, the first one counts. Documents are priced as images.
    for (modality, place) in [("TEXT", 0), ("AUDIO", 1), ("IMAGE", 2), ("DOCUMENT", 2), ("VIDEO", 3)] {
        let entry = details.iter().find(|entry| {
            let name = entry.get("modality").and_then(Value::as_str);
            name.is_some_and(|name| name.eq_ignore_ascii_case(modality))
        });
        let count = entry.and_then(|entry| entry.get(names.entry_count));
        let count = count.and_then(|count| reader.number(count, || key.to_owned()));
        for unit in units.iter().filter_map(|units| units.get(place)) {
            reader.add(*unit, count);
        }
    }
}

/// Adds searches as Google bills them: each query, but for Gemini 2.5 and older each prompt that searched
/// (<https://ai.google.dev/gemini-api/docs/pricing>).
pub(super) fn add_searches(reader: &mut UsageReader<'_>, queries: u64) {
    let bills_prompts =
        reader.model.is_some_and(|model| ["gemini-1.", "gemini-2."].iter().any(|old| model.starts_with(old)));
    reader.add_nonzero(Unit::WebSearches, if bills_prompts { queries.min(1) } else { queries });
}
