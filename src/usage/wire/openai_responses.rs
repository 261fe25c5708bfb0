//! OpenAI's responses.
//!
//! <https://platform.openai.com/docs/api-reference/responses>

use http::Method;
use serde_json::Value;

use super::{format::Format, route::Route, usage_reader::UsageReader};
use crate::usage::{
    Operation, Unit,
    field::{EventEffect, Field, StreamEvent, ToolField, UsageKind},
    iterations::Iteration,
    normalized_usage::NormalizedUsage,
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::certain("/v1/responses", Operation::Responses, "openai"),
        Route::certain("/openai/responses", Operation::Responses, "openai"),
        Route::certain("/codex/responses", Operation::Responses, "openai"),
        Route::tentative("^/responses", Operation::Responses, "openai"),
        Route::tentative("/v#/responses", Operation::Responses, "openai"),
        // A conversation that is summarized.
        Route::certain("/v1/responses/compact", Operation::Responses, "openai"),
        Route::certain("/openai/responses/compact", Operation::Responses, "openai"),
        Route::certain("/codex/responses/compact", Operation::Responses, "openai"),
        Route::tentative("^/responses/compact", Operation::Responses, "openai"),
        // The result of a call in the background.
        Route::retrieval(Method::GET, "/v1/responses/*", Operation::Responses, "openai"),
        Route::retrieval(Method::GET, "/openai/responses/*", Operation::Responses, "openai"),
        Route::retrieval(Method::GET, "/v#/responses/*", Operation::Responses, "openai"),
        Route::retrieval(Method::GET, "^/responses/*", Operation::Responses, "openai"),
        Route::retrieval(Method::POST, "/v1/responses/*/cancel", Operation::Responses, "openai"),
        Route::retrieval(Method::POST, "/openai/responses/*/cancel", Operation::Responses, "openai"),
        Route::retrieval(Method::POST, "/v#/responses/*/cancel", Operation::Responses, "openai"),
        Route::retrieval(Method::POST, "^/responses/*/cancel", Operation::Responses, "openai"),
        // Perplexity's name for responses.
        Route::tentative("/v1/agent", Operation::Responses, "openai"),
        Route::certain("/serving-endpoints/responses", Operation::Responses, "databricks"),
        Route::certain("/serving-endpoints/open-responses", Operation::Responses, "databricks"),
        // DashScope's own format has the same counts.
        Route::certain("/services/aigc/**/generation", Operation::Chat, "alibaba"),
    ],
    wanted: &[
        ("id", Field::Id),
        ("model", Field::Model),
        ("service_tier", Field::ServiceTier),
        ("usage", Field::Usage(UsageKind::Total)),
        ("type", Field::EventType),
        ("output[].type", Field::Tool(ToolField::ItemType)),
        ("output[].action.type", Field::Tool(ToolField::ActionType)),
        ("tools[].type", Field::Tool(ToolField::ToolType)),
        ("tools[].model", Field::Tool(ToolField::ToolModel)),
        ("tool_usage", Field::Detail("tool_usage")),
        ("background", Field::Background),
        ("status", Field::Status),
        ("response.id", Field::Id),
        ("response.model", Field::Model),
        ("response.service_tier", Field::ServiceTier),
        ("response.usage", Field::Usage(UsageKind::Total)),
        ("response.output[].type", Field::Tool(ToolField::ItemType)),
        ("response.output[].action.type", Field::Tool(ToolField::ActionType)),
        ("response.tools[].type", Field::Tool(ToolField::ToolType)),
        ("response.tools[].model", Field::Tool(ToolField::ToolModel)),
        ("response.tool_usage", Field::Detail("tool_usage")),
        ("response.background", Field::Background),
        ("response.status", Field::Status),
        ("response.error", Field::Error),
        ("error", Field::Error),
    ],
    events: &[
        StreamEvent::new("response.created", EventEffect::EchoesRequest),
        StreamEvent::new("response.in_progress", EventEffect::EchoesRequest),
        StreamEvent::new("response.queued", EventEffect::EchoesRequest),
        StreamEvent::new("response.completed", EventEffect::Ends),
        StreamEvent::new("response.incomplete", EventEffect::Ends),
        StreamEvent::new("response.failed", EventEffect::EndsFailed),
        StreamEvent::new("error", EventEffect::Fails),
    ],
    marks: &["\"usage", "\"error\""],
    text_members: &["delta", "text", "transcript", "refusal", "arguments", "partial_image_b64"],
    matches: is_response,
    read,
    ..Format::EMPTY
};

