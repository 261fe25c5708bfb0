//! Embeddings in OpenAI's format. The counts have the format of [chat completions](super::openai_chat).
//!
//! <https://platform.openai.com/docs/api-reference/embeddings>

use super::{format::Format, route::Route};
use crate::usage::Operation;

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::certain("/v1/embeddings", Operation::Embeddings, "openai"),
        Route::certain("/openai/embeddings", Operation::Embeddings, "openai"),
        Route::certain("/openai/**/embeddings", Operation::Embeddings, "openai"),
        Route::tentative("/embeddings", Operation::Embeddings, "openai"),
    ],
    ..Format::EMPTY
};
