//! Vertex AI's predictions: embeddings, which count the tokens of each text, and the native APIs of other vendors' models.
//!
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api>

use super::{format::Format, route::Route};
use crate::usage::{
    Operation, Unit,
    field::{Field, ToolField},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        // Models of other kinds, which count no tokens, have the same path.
        Route::tentative("/{*}:predict", Operation::Embeddings, "google"),
        Route::streaming("/{*}:rawPredict", Operation::Chat, "google", false),
        Route::streaming("/{*}:streamRawPredict", Operation::Chat, "google", true),
        Route::excluded("/count-tokens:rawPredict"),
    ],
    wanted: &[("predictions[].embeddings.statistics.token_count", Field::Tool(ToolField::EmbeddedTokens))],
    matches: |reader| reader.response.tools.embedded_tokens > 0,
    read: |reader| reader.add_nonzero(Unit::InputTokens, reader.response.tools.embedded_tokens),
    ..Format::EMPTY
};
