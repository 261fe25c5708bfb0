use std::{sync::Arc, time::SystemTime};

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
    analytics::{
        ExportFormat, Grant,
        export::{COUNT, DIGEST},
    },
    registry::Permission,
};

use super::{
    api_error::ApiError,
    caller::Caller,
    export_file,
    export_form::ExportForm,
    export_job::{ExportShape, ExportState},
    json_body::JsonBody,
    list::List,
    paging::Paging,
    parameter::{EXPORTS, LINK, NONE},
    parameters::Parameters,
    state::ApiState,
};

/// An export that was created or changed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExportSaved {
    id: String,
    /// The number of rows, once it is known.
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

fn exporter(caller: Caller) -> Result<Grant, ApiError> {
    caller.require(Permission::LogsExport, NONE)?;
    Ok(caller.grant)
}

/// Answers `POST /logs/exports`.
pub(crate) async fn create(
    State(api): State<ApiState>,
    caller: Caller,
    JsonBody(form): JsonBody<ExportForm>,
) -> Result<Json<ExportSaved>, ApiError> {
    let grant = exporter(caller)?;
    let definition = form.define(&api, &grant, None).await?;
    let job = api.shared.exports.create(grant, definition)?;
    Ok(Json(ExportSaved { id: job.id.to_string(), total: job.content.map(|content| content.rows), object: "export" }))
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
    let grant = exporter(caller)?;
    Ok(Json(api.shared.exports.get(&id, &grant)?.shape()))
}

/// Answers `PUT /logs/exports/{id}`.
pub(crate) async fn update(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
    JsonBody(form): JsonBody<ExportForm>,
) -> Result<Json<ExportSaved>, ApiError> {
    let grant = exporter(caller)?;
    let job = api.shared.exports.get(&id, &grant)?;
    let definition = form.define(&api, &job.grant, Some(&job.definition)).await?;
    let draft = [ExportState::Draft];
    let job = api.shared.exports.change(job.id, &draft, ExportState::Draft, |job| {
        job.definition = Arc::new(definition);
    })?;
    Ok(Json(ExportSaved { id: job.id.to_string(), total: job.content.map(|content| content.rows), object: "export" }))
}

/// Answers `POST /logs/exports/{id}/start`.
pub(crate) async fn start(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ExportMessage>, ApiError> {
    let grant = exporter(caller)?;
    let exports = api.shared.exports.clone();
    let id = exports.get(&id, &grant)?.id;
    let from = [ExportState::Draft, ExportState::Failed, ExportState::Stopped];
    let job = exports.change(id, &from, ExportState::InProgress, |job| {
        job.as_of = Some(SystemTime::now());
        job.content = None;
    })?;
    tokio::spawn(export_file::run(api, job));
    Ok(Json(ExportMessage { message: "Export started", object: "export" }))
}

/// Answers `POST /logs/exports/{id}/cancel`.
pub(crate) async fn cancel(
    State(api): State<ApiState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<ExportMessage>, ApiError> {
    let grant = exporter(caller)?;
    let id = api.shared.exports.get(&id, &grant)?.id;
    let from = [ExportState::Draft, ExportState::InProgress];
    api.shared.exports.change(id, &from, ExportState::Stopped, |_| {})?;
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
    let grant = exporter(caller)?;
    let job = api.shared.exports.get(&id, &grant)?;
    if job.state != ExportState::Success {
        return Err(ApiError::conflict(format!("the export is {:?}: expected Success", job.state)));
    }
    let token = api.shared.links.create(job.id, api.access.credentials(&head), SystemTime::now());
    let token = token.ok_or_else(|| ApiError::server("the link could not be created"))?;
    let base = match &api.shared.public_url {
        Some(url) => format!("{url}/logs/exports/{}", job.id),
        // Without an external address, the link has only a path.
        None => uri.path().trim_end_matches("/download").to_owned(),
    };
    Ok(Json(ExportLink { signed_url: format!("{base}/file?token={token}") }))
}

/// Answers `GET /logs/exports/{id}/file`, without a key. The key with which the link was created must still be valid.
pub(crate) async fn file(State(api): State<ApiState>, Path(id): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    let invalid = || ApiError::forbidden("the link is not valid, or has expired");
    let parameters = Parameters::parse(uri.query().unwrap_or_default(), LINK)?;
    let link = parameters.get("token").and_then(|token| api.shared.links.get(token, SystemTime::now()));
    let link = link.filter(|link| id.parse::<Uuid>() == Ok(link.job)).ok_or_else(invalid)?;
    let grant = link.credentials.map(|head| api.access.grant(&head)).transpose().map_err(|_| invalid())?;
    let job = api.shared.exports.job(link.job).filter(|job| job.state == ExportState::Success);
    let job = job.ok_or_else(|| ApiError::not_found("export not found"))?;
    if grant.is_some_and(|grant| !grant.allows(Permission::LogsExport) || !job.is_visible_to(&grant)) {
        return Err(invalid());
    }
    let name = format!("attachment; filename=\"logs-{}.jsonl\"", job.id);
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ExportFormat::Jsonl.media_type()));
    headers.extend(HeaderValue::from_str(&name).map(|name| (header::CONTENT_DISPOSITION, name)));
    if let Some(content) = &job.content {
        headers.insert(COUNT, content.rows.into());
        headers.extend(HeaderValue::from_str(&format!("sha256={}", content.sha256)).map(|digest| (DIGEST, digest)));
    }
    Ok((headers, export_file::body(api, job)).into_response())
}

/// Answers `GET /logs/exports/restrictions`.
pub(crate) async fn restrictions(
    State(api): State<ApiState>,
    caller: Caller,
) -> Result<Json<ExportRestrictions>, ApiError> {
    exporter(caller)?;
    let denied_fields = api.shared.restrictions.names().map(str::to_owned).collect();
    Ok(Json(ExportRestrictions { export_settings: ExportSettings { denied_fields }, object: "export-restrictions" }))
}
