use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use memchr::memmem;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    event::Event,
    metadata::Metadata,
    time::{LAST_MICRO, micros, micros_since_1970},
};

use super::keys::ActiveKeys;

/// What stands in a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Null,
    Id(Uuid),
    Time(Micros),
    Bool(bool),
    Int(i32),
    BigInt(i64),
    /// Nano-dollars.
    Money(u64),
    Text(Cow<'a, str>),
    Json(Cow<'a, str>),
}

/// Microseconds since 1970 in UTC, up to the end of the year 9999: what both databases, and those who read them, can hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Micros(u64);

impl Micros {
    /// The nearest that can be stored.
    pub(super) fn of(time: SystemTime) -> Self {
        Self(micros_since_1970(time))
    }

    #[cfg(feature = "postgres")]
    pub(super) fn get(self) -> i64 {
        // There are less than 2^58 of them.
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    pub(super) fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_micros(self.0)
    }

    fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)).min(LAST_MICRO))
    }
}

/// Text as it is stored: Postgres can hold no NUL.
pub(super) fn stored_text(text: &str) -> Cow<'_, str> {
    match memchr::memchr(0, text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.replace('\0', "\u{FFFD}")),
    }
}

/// JSON as it is stored. What can't be written as JSON, which none of our types is, becomes `null`.
fn stored_json(value: &impl Serialize) -> String {
    let mut text = Vec::with_capacity(128);
    let written = serde_json::to_writer(&mut text, value);
    let text = written.ok().and_then(|()| String::from_utf8(text).ok()).unwrap_or_else(|| "null".to_owned());
    if memmem::find(text.as_bytes(), br"\u0000").is_none() {
        return text;
    }
    // In the text itself: a parser may see more in a key than a key.
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        clean.push_str(before);
        if let Some(behind) = escape.strip_prefix("\\u0000") {
            clean.push('\u{FFFD}');
            rest = behind;
        } else {
            let (escaped, behind) = escape.split_at_checked(2).unwrap_or((escape, ""));
            clean.push_str(escaped);
            rest = behind;
        }
    }
    clean.push_str(rest);
    clean
}

/// The tags of activated keys as a JSON object; `None` when there are none.
pub(super) fn indexed_metadata(metadata: &Metadata, active: &ActiveKeys) -> Option<String> {
    if active.is_empty() {
        return None;
    }
    let mut indexed = Metadata::new();
    for (key, value) in metadata.iter().filter(|(key, _)| active.contains(&stored_text(key))) {
        indexed.insert(key, value);
    }
    (!indexed.is_empty()).then(|| stored_json(&indexed))
}

fn text(text: &str) -> Value<'_> {
    Value::Text(stored_text(text))
}

fn maybe_text(maybe: Option<&str>) -> Value<'_> {
    maybe.map_or(Value::Null, text)
}

fn json(value: &impl Serialize) -> Value<'static> {
    Value::Json(Cow::Owned(stored_json(value)))
}

