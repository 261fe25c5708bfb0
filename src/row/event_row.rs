use std::{collections::BTreeMap, time::SystemTime};

use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::{metadata::Metadata, usage::CostLine};

use super::{
    Column, ColumnKind,
    cell::Cell,
    value::{DecodeError, Value},
};

/// Declares [`EventRow`] and [`SCHEMA`] from one list: a field for each stored column, and the generated columns.
macro_rules! event_row {
    (
        stored { $($(#[doc = $doc:literal])+ $name:ident: $type:ty,)+ }
        dollars { $($(#[doc = $dollars_doc:literal])+ $dollars:ident,)+ }
    ) => {
        /// An event as a row: flat, owned, and with one field for each stored column of [`SCHEMA`].
        ///
        /// `EventRow::from(&event)` creates a row, and every store reads its rows back as equal values. So a row holds what
        /// all databases can hold: times have microseconds and lie between the years 1970 and 9999, numbers are at most
        /// those of the column, a cost is at most 1,000,000 US dollars, and NUL is replaced by `U+FFFD`.
        ///
        /// A row serializes as an object whose members are the stored columns.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub struct EventRow {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        /// The columns of the table `tagging_events`.
        ///
        /// The tables of every store, their writers and readers, and the list of columns in the documentation are derived
        /// from it.
        pub const SCHEMA: &[Column] = &[
            $(Column {
                name: stringify!($name),
                kind: <$type as Cell>::KIND,
                nullable: <$type as Cell>::NULLABLE,
                doc: concat!($($doc),+).trim_ascii(),
            },)+
            $(Column {
                name: stringify!($dollars),
                kind: ColumnKind::Dollars,
                nullable: true,
                doc: concat!($($dollars_doc),+).trim_ascii(),
            },)+
        ];

        /// The number of stored columns, which are the first ones of [`SCHEMA`].
        const STORED: usize = [$(stringify!($name)),+].len();

        impl EventRow {
            /// Returns a row that describes nothing yet.
            pub(crate) fn blank() -> Self {
                Self { $($name: Cell::blank(),)+ }
            }

            /// Returns the values of the stored columns, in the order of [`SCHEMA`].
            pub(crate) fn values(&self) -> [Value<'_>; STORED] {
                [$(self.$name.encode()),+]
            }

            /// Sets the column at a position of [`SCHEMA`].
            #[cfg_attr(not(any(feature = "postgres", feature = "sqlite")), allow(dead_code, reason = "only databases decode"))]
            pub(crate) fn set(&mut self, position: usize, value: Value<'_>) -> Result<(), DecodeError> {
                let mut at = 0;
                $(
                    if at == position {
                        let column = stringify!($name);
                        self.$name = Cell::decode(value).ok_or(DecodeError { column })?;
                        return Ok(());
                    }
                    at += 1;
                )+
                let _ = at;
                Ok(())
            }

            /// Reads a row from the values of the stored columns, in the order of [`SCHEMA`].
            #[cfg_attr(not(any(feature = "postgres", feature = "sqlite")), allow(dead_code, reason = "only databases decode"))]
            #[allow(single_use_lifetimes, reason = "`impl Trait` needs a named lifetime")]
            pub(crate) fn from_values<'a, E: From<DecodeError>>(
                mut values: impl Iterator<Item = Result<Value<'a>, E>>,
            ) -> Result<Self, E> {
                let mut next = |column| values.next().unwrap_or(Err(DecodeError { column }.into()));
                Ok(Self {
                    $($name: {
                        let column = stringify!($name);
                        Cell::decode(next(column)?).ok_or(DecodeError { column })?
                    },)+
                })
            }
        }
    };
}

event_row! {
    stored {
        /// The id of the event, a UUIDv7. A second delivery of the same event is ignored.
        id: Uuid,
        /// The time at which the request head was received.
        requested_at: SystemTime,
        /// The time at which the request ended.
        responded_at: SystemTime,
        /// Milliseconds from the request head to the end of the request.
        response_time_ms: u32,
        /// Milliseconds from the request head to the response head.
        time_to_head_ms: Option<u32>,
        /// Milliseconds from the request head to the first byte of the response body.
        time_to_first_byte_ms: Option<u32>,
        /// Milliseconds from the request head to the first content of an LLM stream.
        time_to_first_token_ms: Option<u32>,
        /// The method of the request.
        request_method: String,
        /// The path of the request, without the query.
        request_path: String,
        /// The route template that the request matched, such as `/users/{id}`.
        route: Option<String>,
        /// The host that the client requested.
        host: Option<String>,
        /// The HTTP version of the request, such as `HTTP/1.1`.
        http_version: String,
        /// Bytes of the request body that reached the service.
        request_bytes: Option<u64>,
        /// The status of the response. `NULL` if there was no response head.
        status_code: Option<u16>,
        /// The status code of a gRPC call; `0` is `OK`. `NULL` if the request is not one, or ended without a status.
        grpc_status: Option<u16>,
        /// Bytes of the response body.
        response_bytes: u64,
        /// The outcome of the request: `completed`, `cancelled`, `failed`, `panicked`, `upgraded`, or `rejected`.
        outcome: String,
        /// The reason why the service was not called, if the outcome is `rejected`.
        rejection: Option<String>,
        /// The name of the limit rule that rejected the request.
        limit_rule: Option<String>,
        /// The error that the handler recorded, or else the panic or the error that the service or a body returned.
        error_message: Option<String>,
        /// `true` if the request [counts as an error](crate::Event::is_error).
        is_error: bool,
        /// The name of the API key that the caller used, never the key itself.
        api_key: Option<String>,
        /// The slug of the workspace that the API key belongs to.
        workspace: Option<String>,
        /// The name of the provider credential that was used.
        virtual_key: Option<String>,
        /// The provider that served the LLM call, such as `openai`.
        provider: Option<String>,
        /// The operation of the LLM call, such as `chat`.
        operation: Option<String>,
        /// The model that answered, or else the model that the client requested.
        model: Option<String>,
        /// The model that the client requested.
        request_model: Option<String>,
        /// The model that answered.
        response_model: Option<String>,
        /// The provider's id of the response.
        response_id: Option<String>,
        /// The service tier that was used, or else the tier that the client requested.
        service_tier: Option<String>,
        /// The service tier that the response reported, whose rates apply.
        response_tier: Option<String>,
        /// The region of the inference, such as `us`, if the provider reported it.
        inference_geo: Option<String>,
        /// `true` if the response was a stream.
        stream: Option<bool>,
        /// The error that the provider reported inside the response.
        llm_error: Option<String>,
        /// The number of LLM calls that were rolled up to the request.
        llm_calls: Option<u64>,
        /// Milliseconds that the LLM calls of the request took in sum.
        llm_time_ms: Option<u32>,
        /// The origin of the usage: `reported`, `partial`, `absent`, `unparsed`, or `recorded`. `NULL` if the request
        /// was not an LLM call.
        usage_status: Option<String>,
        /// All input tokens, including cache reads and writes.
        input_tokens: Option<u64>,
        /// All output tokens, including reasoning.
        output_tokens: Option<u64>,
        /// Input tokens that were read from a prompt cache.
        cache_read_tokens: Option<u64>,
        /// Input tokens that were written to a prompt cache.
        cache_write_tokens: Option<u64>,
        /// Input tokens that were written to a prompt cache for one hour.
        cache_write_1h_tokens: Option<u64>,
        /// Output tokens that were reasoning.
        reasoning_tokens: Option<u64>,
        /// Input tokens that were audio.
        input_audio_tokens: Option<u64>,
        /// Output tokens that were audio.
        output_audio_tokens: Option<u64>,
        /// All other counts by unit, such as `{"web_searches": 2}`.
        other_usage: BTreeMap<String, u64>,
        /// Amounts that code recorded in addition to tokens, by name, such as `{"rows": 12.5}`.
        quantities: BTreeMap<String, f64>,
        /// The completeness of the cost: `priced`, `partial`, `unpriced_model`, `no_usage`, or `off`. `NULL` if the request
        /// was not an LLM call.
        cost_status: Option<String>,
        /// The way in which the cost follows from the usage: `call`, `recorded_call`, `several_calls`, `waived`, `reported`,
        /// or `recorded_cost`. `NULL` if the request was not an LLM call.
        cost_origin: Option<String>,
        /// The cost of the request, in nano-dollars (10⁻⁹ US dollars).
        total_cost_nanos: Option<u64>,
        /// The cost of the input, in nano-dollars.
        input_cost_nanos: Option<u64>,
        /// The cost of the output, in nano-dollars.
        output_cost_nanos: Option<u64>,
        /// The cost of each kind of usage, as a JSON array of objects with `unit`, `quantity`, and `cost_nanos`. The costs add
        /// up to the cost of the request.
        cost_lines: Option<Vec<CostLine>>,
        /// What reads from a prompt cache saved, minus what writes to it cost above the price of plain input, in
        /// nano-dollars.
        cache_savings_nanos: Option<i64>,
        /// The source of the price: a catalog and its version, `provider`, or `custom`.
        price_source: Option<String>,
        /// The W3C trace id: 32 hex digits.
        trace_id: String,
        /// The trace id exactly as the client sent it.
        client_trace_id: Option<String>,
        /// The id of the request's span: 16 hex digits.
        span_id: String,
        /// The id of the caller's span.
        parent_span_id: Option<String>,
        /// The inbound trace id that was not continued.
        linked_trace_id: Option<String>,
        /// The client's name for this step.
        span_name: Option<String>,
        /// The steps of an agent that led to this request, joined by `/`.
        span_path: Option<String>,
        /// `true` if the trace is sampled.
        sampled: bool,
        /// All tags, as a JSON object.
        raw_metadata: Metadata,
        /// The tags of [activated](crate::store#keys) keys. `NULL` if there are none.
        indexed_metadata: Option<Metadata>,
        /// The scope that set each tag, such as `{"tenant": "workspace"}`.
        metadata_sources: Metadata,
        /// Notes on what was truncated, coerced, dropped, or shadowed, as a JSON array of objects with `code`, `key`, and
        /// `detail`.
        diagnostics: serde_json::Value,
    }
    dollars {
        /// The cost of the request, in US dollars.
        total_cost,
        /// The cost of the input, in US dollars.
        input_cost,
        /// The cost of the output, in US dollars.
        output_cost,
    }
}

impl Serialize for EventRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(SCHEMA.iter().map(|column| column.name).zip(self.values()))
    }
}

impl EventRow {
    /// Returns `true` if the request was an LLM call whose cost is unknown.
    ///
    /// Sums of unpriced requests, exports, and the dashboard use this definition. A call is unpriced unless its `cost_status`
    /// is `priced`, or is `partial` with a `total_cost_nanos`. A call with a status of 400 or higher and without usage is not
    /// unpriced: the provider refused it, so it has no cost. Returns `false` if the request was not an LLM call.
    pub fn is_unpriced(&self) -> bool {
        let has_cost = match self.cost_status.as_deref() {
            Some("priced") => true,
            Some("partial") => self.total_cost_nanos.is_some(),
            _ => false,
        };
        let is_refused =
            self.usage_status.as_deref() == Some("absent") && self.status_code.is_some_and(|status| status >= 400);
        self.usage_status.is_some() && !has_cost && !is_refused
    }
}
