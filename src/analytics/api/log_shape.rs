use std::{collections::BTreeMap, time::SystemTime};

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::row::EventRow;

use super::{cents::cents, selection::CACHE_STATE};

/// A request and its response. Bodies and headers are not stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogDetails {
    id: String,
    created_at: String,
    request: LoggedRequest,
    response: LoggedResponse,
    metrics: LogMetrics,
    /// The tags.
    metadata: BTreeMap<String, String>,
    /// Always `log`.
    object: &'static str,
}

/// The stored parts of a request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoggedRequest {
    method: String,
    /// The host, if it is known, and the path.
    url: String,
    /// Always `null`: bodies are not stored.
    #[schema(value_type = Option<Object>)]
    body: Option<()>,
}

/// The stored parts of a response.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LoggedResponse {
    /// `null` if there was no response.
    status: Option<u16>,
    /// Milliseconds.
    response_time: u32,
    /// Always `null`: bodies are not stored.
    #[schema(value_type = Option<Object>)]
    body: Option<()>,
}

/// The values of a request. Unknown ones are `null`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogMetrics {
    id: String,
    created_at: String,
    /// The id of the client, or else the W3C trace id.
    trace_id: String,
    w3c_trace_id: String,
    span_id: String,
    parent_span_id: Option<String>,
    span_name: Option<String>,
    ai_org: Option<String>,
    ai_model: Option<String>,
    req_units: Option<u64>,
    res_units: Option<u64>,
    total_units: Option<u64>,
    /// Cents.
    cost: Option<f64>,
    cost_currency: &'static str,
    cost_status: Option<String>,
    response_status_code: Option<u16>,
    is_success: bool,
    /// `completed`, `cancelled`, `failed`, `panicked`, `upgraded`, or `rejected`.
    outcome: String,
    error: Option<String>,
    /// Milliseconds.
    response_time: u32,
    /// Milliseconds.
    time_to_first_token: Option<u32>,
    /// Always `disabled`: there is no response cache.
    cache_status: &'static str,
    stream: Option<bool>,
    /// The name of the key.
    api_key_id: Option<String>,
    virtual_key: Option<String>,
    workspace_slug: Option<String>,
    /// The keys of the tags.
    #[serde(rename = "metadata.key")]
    metadata_key: Vec<String>,
    /// The values of the tags, in the same order.
    #[serde(rename = "metadata.value")]
    metadata_value: Vec<String>,
}

/// Returns a stored time as RFC 3339.
pub(crate) fn time_text(time: SystemTime) -> String {
    Timestamp::try_from(time).unwrap_or_default().to_string()
}

/// Returns the id of the client, or else the W3C trace id.
pub(super) fn shown_trace_id(row: &EventRow) -> &str {
    row.client_trace_id.as_deref().unwrap_or(&row.trace_id)
}

/// Returns the sum of input and output tokens. `None` if both are unknown.
pub(super) fn total_units(row: &EventRow) -> Option<u64> {
    crate::row::Number::TotalTokens.value(row)
}

/// Returns the host, if it is known, and the path.
pub(super) fn url(row: &EventRow) -> String {
    format!("{}{}", row.host.as_deref().unwrap_or_default(), row.request_path)
}

impl LogDetails {
    pub(crate) fn of(row: &EventRow) -> Self {
        let metadata = row.raw_metadata.iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        Self {
            id: row.id.to_string(),
            created_at: time_text(row.requested_at),
            request: LoggedRequest { method: row.request_method.clone(), url: url(row), body: None },
            response: LoggedResponse { status: row.status_code, response_time: row.response_time_ms, body: None },
            metrics: LogMetrics::of(row),
            metadata: metadata.collect(),
            object: "log",
        }
    }
}

impl LogMetrics {
    fn of(row: &EventRow) -> Self {
        Self {
            id: row.id.to_string(),
            created_at: time_text(row.requested_at),
            trace_id: shown_trace_id(row).to_owned(),
            w3c_trace_id: row.trace_id.clone(),
            span_id: row.span_id.clone(),
            parent_span_id: row.parent_span_id.clone(),
            span_name: row.span_name.clone(),
            ai_org: row.provider.clone(),
            ai_model: row.model.clone(),
            req_units: row.input_tokens,
            res_units: row.output_tokens,
            total_units: total_units(row),
            cost: row.total_cost_nanos.map(cents),
            cost_currency: "USD",
            cost_status: row.cost_status.clone(),
            response_status_code: row.status_code,
            is_success: !row.is_error,
            outcome: row.outcome.clone(),
            error: row.error_message.clone().or_else(|| row.llm_error.clone()),
            response_time: row.response_time_ms,
            time_to_first_token: row.time_to_first_token_ms,
            cache_status: CACHE_STATE,
            stream: row.stream,
            api_key_id: row.api_key.clone(),
            virtual_key: row.virtual_key.clone(),
            workspace_slug: row.workspace.clone(),
            metadata_key: row.raw_metadata.iter().map(|(key, _)| key.to_owned()).collect(),
            metadata_value: row.raw_metadata.iter().map(|(_, value)| value.to_owned()).collect(),
        }
    }
}
