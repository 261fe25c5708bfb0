use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json,
    extract::{OriginalUri, Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Uri, header, request::Parts};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    analytics::{ExportFormat, Grant, export::ExportBody},
    registry::Permission,
};

use super::{
    api_error::ApiError,
    caller::Caller,
    export_file,
    export_form::ExportForm,
    export_job::{ExportShape, ExportState},
    json_body::JsonBody,
    links::Link,
    list::List,
    paging::Paging,
    parameter::{EXPORTS, LINK, NONE},
    parameters::Parameters,
    state::ApiState,
};

/// The time in which requests that have ended are stored. A file has only older ones, so that its content hardly changes.
const DELIVERY: Duration = Duration::from_secs(60);

/// An export that was created or changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportSaved {
    id: String,
    /// Always `null`: the number of rows is known when the export has run.
    total: Option<u64>,
    /// Always `export`.
    object: &'static str,
}

/// An export that was started or cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportMessage {
    message: &'static str,
    /// Always `export`.
    object: &'static str,
}

/// The link to the file of an export.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportLink {
    /// It is valid for ten minutes, without a key, as long as the key of the caller is.
    signed_url: String,
}

/// The fields that no export contains.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportRestrictions {
    export_settings: ExportSettings,
    /// Always `export-restrictions`.
    object: &'static str,
}

/// The settings of all exports.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportSettings {
    /// Fields, and tags as `metadata.KEY`.
    #[serde(rename = "deniedFields")]
    denied_fields: Vec<String>,
}

fn exporter(caller: &Caller) -> Result<Grant, ApiError> {
    caller.require(Permission::LogsExport, NONE)?;
    Ok(caller.grant.clone())
}

/// Answers `POST /logs/exports`.
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    JsonBody(form): JsonBody<ExportForm>,
) -> Result<Json<ExportSaved>, ApiError> {
    let grant = exporter(&caller)?;
    let definition = form.define(&api, &grant, None).await?;
    let id = api.shared.exports.create(grant, definition);
    caller.record(&api, "create export", id.to_string()).await?;
    Ok(Json(ExportSaved { id: id.to_string(), total: None, object: "export" }))
}

/// Answers `GET /logs/exports`.
pub(crate) async fn list(State(api): State<ApiState>, caller: Caller) -> Result<Json<List<ExportShape>>, ApiError> {
    let parameters = caller.require(Permission::LogsExport, EXPORTS)?;
    let grant = caller.grant;
    let paging = Paging::read(&parameters)?;
    let workspace = parameters.get("workspace_id").filter(|_| grant.filters().is_empty());
    let (total, jobs) = api.shared.exports.list(&grant, workspace, paging);
    Ok(Json(List::new(total, jobs)))
}

/// Answers `GET /logs/exports/{id}`.
pub(crate) async fn get(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ExportShape>, ApiError> {
    let grant = exporter(&caller)?;
    Ok(Json(api.shared.exports.get(&id, &grant)?.shape()))
}

/// Answers `PUT /logs/exports/{id}`.
pub(crate) async fn update(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(form): JsonBody<ExportForm>,
) -> Result<Json<ExportSaved>, ApiError> {
    let grant = exporter(&caller)?;
    let job = api.shared.exports.get(&id, &grant)?;
    let definition = form.define(&api, &job.grant, Some(&job.definition)).await?;
    let draft = [ExportState::Draft];
    let job = api.shared.exports.change(&job, &draft, ExportState::Draft, |job| {
        job.definition = Arc::new(definition);
    })?;
    caller.record(&api, "change export", job.id.to_string()).await?;
    Ok(Json(ExportSaved { id: job.id.to_string(), total: None, object: "export" }))
}

/// Answers `POST /logs/exports/{id}/start`.
pub(crate) async fn start(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ExportMessage>, ApiError> {
    let grant = exporter(&caller)?;
    let job = api.shared.exports.get(&id, &grant)?;
    let (job, permit) = api.shared.exports.start(&job, SystemTime::now() - DELIVERY)?;
    let started = caller.record(&api, "start export", job.id.to_string()).await;
    tokio::spawn(export_file::run(api, job, permit));
    started?;
    Ok(Json(ExportMessage { message: "Export started", object: "export" }))
}

/// Answers `POST /logs/exports/{id}/cancel`.
pub(crate) async fn cancel(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ExportMessage>, ApiError> {
    let grant = exporter(&caller)?;
    let job = api.shared.exports.get(&id, &grant)?;
    let from = [ExportState::Draft, ExportState::InProgress];
    api.shared.exports.change(&job, &from, ExportState::Stopped, |_| {})?;
    caller.record(&api, "cancel export", job.id.to_string()).await?;
    Ok(Json(ExportMessage { message: "Export cancelled", object: "export" }))
}

/// Answers `GET /logs/exports/{id}/download`.
pub(crate) async fn download(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    OriginalUri(uri): OriginalUri,
    head: Parts,
) -> Result<Json<ExportLink>, ApiError> {
    let grant = exporter(&caller)?;
    let job = api.shared.exports.get(&id, &grant)?;
    let link = Link::new(SystemTime::now(), api.access.recheck(&head));
    let (link, token) = link.ok_or_else(|| ApiError::server("the link could not be created"))?;
    api.shared.exports.add_link(&job, link)?;
    let base = match &api.shared.public_url {
        Some(url) => format!("{url}/logs/exports/{}", job.id),
        // Without an external address, the link has only a path.
        None => uri.path().trim_end_matches("/download").to_owned(),
    };
    Ok(Json(ExportLink { signed_url: format!("{base}/file?token={token}") }))
}

/// Answers `GET /logs/exports/{id}/file`, without a key. The key with which the link was created must still be valid.
///
/// The trailers are those of an [`ExportBody`].
pub(crate) async fn file(State(api): State<ApiState>, Path(id): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    let invalid = || ApiError::forbidden("the link is not valid, or has expired");
    let parameters = Parameters::parse(uri.query().unwrap_or_default(), LINK)?;
    let job = id.parse::<Uuid>().ok().and_then(|id| api.shared.exports.job(id)).ok_or_else(invalid)?;
    let link = parameters.get("token").and_then(|token| job.links.find(token, SystemTime::now()));
    let grant = link.ok_or_else(invalid)?.grant().transpose().map_err(|_| invalid())?;
    if grant.is_some_and(|grant| !grant.allows(Permission::LogsExport) || !job.is_visible_to(&grant)) {
        return Err(invalid());
    }
    let name = format!("attachment; filename=\"logs-{}.jsonl\"", job.id);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ExportFormat::Jsonl.media_type()));
    headers.extend(HeaderValue::from_str(&name).map(|name| (header::CONTENT_DISPOSITION, name)));
    headers.insert(header::TRAILER, HeaderValue::from_static(ExportBody::TRAILERS));
    Ok((headers, export_file::body(api, job)).into_response())
}

/// Answers `GET /logs/exports/restrictions`.
pub(crate) async fn restrictions(
    State(api): State<ApiState>,
    caller: Caller,
) -> Result<Json<ExportRestrictions>, ApiError> {
    exporter(&caller)?;
    let denied_fields = api.shared.restrictions.names().map(str::to_owned).collect();
    Ok(Json(ExportRestrictions { export_settings: ExportSettings { denied_fields }, object: "export-restrictions" }))
}