/// Returns `true` if the counts have the names that OpenAI's responses share with Anthropic's messages.
pub(super) fn is_response(reader: &UsageReader<'_>) -> bool {
    reader.has_any(&["input_tokens", "output_tokens", "input_token_details", "output_token_details"])
}

fn read(reader: &mut UsageReader<'_>) {
    read_counts(reader);
    read_tools(reader);
}

fn read_counts(reader: &mut UsageReader<'_>) {
    reader.set(Unit::InputTokens, &["input_tokens"]);
    reader.set(Unit::OutputTokens, &["output_tokens"]);
    read_details(reader);
}

/// Reads the parts of input and output. The details have a singular name in the formats of some events.
pub(super) fn read_details(reader: &mut UsageReader<'_>) {
    for details in ["input_tokens_details", "input_token_details"] {
        if reader.has(details) {
            read_input_details(reader, details);
        }
    }
    for details in ["output_tokens_details", "output_token_details"] {
        if reader.has(details) {
            let reasoning: [&[&str]; 2] = [&[details, "reasoning_tokens"], &[details, "thinking_tokens"]];
            reader.set_first(Unit::ReasoningTokens, &reasoning);
            reader.set(Unit::OutputTextTokens, &[details, "text_tokens"]);
            reader.set(Unit::OutputAudioTokens, &[details, "audio_tokens"]);
            reader.set(Unit::OutputImageTokens, &[details, "image_tokens"]);
        }
    }
}

fn read_input_details(reader: &mut UsageReader<'_>, details: &str) {
    reader.set_first(Unit::CacheReadTokens, &[&[details, "cached_tokens"], &[details, "cache_read_input_tokens"]]);
    reader.set_first(
        Unit::CacheWriteTokens,
        &[&[details, "cache_write_tokens"], &[details, "cache_creation_input_tokens"]],
    );
    reader.set(Unit::InputTextTokens, &[details, "text_tokens"]);
    reader.set(Unit::InputAudioTokens, &[details, "audio_tokens"]);
    reader.set(Unit::InputImageTokens, &[details, "image_tokens"]);
    reader.set(Unit::CacheTextReadTokens, &[details, "cached_tokens_details", "text_tokens"]);
    reader.set(Unit::CacheAudioReadTokens, &[details, "cached_tokens_details", "audio_tokens"]);
    reader.set(Unit::CacheImageReadTokens, &[details, "cached_tokens_details", "image_tokens"]);
}

/// Reads what the provider's tools used.
pub(super) fn read_tools(reader: &mut UsageReader<'_>) {
    reader.set_first(
        Unit::WebSearches,
        &[
            &["server_tool_use", "web_search_requests"],
            &["tool_calls_details", "search_web", "invocation"],
            &["server_side_tool_usage_details", "web_search_calls"],
        ],
    );
    let tools = &reader.response.tools;
    // OpenAI counts the calls of its tools outside of the usage object, or not at all.
    if reader.normalized.usage.get(Unit::WebSearches).is_none() {
        let requests = reader.count(&["tool_usage", "web_search", "num_requests"]);
        reader.add_nonzero(Unit::WebSearches, requests.unwrap_or(tools.web_searches()));
    }
    reader.add_nonzero(Unit::FileSearches, tools.file_searches);
    let NormalizedUsage { usage, iterations, .. } = &mut reader.normalized;
    iterations.complete(usage);
    read_image_tool(reader);
}

/// Reads what another model used to make images. The response does not count it as its own.
fn read_image_tool(reader: &mut UsageReader<'_>) {
    let report = reader.report.get("tool_usage").and_then(|tools| tools.get("image_gen")).and_then(Value::as_object);
    let Some(report) = report else { return };
    let mut images = reader.for_report(report);
    read_counts(&mut images);
    let images = images.normalized.usage;
    if images.iter().all(|(_, count)| count == 0) {
        return;
    }
    let model = reader.response.tools.image_model.clone();
    let NormalizedUsage { usage, iterations, .. } = &mut reader.normalized;
    iterations.list = vec![
        Iteration::of_answer(std::mem::take(usage)),
        Iteration { model, by_answering_model: false, usage: images },
    ];
    *usage = iterations.sum();
}
