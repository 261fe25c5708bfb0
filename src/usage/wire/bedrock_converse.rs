//! Amazon Bedrock's `Converse` and `ConverseStream`, which count cached tokens in addition to the input.
//!
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html>

use serde_json::Value;

use super::{format::Format, route::Route, usage_reader::UsageReader};
use crate::usage::{
    Operation, Unit,
    field::{Field, UsageKind},
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::streaming("/model/{**}/converse", Operation::Converse, "aws", false),
        Route::streaming("/model/{**}/converse-stream", Operation::Converse, "aws", true),
    ],
    wanted: &[
        ("usage", Field::Usage(UsageKind::Total)),
        ("trace.promptRouter.invokedModelId", Field::RoutedModel),
        ("serviceTier.type", Field::ServiceTier),
    ],
    marks: &["\"usage"],
    text_members: &["text", "input"],
    matches: |reader| reader.has_any(&["inputTokens", "outputTokens"]),
    read,
    ..Format::EMPTY
};

fn read(reader: &mut UsageReader<'_>) {
    let read = reader.first(&[&["cacheReadInputTokens"], &["cacheReadInputTokenCount"]]);
    let write = reader.first(&[&["cacheWriteInputTokens"], &["cacheWriteInputTokenCount"]]);
    reader.set(Unit::InputTokens, &["inputTokens"]);
    reader.set(Unit::OutputTokens, &["outputTokens"]);
    reader.add_cache_outside_input(read, write);
    for entry in reader.report.get("cacheDetails").and_then(Value::as_array).into_iter().flatten() {
        let unit = match entry.get("ttl").and_then(Value::as_str) {
            Some("5m") => Unit::CacheWrite5mTokens,
            Some("1h") => Unit::CacheWrite1hTokens,
            _ => continue,
        };
        let count = entry.get("inputTokens").and_then(|count| reader.number(count, || "cacheDetails".to_owned()));
        if reader.normalized.usage.get(unit).is_none() {
            reader.add(unit, count);
        }
    }
}
