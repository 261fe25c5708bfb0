use axum::{
    Json,
    extract::{Path, State},
};
use http::Uri;
use jiff::{SignedDuration, Timestamp};

use crate::{
    analytics::{TimeRange, TraceView},
    registry::Permission,
};

use super::{
    api_error::ApiError,
    caller::Caller,
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
    uri: Uri,
) -> Result<Json<TraceView>, ApiError> {
    caller.require(Permission::LogsView)?;
    check_text(&id)?;
    let (from, to) = times(&uri)?;
    let range = TimeRange::new(from.unwrap_or(Timestamp::UNIX_EPOCH), to.unwrap_or(Timestamp::MAX))?;
    let view = TraceView::of_trace(&api.analytics, id, range, &caller.grant).await?;
    found(view, "trace not found")
}

/// Answers `GET /sessions/{key}/{value}`: the requests with a tag.
pub(crate) async fn session(
    State(api): State<ApiState>,
    caller: Caller,
    Path((key, value)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<TraceView>, ApiError> {
    caller.require(Permission::LogsView)?;
    tag(&key)?;
    check_text(&value)?;
    let (from, to) = times(&uri)?;
    let to = to.unwrap_or_else(Timestamp::now);
    let from = from.or_else(|| to.checked_sub(SESSION_RANGE).ok()).unwrap_or(Timestamp::MIN);
    let view = TraceView::of_tag(&api.analytics, &key, value, TimeRange::new(from, to)?, &caller.grant).await?;
    found(view, "no requests have this tag in the range")
}

fn found(view: TraceView, message: &str) -> Result<Json<TraceView>, ApiError> {
    if view.turns.is_empty() { Err(ApiError::not_found(message)) } else { Ok(Json(view)) }
}

/// Reads the ends of the range, both of which are optional.
fn times(uri: &Uri) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
    const MIN: &str = "time_of_generation_min";
    const MAX: &str = "time_of_generation_max";
    let parameters = Parameters::parse(uri.query().unwrap_or_default(), &[&[MIN, MAX]])?;
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
    Ok((time(MIN)?, time(MAX)?))
}
