use axum::{body::Body, extract::State, response::Response};
use http::request::Parts;
use http_body_util::BodyExt;

use crate::{
    analytics::{Compression, Export, ExportFormat, RowQuery},
    registry::Permission,
};

use super::{
    api_error::ApiError, parameter::ROW_EXPORT, parameters::Parameters, restrictions::Restrictions, selection::tag,
    state::ApiState, view::View,
};

/// Answers `GET /export`: the selected requests as a file, which is read while it is sent.
pub(crate) async fn export(State(api): State<ApiState>, mut head: Parts) -> Result<Response, ApiError> {
    let view = View::read(&mut head, &api, Permission::LogsExport, ROW_EXPORT).await?;
    let export = define(&view.parameters, view.row_query(), &api.shared.restrictions)?;
    let stream = export.start(&api.analytics, &view.grant).await?;
    // The status is already sent when a page fails, so the client sees an incomplete body.
    let log = |error: crate::analytics::QueryError| {
        tracing::warn!(%error, "an export failed");
        error
    };
    Ok(stream.into_response().map(|body| Body::new(body.map_err(log))))
}

fn define(parameters: &Parameters, query: RowQuery, restrictions: &Restrictions) -> Result<Export, ApiError> {
    let mut export = Export::new(query).deny(restrictions.denied().clone());
    let formats: Vec<&'static str> = ExportFormat::ALL.iter().map(|format| format.as_str()).collect();
    let format = parameters.word("format", &formats)?.and_then(ExportFormat::from_name).unwrap_or_default();
    export = export.format(format);
    for (name, only) in [("keys", ExportFormat::Csv), ("summary", ExportFormat::Jsonl)] {
        if parameters.get(name).is_some_and(|value| value != "false") && format != only {
            return Err(ApiError::invalid(format!("invalid {name}: expected the format {only}, found {format}")));
        }
    }
    let compressions: Vec<&'static str> = Compression::ALL.iter().map(|compression| compression.as_str()).collect();
    if let Some(compression) = parameters.word("compression", &compressions)?.and_then(Compression::from_name) {
        export = export.compression(compression);
    }
    if let Some(columns) = parameters.list("columns")? {
        columns.iter().try_for_each(|column| restrictions.check_column(column))?;
        export = export.columns(columns);
    }
    if let Some(keys) = parameters.list("keys")? {
        for key in &keys {
            tag(key)?;
            restrictions.check_key(key)?;
        }
        export = export.keys(keys);
    }
    if let Some(token) = parameters.get("resume") {
        export = export.resume(token.parse()?);
    }
    let has_summary = parameters.word("summary", &["true", "false"])? == Some("true");
    Ok(if has_summary { export.summary_line() } else { export })
}
