use std::fmt::Write;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{event::Event, metadata::DiagnosticCode, request::Tags};

const EVENT_ID: HeaderName = HeaderName::from_static("x-tagging-event-id");
const TAGS: HeaderName = HeaderName::from_static("x-tagging-tags");
const DROPPED: HeaderName = HeaderName::from_static("x-tagging-dropped");
const INPUT_TOKENS: HeaderName = HeaderName::from_static("x-tagging-input-tokens");
const OUTPUT_TOKENS: HeaderName = HeaderName::from_static("x-tagging-output-tokens");
const USAGE_STATUS: HeaderName = HeaderName::from_static("x-tagging-usage-status");
const COST: HeaderName = HeaderName::from_static("x-tagging-cost-usd");

/// Maximum number of dropped tags that are named.
const MAX_DROPPED: usize = 8;

/// Writes the headers that are known with the response head: the event id, the number of effective tags, and the dropped
/// tags.
pub(super) fn write_head(headers: &mut HeaderMap, tags: &Tags) {
    if let Some(id) = tags.event_id() {
        insert(headers, EVENT_ID, &id.to_string());
    }
    insert(headers, TAGS, &tags.metadata().len().to_string());
    let diagnostics = tags.diagnostics();
    let dropped = diagnostics.iter().filter(|note| drops(note.code())).take(MAX_DROPPED);
    let list = dropped.fold(String::new(), |mut list, note| {
        let comma = if list.is_empty() { "" } else { ", " };
        // Header values are visible ASCII, so other characters of a key are escaped. Writing to a string cannot fail.
        let _ = write!(list, "{comma}{}", note.code());
        if let Some(key) = note.key() {
            let _ = write!(list, ";{}", key.escape_default());
        }
        list
    });
    if !list.is_empty() {
        insert(headers, DROPPED, &list);
    }
}

/// Announces that [`trailers`] may follow.
pub(super) fn announce_trailers(headers: &mut HeaderMap) {
    for name in [INPUT_TOKENS, OUTPUT_TOKENS, USAGE_STATUS, COST] {
        headers.append(header::TRAILER, name.into());
    }
}

/// Returns the trailers that are known at the end of the body: tokens and cost.
pub(super) fn trailers(event: &Event) -> Option<HeaderMap> {
    let llm = event.llm()?;
    let mut trailers = HeaderMap::new();
    insert(&mut trailers, USAGE_STATUS, llm.usage_status().as_str());
    if let Some(tokens) = llm.usage().and_then(crate::usage::Usage::input_tokens) {
        insert(&mut trailers, INPUT_TOKENS, &tokens.to_string());
    }
    if let Some(tokens) = llm.usage().and_then(crate::usage::Usage::output_tokens) {
        insert(&mut trailers, OUTPUT_TOKENS, &tokens.to_string());
    }
    if let Some(cost) = llm.cost() {
        insert(&mut trailers, COST, &cost.to_string());
    }
    Some(trailers)
}

/// Returns `true` if a tag with this diagnostic is not effective.
fn drops(code: DiagnosticCode) -> bool {
    matches!(
        code,
        DiagnosticCode::ValueTooLong
            | DiagnosticCode::KeyTooLong
            | DiagnosticCode::TooLarge
            | DiagnosticCode::TooManyTags
            | DiagnosticCode::EmptyKey
            | DiagnosticCode::NullValue
            | DiagnosticCode::InvalidJson
            | DiagnosticCode::NotAnObject
            | DiagnosticCode::SensitiveHeader
            | DiagnosticCode::Shadowed
    )
}

fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
