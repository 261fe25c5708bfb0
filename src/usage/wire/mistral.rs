//! Mistral's agents, conversations, and chat completions, which add what connectors and audio used.
//!
//! <https://docs.mistral.ai/api>

use super::{
    format::Format,
    openai_chat::{ChatCounts, is_chat},
    route::Route,
    usage_reader::UsageReader,
};
use crate::usage::{
    Operation, Unit,
    field::{EventEffect, Field, StreamEvent},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::certain("/agents/completions", Operation::Chat, "mistral"),
        Route::tentative("/v1/conversations", Operation::Chat, "mistral"),
        Route::tentative("/v1/conversations/*", Operation::Chat, "mistral"),
        Route::tentative("/v1/conversations/**/restart", Operation::Chat, "mistral"),
    ],
    wanted: &[("outputs[].model", Field::Model)],
    events: &[
        StreamEvent::new("conversation.response.started", EventEffect::AnnouncesEnd),
        StreamEvent::new("conversation.response.done", EventEffect::Ends),
    ],
    matches: |reader| is_chat(reader) && reader.has_any(&["connector_tokens", "prompt_audio_seconds"]),
    read,
    ..Format::EMPTY
};

fn read(reader: &mut UsageReader<'_>) {
    let counts = ChatCounts::find(reader);
    counts.normalize(reader, counts.total_shows(counts.reasoning));
    // Tokens that the results of connectors added to the input.
    let connectors = reader.count(&["connector_tokens"]);
    if counts.total_shows(connectors) {
        reader.add(Unit::InputTokens, connectors);
        reader.add(Unit::InputToolTokens, connectors);
    }
    reader.set(Unit::AudioSeconds, &["prompt_audio_seconds"]);
}
