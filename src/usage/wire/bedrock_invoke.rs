//! Amazon Bedrock's `InvokeModel`, which passes the format of the model through and adds its own counts.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html>

use super::{format::Format, route::Route, usage_reader::UsageReader};
use crate::usage::{Operation, Unit, field::Field};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::streaming("/model/{**}/invoke", Operation::InvokeModel, "aws", false),
        Route::streaming("/model/{**}/invoke-with-response-stream", Operation::InvokeModel, "aws", true),
    ],
    wanted: &[
        ("amazon-bedrock-invocationMetrics", Field::InvocationMetrics),
        // Llama.
        ("prompt_token_count", Field::Count("prompt_token_count")),
        ("generation_token_count", Field::Count("generation_token_count")),
        // Titan.
        ("inputTextTokenCount", Field::Count("inputTextTokenCount")),
        ("results[].tokenCount", Field::Count("tokenCount")),
    ],
    marks: &["ount\""],
    matches: |reader| {
        reader.has_any(&["prompt_token_count", "generation_token_count", "inputTextTokenCount", "tokenCount"])
    },
    read: |reader| {
        reader.set_first(Unit::InputTokens, &[&["prompt_token_count"], &["inputTextTokenCount"]]);
        reader.set_first(Unit::OutputTokens, &[&["generation_token_count"], &["tokenCount"]]);
    },
    ..Format::EMPTY
};

/// Reads Bedrock's own counts, from the response headers or from the end of a stream.
pub(super) fn read_metrics(reader: &mut UsageReader<'_>) {
    let (read, write) = (reader.count(&["cacheReadInputTokenCount"]), reader.count(&["cacheWriteInputTokenCount"]));
    reader.set(Unit::InputTokens, &["inputTokenCount"]);
    reader.set(Unit::OutputTokens, &["outputTokenCount"]);
    reader.add_cache_outside_input(read, write);
}
