//! Perplexity's Sonar models, which count reasoning and citations in addition to the completion.
//!
//! <https://docs.perplexity.ai/getting-started/pricing>

use super::{
    format::Format,
    openai_chat::{ChatCounts, is_chat},
    route::Route,
    usage_reader::UsageReader,
};
use crate::usage::{Operation, Unit};

pub(super) const FORMAT: Format = Format {
    routes: &[Route::tentative("/v1/sonar", Operation::Chat, "perplexity")],
    matches: |reader| reader.provider == Some("perplexity") && is_chat(reader),
    read,
    ..Format::EMPTY
};

fn read(reader: &mut UsageReader<'_>) {
    ChatCounts::find(reader).normalize(reader, true);
    let citations = reader.count(&["citation_tokens"]);
    reader.add(Unit::OutputTokens, citations);
    reader.add(Unit::CitationTokens, citations);
}
