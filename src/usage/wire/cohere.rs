//! Cohere's chat, embeddings, and reranking. The billed units win over the tokens, of which not all may be billed.
//!
//! <https://docs.cohere.com/reference/chat>

use super::{
    format::Format,
    route::{Certainty, Route},
    usage_reader::UsageReader,
};
use crate::usage::{
    Operation, Unit,
    field::{EventEffect, Field, StreamEvent, UsageKind},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::tentative("/v1/chat", Operation::Chat, "cohere"),
        Route::tentative("/v2/chat", Operation::Chat, "cohere"),
        Route::certain("/v1/embed", Operation::Embeddings, "cohere"),
        Route::certain("/v2/embed", Operation::Embeddings, "cohere"),
        Route::tentative("/v2/rerank", Operation::Rerank, "cohere"),
        // Shared by Cohere, Jina, Voyage, and others.
        Route::new("/v1/rerank", Operation::Rerank, None, Certainty::Tentative, None),
    ],
    wanted: &[
        ("id", Field::Id),
        ("response_id", Field::Id),
        ("meta.billed_units", Field::Detail("billed_units")),
        ("meta.tokens", Field::Detail("tokens")),
        ("type", Field::EventType),
        ("delta.usage", Field::Usage(UsageKind::Total)),
        // The end of a v1 stream.
        ("response.response_id", Field::Id),
        ("response.meta.billed_units", Field::Detail("billed_units")),
        ("response.meta.tokens", Field::Detail("tokens")),
    ],
    events: &[
        StreamEvent::new("message-start", EventEffect::AnnouncesEnd),
        StreamEvent::marked("message-end", EventEffect::Ends),
    ],
    marks: &["\"usage", "\"message"],
    text_members: &["text", "tool_plan"],
    matches: |reader| reader.has_object("billed_units") || reader.has_object("tokens"),
    read,
    ..Format::EMPTY
};

fn read(reader: &mut UsageReader<'_>) {
    if !reader.has_object("billed_units") {
        reader.set(Unit::InputTokens, &["tokens", "input_tokens"]);
        reader.set(Unit::OutputTokens, &["tokens", "output_tokens"]);
        return reader.set(Unit::CacheReadTokens, &["cached_tokens"]);
    }
    reader.set(Unit::RerankSearches, &["billed_units", "search_units"]);
    reader.set(Unit::InputTokens, &["billed_units", "input_tokens"]);
    reader.set(Unit::OutputTokens, &["billed_units", "output_tokens"]);
    // Not included in the tokens of text.
    let images = reader.count(&["billed_units", "image_tokens"]);
    reader.add(Unit::InputTokens, images);
    reader.add(Unit::InputImageTokens, images);
    // Cached tokens are a part of all tokens, which may be more than the billed ones.
    let read = reader.count(&["cached_tokens"]);
    let input = reader.normalized.usage.input_tokens();
    reader.add(Unit::CacheReadTokens, read.filter(|read| Some(*read) <= input));
}
