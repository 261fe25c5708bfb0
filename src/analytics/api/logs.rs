use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, State},
};
use http::request::Parts;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{event::Event, registry::Permission, row::EventRow, tagging::Identity};

use super::{
    api_error::ApiError, caller::Caller, json_body::JsonBody, log_cost::LogCost, log_entry::LogEntry,
    log_shape::LogDetails, one_or_many, parameter::NONE, replay, state::ApiState,
};

/// The largest number of logs of a request.
const MAX_LOGS: usize = 1_000;

/// The logs that were stored.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogsCreated {
    /// Always `success`.
    status: &'static str,
    #[serde(rename = "logIds")]
    log_ids: Vec<String>,
}

/// Answers `POST /logs`: all logs are stored, or none.
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    head: Parts,
    JsonBody(body): JsonBody<Value>,
) -> Result<Json<LogsCreated>, ApiError> {
    // Before the bodies of the logs are read.
    caller.require(Permission::LogsWrite, NONE)?;
    let mut events = Vec::new();
    for entry in one_or_many::read::<LogEntry>(body, "logs", MAX_LOGS)? {
        events.push(event(&api, &caller, &head, entry).await?);
    }
    let log_ids = events.iter().map(|event| event.id().to_string()).collect();
    api.analytics.write(events, &caller.grant).await?;
    Ok(Json(LogsCreated { status: "success", log_ids }))
}

/// Returns the event of a log, which belongs to the caller.
async fn event(api: &ApiState, caller: &Caller, head: &Parts, entry: LogEntry) -> Result<Arc<Event>, ApiError> {
    let mut identity: Identity = api.access.identify(head);
    if identity.workspace.is_none() {
        identity.workspace = caller.grant.workspace().map(Into::into);
    }
    #[cfg(feature = "llm")]
    let event = replay::event_of(entry, identity, api.shared.usage.clone()).await?;
    #[cfg(not(feature = "llm"))]
    let event = replay::event_of(entry, identity).await?;
    Ok(event)
}

/// Answers `GET /logs/{id}`.
pub(crate) async fn read(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<LogDetails>, ApiError> {
    Ok(Json(LogDetails::of(&row(&api, &caller, &id).await?)))
}

/// Answers `GET /logs/{id}/cost`.
pub(crate) async fn cost(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<LogCost>, ApiError> {
    Ok(Json(LogCost::of(&row(&api, &caller, &id).await?)))
}

/// Returns a request that the caller may see.
async fn row(api: &ApiState, caller: &Caller, id: &str) -> Result<EventRow, ApiError> {
    caller.require(Permission::LogsView, NONE)?;
    let row = match id.parse::<Uuid>() {
        Ok(id) => api.analytics.row(id, &caller.grant).await?,
        Err(_) => None,
    };
    row.ok_or_else(|| ApiError::not_found("log not found"))
}
