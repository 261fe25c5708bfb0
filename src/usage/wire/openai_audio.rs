//! OpenAI's transcriptions and speech. Some models count tokens in the format of [responses](super::openai_responses), others
//! seconds.
//!
//! <https://platform.openai.com/docs/api-reference/audio>

use serde_json::Value;

use super::{format::Format, route::Route, usage_reader::UsageReader};
use crate::usage::{
    Operation, Unit,
    field::{EventEffect, Field, StreamEvent},
    values::whole_number,
};

pub(super) const FORMAT: Format = Format {
    routes: &[
        Route::certain("/audio/transcriptions", Operation::Transcription, "openai"),
        Route::certain("/audio/translations", Operation::Transcription, "openai"),
        Route::tentative("/audio/speech", Operation::Speech, "openai"),
    ],
    wanted: &[("duration", Field::Duration)],
    events: &[
        StreamEvent::new("transcript.text.done", EventEffect::Ends),
        StreamEvent::new("speech.audio.done", EventEffect::Ends),
    ],
    matches: |reader| reader.has("seconds") || transcribed_seconds(reader).is_some(),
    read,
    ..Format::EMPTY
};

/// Groq bills ten seconds or more.
const MIN_GROQ_SECONDS: u64 = 10;

fn read(reader: &mut UsageReader<'_>) {
    if reader.has("seconds") {
        return reader.set(Unit::AudioSeconds, &["seconds"]);
    }
    let min = if reader.provider == Some("groq") { MIN_GROQ_SECONDS } else { 0 };
    reader.add(Unit::AudioSeconds, transcribed_seconds(reader).map(|seconds| seconds.max(min)));
}

/// Returns the length of transcribed audio, rounded up. Some servers report it as a string.
fn transcribed_seconds(reader: &UsageReader<'_>) -> Option<u64> {
    let duration = reader.response.duration.as_ref().filter(|_| reader.operation == Some(&Operation::Transcription))?;
    let seconds = duration.as_f64().or_else(|| Value::as_str(duration)?.trim().parse().ok())?;
    whole_number(seconds.ceil())
}
