//! xAI's chat completions, which count reasoning in addition to the completion unless the total shows otherwise.
//!
//! <https://docs.x.ai/docs/api-reference>

use super::{
    format::Format,
    openai_chat::{ChatCounts, is_chat},
    route::Route,
    usage_reader::UsageReader,
};
use crate::usage::Operation;

pub(super) const FORMAT: Format = Format {
    routes: &[
        // A deferred completion, which can be fetched once.
        Route::tentative_get("/v1/chat/deferred-completion/*", Operation::Chat, "x-ai"),
    ],
    matches: |reader| reader.provider == Some("x-ai") && is_chat(reader),
    read,
    ..Format::EMPTY
};

fn read(reader: &mut UsageReader<'_>) {
    let counts = ChatCounts::find(reader);
    counts.normalize(reader, !counts.total_is_sum());
}
