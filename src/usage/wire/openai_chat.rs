//! Chat completions and text completions in OpenAI's format, which most other providers and servers share.
//!
//! <https://platform.openai.com/docs/api-reference/chat/object>

use super::{
    format::Format,
    route::{Certainty, Route},
    usage_reader::UsageReader,
};
use crate::usage::{
    Operation, Unit,
    field::{Field, UsageKind},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::certain("/chat/completions", Operation::Chat, "openai"),
        Route::certain("/v1/completions", Operation::Completions, "openai"),
        Route::certain("/openai/deployments/*/completions", Operation::Completions, "openai"),
        Route::tentative("/completions", Operation::Completions, "openai"),
        // A prompt that is stored at Portkey.
        Route::tentative("/prompts/*/completions", Operation::Chat, "openai"),
        // LM Studio.
        Route::new("/api/v1/chat", Operation::Chat, None, Certainty::Tentative, None),
        Route::certain("/v1/text/chatcompletion_v2", Operation::Chat, "minimax"),
        Route::certain("/cortex/inference:complete", Operation::Chat, "snowflake"),
    ],
    wanted: &[
        ("id", Field::Id),
        ("model", Field::Model),
        ("service_tier", Field::ServiceTier),
        ("usage", Field::Usage(UsageKind::Total)),
        // The last chunk of a stream.
        ("choices[]", Field::UsageOnly),
        ("choices[].finish_reason", Field::FinishReason),
        // Moonshot.
        ("choices[].usage", Field::Usage(UsageKind::OfChoice)),
        // OpenRouter.
        ("provider", Field::UpstreamName),
        ("time_info.queue_time", Field::ServedBy("cerebras")),
        ("error", Field::Error),
    ],
    marks: &["\"usage", "[DONE]", "\"error\""],
    marks_unless_null: &["\"finish_reason\""],
    text_members: &["content", "text", "reasoning_content", "reasoning", "arguments", "refusal"],
    matches: is_chat,
    read,
    ..Format::EMPTY
};

/// The members that nearly every report has.
const COMMON_MEMBERS: [&str; 5] =
    ["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"];

const PROMPT_PARTS: &[(Unit, &str)] = &[
    (Unit::InputTextTokens, "text_tokens"),
    (Unit::InputAudioTokens, "audio_tokens"),
    (Unit::InputImageTokens, "image_tokens"),
    (Unit::InputVideoTokens, "video_tokens"),
];

const COMPLETION_PARTS: &[(Unit, &str)] = &[
    (Unit::OutputTextTokens, "text_tokens"),
    (Unit::OutputAudioTokens, "audio_tokens"),
    (Unit::OutputImageTokens, "image_tokens"),
];

/// Returns `true` if the counts are in this format, whatever extensions they have.
pub(super) fn is_chat(reader: &UsageReader<'_>) -> bool {
    reader.has_any(&["prompt_tokens", "completion_tokens"])
}

pub(super) fn read(reader: &mut UsageReader<'_>) {
    let counts = ChatCounts::find(reader);
    let is_reasoning_extra = counts.total_shows(counts.reasoning);
    counts.normalize(reader, is_reasoning_extra);
}

/// The main counts of a chat completion.
pub(super) struct ChatCounts {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    pub(super) reasoning: Option<u64>,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
}

impl ChatCounts {
    pub(super) fn find(reader: &mut UsageReader<'_>) -> Self {
        let mut counts = Self {
            prompt: reader.count(&["prompt_tokens"]),
            completion: reader.count(&["completion_tokens"]),
            total: reader.count(&["total_tokens"]),
            reasoning: reader.first(&[&["completion_tokens_details", "reasoning_tokens"], &["reasoning_tokens"]]),
            cache_read: reader.first(&[
                &["prompt_tokens_details", "cached_tokens"],
                &["cached_tokens"],
                &["prompt_cache_hit_tokens"],
                &["cache_read_input_tokens"],
                &["cached_prompt_text_tokens"],
            ]),
            cache_write: reader.first(&[
                &["prompt_tokens_details", "cache_write_tokens"],
                &["prompt_tokens_details", "cache_creation_input_tokens"],
                &["cache_creation_input_tokens"],
            ]),
        };
        // Gemini's compatible endpoint counts thoughts in the total only.
        let uncounted = counts.total.and_then(|total| total.checked_sub(counts.sum())).filter(|tokens| *tokens > 0);
        if reader.provider == Some("google") && counts.completion.is_some() {
            counts.reasoning = counts.reasoning.or(uncounted);
        }
        counts
    }

    /// Returns the sum of prompt and completion.
    fn sum(&self) -> u64 {
        self.prompt.unwrap_or(0).saturating_add(self.completion.unwrap_or(0))
    }

    /// Returns `true` if the total is the sum of prompt and completion.
    pub(super) fn total_is_sum(&self) -> bool {
        self.total == Some(self.sum())
    }

    /// Returns `true` if the total shows that these tokens are counted in addition to prompt and completion.
    pub(super) fn total_shows(&self, extra: Option<u64>) -> bool {
        extra.is_some_and(|extra| extra > 0 && self.total == Some(self.sum().saturating_add(extra)))
    }

    /// Writes the normalized counts. `is_reasoning_extra` means that the completion does not include reasoning.
    pub(super) fn normalize(&self, reader: &mut UsageReader<'_>, is_reasoning_extra: bool) {
        reader.add(Unit::InputTokens, self.prompt);
        reader.add(Unit::OutputTokens, self.completion);
        if is_reasoning_extra {
            reader.add(Unit::OutputTokens, self.reasoning);
        }
        reader.add(Unit::ReasoningTokens, self.reasoning);
        let (read, write) = (self.cache_read, self.cache_write);
        let cached = read.unwrap_or(0).saturating_add(write.unwrap_or(0));
        if self.total_shows(Some(cached)) && !is_reasoning_extra {
            reader.add_cache_outside_input(read, write);
        } else {
            reader.add(Unit::CacheReadTokens, read);
            reader.add(Unit::CacheWriteTokens, write);
        }
        read_details(reader);
        if !reader.report.keys().all(|name| COMMON_MEMBERS.contains(&name.as_str())) {
            read_searches(reader);
        }
    }
}

fn read_details(reader: &mut UsageReader<'_>) {
    // Alibaba's Qwen.
    reader.set(Unit::CacheWrite5mTokens, &["prompt_tokens_details", "cache_creation", "ephemeral_5m_input_tokens"]);
    for (details, parts) in [("prompt_tokens_details", PROMPT_PARTS), ("completion_tokens_details", COMPLETION_PARTS)] {
        if reader.has(details) {
            for (unit, key) in parts {
                reader.set(*unit, &[details, key]);
            }
        }
    }
}

fn read_searches(reader: &mut UsageReader<'_>) {
    reader.set_first(
        Unit::WebSearches,
        &[
            &["num_search_queries"],
            &["connectors", "web_search"],
            &["server_tool_use_details", "web_search_requests"],
            &["server_tool_use", "web_search_requests"],
            &["server_side_tool_usage_details", "web_search_calls"],
        ],
    );
}
