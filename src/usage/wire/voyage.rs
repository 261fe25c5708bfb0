//! Embeddings and reranking of Voyage and Jina, whose total is all input.
//!
//! <https://docs.voyageai.com/reference/embeddings-api>

use super::{format::Format, route::Route};
use crate::usage::{Operation, Unit};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::certain("/v1/contextualizedembeddings", Operation::Embeddings, "voyageai"),
        Route::certain("/v1/multimodalembeddings", Operation::Embeddings, "voyageai"),
    ],
    matches: |reader| {
        matches!(reader.operation, Some(Operation::Embeddings | Operation::Rerank)) && reader.has("total_tokens")
    },
    read: |reader| reader.set(Unit::InputTokens, &["total_tokens"]),
    ..Format::EMPTY
};
