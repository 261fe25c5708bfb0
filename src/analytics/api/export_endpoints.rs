use std::time::{Duration, SystemTime};

use axum::{
    Json,
    extract::{OriginalUri, Path, State},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, Uri, header};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{analytics::Grant, registry::Permission};

use super::{
    api_error::ApiError,
    caller::Caller,
    export_file,
    export_form::ExportForm,
    export_job::{ExportShape, ExportState},
    json_body::JsonBody,
    list::List,
    paging::{PAGING, Paging},
    parameters::Parameters,
    state::ApiState,
};

/// How long a link to a file is valid.
const LINK_LIFE: Duration = Duration::from_secs(600);

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
    /// It is valid for ten minutes, without a key.
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
    caller.require(Permission::LogsExport)?;
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
    Ok(Json(ExportSaved { id: job.id.to_string(), total: job.total_records, object: "export" }))
}

/// Answers `GET /logs/exports`.
pub(crate) async fn list(
    State(api): State<ApiState>,
    caller: Caller,
    uri: Uri,
) -> Result<Json<List<ExportShape>>, ApiError> {
    let grant = exporter(caller)?;
    let parameters = Parameters::parse(uri.query().unwrap_or_default(), &[PAGING, &["workspace_id"]])?;
    let paging = Paging::read(&parameters)?;
    let mut jobs = api.shared.exports.list(&grant);
    if let Some(slug) = parameters.get("workspace_id").filter(|_| grant.filters().is_empty()) {
        jobs.retain(|job| job.definition.workspace.as_deref() == Some(slug));
    }
    let total = jobs.len() as u64;
    Ok(Json(List::new(total, paging.of(jobs.iter().map(super::export_job::ExportJob::shape)))))
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
    let job = api.shared.exports.change(job.id, &draft, ExportState::Draft, |job| job.definition = definition)?;
    Ok(Json(ExportSaved { id: job.id.to_string(), total: job.total_records, object: "export" }))
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
    let job = exports.change(id, &from, ExportState::InProgress, |job| job.total_records = None)?;
    tokio::spawn(export_file::run(api.analytics, exports, job));
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
) -> Result<Json<ExportLink>, ApiError> {
    let grant = exporter(caller)?;
    let job = api.shared.exports.get(&id, &grant)?;
    if job.state != ExportState::Success {
        return Err(ApiError::conflict(format!("the export is {:?}: expected Success", job.state)));
    }
    let until = seconds(SystemTime::now() + LINK_LIFE);
    let signature = api.shared.signer.sign(job.id, until);
    let signature = signature.ok_or_else(|| ApiError::server("the link could not be signed"))?;
    let base = match &api.shared.public_url {
        Some(url) => format!("{url}/logs/exports/{}", job.id),
        // Without an external address, the link has only a path.
        None => uri.path().trim_end_matches("/download").to_owned(),
    };
    Ok(Json(ExportLink { signed_url: format!("{base}/file?expires={until}&token={signature}") }))
}

/// Answers `GET /logs/exports/{id}/file`, without a key.
pub(crate) async fn file(State(api): State<ApiState>, Path(id): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    let parameters = Parameters::parse(uri.query().unwrap_or_default(), &[&["expires", "token"]])?;
    let until = parameters.count("expires")?.unwrap_or(0);
    let token = parameters.get("token").unwrap_or_default();
    let id = id.parse::<Uuid>().ok().filter(|id| api.shared.signer.verifies(*id, until, token));
    let id = id.filter(|_| seconds(SystemTime::now()) < until);
    let id = id.ok_or_else(|| ApiError::forbidden("the link is not valid, or has expired"))?;
    let job = api.shared.exports.job(id).filter(|job| job.state == ExportState::Success);
    let job = job.ok_or_else(|| ApiError::not_found("export not found"))?;
    let name = format!("attachment; filename=\"logs-{id}.jsonl\"");
    let mut response = export_file::body(&api, job).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    if let Ok(name) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Answers `GET /logs/exports/restrictions`.
pub(crate) async fn restrictions(
    State(api): State<ApiState>,
    caller: Caller,
) -> Result<Json<ExportRestrictions>, ApiError> {
    exporter(caller)?;
    let denied_fields = api.shared.denied_fields.iter().cloned().collect();
    Ok(Json(ExportRestrictions { export_settings: ExportSettings { denied_fields }, object: "export-restrictions" }))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}
