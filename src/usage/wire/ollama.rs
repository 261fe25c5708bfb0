//! Ollama's own API. Its streams are lines of JSON.
//!
//! <https://docs.ollama.com/api>

use super::{format::Format, route::Route};
use crate::usage::{Operation, Unit, field::Field};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::tentative("/api/chat", Operation::Chat, "ollama"),
        Route::tentative("/api/generate", Operation::Generate, "ollama"),
        Route::tentative("/api/embed", Operation::Embeddings, "ollama"),
        Route::certain("^/api/embeddings", Operation::Embeddings, "ollama"),
    ],
    wanted: &[
        ("model", Field::Model),
        ("done", Field::Done),
        ("prompt_eval_count", Field::Count("prompt_eval_count")),
        ("eval_count", Field::Count("eval_count")),
        ("error", Field::Error),
    ],
    marks: &["ount\"", "\"error\""],
    text_members: &["content", "thinking", "response"],
    object_members: &["arguments"],
    matches: |reader| reader.has_any(&["prompt_eval_count", "eval_count"]),
    read: |reader| {
        reader.set(Unit::InputTokens, &["prompt_eval_count"]);
        reader.set(Unit::OutputTokens, &["eval_count"]);
    },
    ..Format::EMPTY
};
