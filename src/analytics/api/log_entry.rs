use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A request of another system, and its response.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(expecting = "a log with a request and a response")]
pub(crate) struct LogEntry {
    pub(crate) request: LogRequest,
    pub(crate) response: LogResponse,
    /// Tags. `traceId`, `spanId`, `spanName`, and `parentSpanId` name the trace instead.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub(crate) metadata: Map<String, Value>,
    /// The sender's own id of the log, of at most 256 bytes. A log with the id of a stored one of the workspace is ignored.
    pub(crate) id: Option<String>,
    /// The time of the request, as ISO 8601 with an offset: at most 400 days ago, unless the server allows more, and not in the
    /// future. The default is now, minus the time of the response.
    pub(crate) created_at: Option<String>,
}

/// A request of another system. Its body is read, and not stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(expecting = "a request with a url")]
pub(crate) struct LogRequest {
    /// The URL or the path.
    pub(crate) url: String,
    /// The provider, as an id of the price catalog such as `openai`.
    pub(crate) provider: Option<String>,
    /// The default is `POST`.
    pub(crate) method: Option<String>,
    /// Tags in `x-portkey-metadata` and trace ids are read.
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Value>,
    #[schema(value_type = Option<Value>)]
    pub(crate) body: Option<Value>,
}

/// A response of another system. Its body is read for usage and cost, and not stored.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(expecting = "a response")]
pub(crate) struct LogResponse {
    /// The default is 200.
    pub(crate) status: Option<u16>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, Value>,
    /// JSON, a text such as the events of a stream, or a list of the chunks of a stream.
    #[schema(value_type = Option<Value>)]
    pub(crate) body: Option<Value>,
    /// Milliseconds from the request to the end of the response. Without it, the log counts as a request of 0 ms, because
    /// each stored request has a time.
    #[serde(alias = "time")]
    pub(crate) response_time: Option<f64>,
}
