//! Groq, whose compound models run several models and report what each of them used.
//!
//! <https://console.groq.com/docs/compound>

use serde_json::Value;

use super::{
    format::Format,
    openai_chat::{self, is_chat},
    usage_reader::UsageReader,
};
use crate::usage::{
    field::{Field, UsageKind},
    iterations::Iterations,
};

pub(super) const FORMAT: Format = Format {
    wanted: &[
        ("usage_breakdown", Field::Count("usage_breakdown")),
        ("x_groq.usage", Field::Usage(UsageKind::FinalOf("groq"))),
        ("x_groq.usage_breakdown", Field::Count("usage_breakdown")),
        ("x_groq.id", Field::ServedBy("groq")),
        // Sent next to the usage when a stream is stopped early.
        ("x_groq.error", Field::Error),
    ],
    marks: &["\"usage", "\"error\""],
    matches: |reader| is_chat(reader) && !models(reader).is_empty(),
    read,
    ..Format::EMPTY
};

fn read(reader: &mut UsageReader<'_>) {
    openai_chat::read(reader);
    let iterations = Iterations::of_models(models(reader), &reader.normalized.usage, |report| {
        let mut model = reader.for_report(report);
        openai_chat::read(&mut model);
        model.normalized.usage
    });
    reader.normalized.inconsistencies.extend(iterations.problem.clone());
    reader.normalized.usage = iterations.sum_within(&reader.normalized.usage);
    reader.normalized.iterations = iterations;
}

fn models<'a>(reader: &UsageReader<'a>) -> &'a [Value] {
    let models = reader.report.get("usage_breakdown").and_then(|breakdown| breakdown.get("models"));
    models.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
