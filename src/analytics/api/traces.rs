use axum::{
    Json,
    extract::{Path, State},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    analytics::{TimeRange, TraceView},
    registry::Permission,
};

use super::{
    api_error::ApiError,
    caller::Caller,
    parameter::{FROM, RANGE, TO},
    parameters::{Parameters, check_text},
    selection::{tag, with_plus},
    state::ApiState,
};

/// The default length of the range in which the requests of a session are searched.
const SESSION_RANGE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Answers `GET /traces/{id}`. The default range covers all times.
pub(crate) async fn trace(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<TraceView>, ApiError> {
    let (from, to) = times(&caller.require(Permission::LogsView, RANGE)?)?;
    check_text(&id)?;
    let range = TimeRange::new(from.unwrap_or(Timestamp::UNIX_EPOCH), to.unwrap_or(Timestamp::MAX))?;
    let view = TraceView::of_trace(&api.analytics, id, range, &caller.grant).await?;
    found(view, "trace not found")
}

/// Answers `GET /sessions/{key}/{value}`: the requests with a tag.
pub(crate) async fn session(
    State(api): State<ApiState>,
    caller: Caller,
    Path((key, value)): Path<(String, String)>,
) -> Result<Json<TraceView>, ApiError> {
    let (from, to) = times(&caller.require(Permission::LogsView, RANGE)?)?;
    tag(&key)?;
    check_text(&value)?;
    let to = to.unwrap_or_else(Timestamp::now);
    let from = from.or_else(|| to.checked_sub(SESSION_RANGE).ok()).unwrap_or(Timestamp::MIN);
    let view = TraceView::of_tag(&api.analytics, &key, value, TimeRange::new(from, to)?, &caller.grant).await?;
    found(view, "no requests have this tag in the range")
}

/// Returns a view. One that is cut may lack turns that exist, so it is an answer even if it is empty.
fn found(view: TraceView, message: &str) -> Result<Json<TraceView>, ApiError> {
    if view.turns.is_empty() && !view.is_cut { Err(ApiError::not_found(message)) } else { Ok(Json(view)) }
}

/// Reads the ends of the range, both of which are optional.
fn times(parameters: &Parameters) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
    let time = |name: &str| {
        let read = |text: &str| {
            with_plus(text).parse::<Timestamp>().map_err(|_| {
                ApiError::invalid(format!(
                    "invalid {name} {text:?}: expected ISO 8601 with an offset, such as 2026-06-01T00:00:00Z"
                ))
            })
        };
        parameters.get(name).map(read).transpose()
    };
    Ok((time(FROM)?, time(TO)?))
}
