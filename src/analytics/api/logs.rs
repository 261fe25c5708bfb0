use std::{collections::HashSet, sync::Arc};

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
    api_error::ApiError, caller::Caller, json_body::JsonBody, log_cost::LogCost, log_entry::LogEntry, log_id,
    log_id::LogIds, log_shape::LogDetails, one_or_many, parameter::NONE, replay, state::ApiState,
};

/// The largest number of logs of a request.
const MAX_LOGS: usize = 1_000;

/// The logs that are stored now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LogsCreated {
    /// Always `success`.
    status: &'static str,
    /// The ids of the logs, in the order of the request. A log that was stored before has the same id as then.
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
    let mut log_ids = Vec::new();
    let mut events: Vec<Arc<Event>> = Vec::new();
    let mut known = HashSet::new();
    let mut writing = None;
    for (at, entry) in one_or_many::read::<LogEntry>(body, "logs", MAX_LOGS)?.into_iter().enumerate() {
        let mut identity: Identity = api.access.identify(&head);
        if identity.workspace.is_none() {
            identity.workspace = caller.grant.workspace().map(Into::into);
        }
        let id = log_id::event_id((at, &entry), &head.headers, &identity, &caller.grant)?;
        let event = event(&api, entry, LogIds(id), identity).await?;
        log_ids.push(event.id().to_string());
        if !known.insert(event.id()) {
            continue;
        }
        if id.is_some() {
            // A store with monthly partitions stores an event again if its time is another. The lock is for logs that are sent
            // again while they are stored.
            writing = Some(match writing {
                Some(writing) => writing,
                None => api.shared.writing.lock().await,
            });
            if is_stored(&api, &caller, &event).await? {
                continue;
            }
        }
        events.push(event);
    }
    api.analytics.write(events, &caller.grant).await?;
    drop(writing);
    Ok(Json(LogsCreated { status: "success", log_ids }))
}

/// Returns the event of a log of a caller.
async fn event(api: &ApiState, entry: LogEntry, id: LogIds, identity: Identity) -> Result<Arc<Event>, ApiError> {
    let max_age = api.shared.max_log_age;
    #[cfg(feature = "llm")]
    let event = replay::event_of(entry, id, identity, max_age, api.shared.usage.clone()).await?;
    #[cfg(not(feature = "llm"))]
    let event = replay::event_of(entry, id, identity, max_age).await?;
    Ok(event)
}

async fn is_stored(api: &ApiState, caller: &Caller, event: &Event) -> Result<bool, ApiError> {
    let row = api.analytics.row_with(Permission::LogsWrite, event.id(), &caller.grant).await?;
    Ok(row.is_some())
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