/// The nearest whole number that a column holds.
fn count<'a>(maybe: Option<u64>) -> Value<'a> {
    maybe.map_or(Value::Null, |count| Value::BigInt(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// Whole milliseconds.
fn millis<'a>(maybe: Option<Duration>) -> Value<'a> {
    maybe.map_or(Value::Null, |time| Value::Int(i32::try_from(time.as_millis()).unwrap_or(i32::MAX)))
}

/// Makes [`COLUMNS`] and [`Row::values`] of one list.
macro_rules! columns {
    ($self:ident, $llm:ident: $($name:literal => $value:expr,)+) => {
        /// The columns of `llm_requests`, in their order.
        pub(super) const COLUMNS: &[&str] = &[$($name),+];

        impl<'a> Row<'a> {
            /// What stands in each of the [`COLUMNS`].
            pub(super) fn values(&$self) -> [Value<'a>; COLUMNS.len()] {
                let $llm = &$self.llm;
                [$($value),+]
            }
        }
    };
}

/// A row of `llm_requests`: how an event is stored, in whichever database.
pub(super) struct Row<'a> {
    event: &'a Event,
    llm: Llm<'a>,
    active: &'a ActiveKeys,
}

impl<'a> Row<'a> {
    /// `active` are the keys that are activated as long as the row is not stored.
    pub(super) fn new(event: &'a Event, active: &'a ActiveKeys) -> Self {
        Self { event, llm: Llm::of(event), active }
    }
}

columns! { self, llm:
    "id" => Value::Id(self.event.id()),
    "requested_at" => Value::Time(Micros::of(self.event.time())),
    "responded_at" => Value::Time(Micros::of(self.event.time()).plus(self.event.duration())),
    "response_time_ms" => millis(Some(self.event.duration())),
    "time_to_first_byte_ms" => millis(self.event.time_to_first_byte()),
    "time_to_first_token_ms" => millis(llm.first_token),
    "provider" => maybe_text(llm.provider),
    "model" => maybe_text(llm.response_model.or(llm.request_model)),
    "request_model" => maybe_text(llm.request_model),
    "operation" => maybe_text(llm.operation),
    "stream" => llm.stream.map_or(Value::Null, Value::Bool),
    "request_method" => text(self.event.method().as_str()),
    "request_path" => text(self.event.path()),
    "route" => maybe_text(self.event.route()),
    "host" => maybe_text(self.event.host()),
    "status_code" => self.event.status().map_or(Value::Null, |status| Value::Int(status.as_u16().into())),
    "outcome" => text(self.event.outcome().as_str()),
    "request_bytes" => count(self.event.request_body_bytes()),
    "response_bytes" => count(Some(self.event.response_body_bytes())),
    "input_tokens" => count(llm.input_tokens),
    "output_tokens" => count(llm.output_tokens),
    "cached_tokens" => count(llm.cached_tokens),
    "cache_creation_tokens" => count(llm.cache_creation_tokens),
    "cache_creation_1h_tokens" => count(llm.cache_creation_1h_tokens),
    "reasoning_tokens" => count(llm.reasoning_tokens),
    "input_cost" => llm.input_cost.map_or(Value::Null, Value::Money),
    "output_cost" => llm.output_cost.map_or(Value::Null, Value::Money),
    "total_cost" => llm.total_cost.map_or(Value::Null, Value::Money),
    "cost_status" => maybe_text(llm.cost_status),
    "usage_status" => maybe_text(llm.usage_status),
    "price_source" => maybe_text(llm.price_source),
    "trace_id" => text(self.event.trace().trace_id().as_str()),
    "client_trace_id" => maybe_text(self.event.trace().client_trace_id()),
    "span_id" => text(self.event.trace().span_id().as_str()),
    "parent_span_id" => maybe_text(self.event.trace().parent_span_id()),
    "span_name" => maybe_text(self.event.trace().span_name()),
    "span_path" => maybe_text(self.event.trace().span_path()),
    "raw_metadata" => json(self.event.metadata()),
    "indexed_metadata" => indexed_metadata(self.event.metadata(), self.active)
        .map_or(Value::Null, |text| Value::Json(Cow::Owned(text))),
    "metadata_sources" => json(&crate::event::Sources(self.event)),
    "diagnostics" => match self.event.diagnostics() {
        [] => Value::Json(Cow::Borrowed("[]")),
        notes => json(&notes),
    },
    "error_message" => maybe_text(self.event.error()),
}

/// What is known of an LLM call; nothing of any other request.
#[derive(Default)]
struct Llm<'a> {
    provider: Option<&'a str>,
    operation: Option<&'a str>,
    request_model: Option<&'a str>,
    response_model: Option<&'a str>,
    stream: Option<bool>,
    first_token: Option<Duration>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cached_tokens: Option<u64>,
    cache_creation_tokens: Option<u64>,
    cache_creation_1h_tokens: Option<u64>,
    reasoning_tokens: Option<u64>,
    input_cost: Option<u64>,
    output_cost: Option<u64>,
    total_cost: Option<u64>,
    cost_status: Option<&'a str>,
    usage_status: Option<&'a str>,
    price_source: Option<&'a str>,
}

impl<'a> Llm<'a> {
    #[cfg(not(feature = "llm"))]
    fn of(_: &'a Event) -> Self {
        Self::default()
    }

    #[cfg(feature = "llm")]
    fn of(event: &'a Event) -> Self {
        use crate::usage::{Money, Unit};

        let Some(llm) = event.llm() else { return Self::default() };
        let tokens = |unit| llm.usage().and_then(|usage| usage.get(unit));
        Self {
            provider: llm.provider(),
            operation: llm.operation().map(crate::usage::Operation::as_str),
            request_model: llm.request_model(),
            response_model: llm.response_model(),
            stream: Some(llm.is_stream()),
            first_token: llm.time_to_first_token(),
            input_tokens: tokens(Unit::InputTokens),
            output_tokens: tokens(Unit::OutputTokens),
            cached_tokens: tokens(Unit::CacheReadTokens),
            cache_creation_tokens: tokens(Unit::CacheWriteTokens),
            cache_creation_1h_tokens: tokens(Unit::CacheWrite1hTokens),
            reasoning_tokens: tokens(Unit::ReasoningTokens),
            input_cost: llm.input_cost().map(Money::nano_usd),
            output_cost: llm.output_cost().map(Money::nano_usd),
            total_cost: llm.cost().map(Money::nano_usd),
            cost_status: Some(llm.cost_status().as_str()),
            usage_status: Some(llm.usage_status().as_str()),
            price_source: llm.price_source(),
        }
    }
}
