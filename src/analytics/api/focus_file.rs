use std::io;

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use http::{header, request::Parts};
use jiff::{SignedDuration, Timestamp};

use crate::{
    analytics::{
        ExportFormat, TimeRange,
        focus::{FocusArchive, FocusError, FocusExport, FocusFile},
        row_pages::RowPages,
    },
    registry::Permission,
};

use super::{
    api_error::ApiError, parameter::FOCUS, parameters::Parameters, restrictions::Restrictions, selection::tag,
    state::ApiState, view::View,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The largest number of days of a file.
const MAX_DAYS: i64 = 366;

/// Answers `GET /focus`: the cost of whole UTC days as a FOCUS file, its manifest, or an archive of both.
pub(crate) async fn focus(State(api): State<ApiState>, mut head: Parts) -> Result<Response, ApiError> {
    let view = View::read(&mut head, &api, Permission::LogsExport, FOCUS).await?;
    let export = define(&view.parameters, &api.shared.restrictions)?;
    let query = view.row_query();
    check_days(&query.range)?;
    let is_true = |name: &str| Ok::<_, ApiError>(view.parameters.word(name, &["true", "false"])? == Some("true"));
    let (is_manifest, is_archive) = (is_true("manifest")?, is_true("archive")?);
    if is_manifest && is_archive {
        return Err(ApiError::invalid(
            "invalid archive: the archive contains the manifest, so expected only one of both",
        ));
    }
    if is_manifest {
        let manifest = export.write(&api.analytics, &query, &view.grant, io::sink()).await?;
        return Ok(Json(manifest).into_response());
    }
    let file = export.start(&query.range)?;
    let archive = is_archive.then(FocusArchive::new);
    let mut download = Download {
        file: if is_archive { file } else { file.without_manifest() },
        pages: RowPages::new(&api.analytics, &query, &view.grant, Permission::LogsExport),
        archive,
    };
    if let Some(archive) = &mut download.archive {
        archive.start("focus.csv")?;
    }
    let next = async |download: Option<Download>| match download {
        Some(download) => download.next().await.map(Some),
        None => Ok(None),
    };
    // The status is already sent when a page fails, so the client sees an incomplete body.
    let content = stream::try_unfold(Some(download), next).inspect_err(|error| {
        tracing::warn!(%error, "a FOCUS export failed");
    });
    let (media_type, disposition) = if is_archive {
        ("application/zip", "attachment; filename=\"focus.zip\"")
    } else {
        (ExportFormat::Csv.media_type(), "attachment; filename=\"focus.csv\"")
    };
    let headers = [(header::CONTENT_TYPE, media_type), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, Body::from_stream(content)).into_response())
}

fn define(parameters: &Parameters, restrictions: &Restrictions) -> Result<FocusExport, ApiError> {
    restrictions.check_focus()?;
    let account = parameters.get("account").ok_or_else(|| {
        ApiError::invalid("the parameter account is missing: expected the id of the account that pays the invoices")
    })?;
    let mut export = FocusExport::new(account);
    for key in parameters.list("tags")?.unwrap_or_default() {
        tag(&key)?;
        restrictions.check_key(&key)?;
        export = export.tag(key);
    }
    Ok(export)
}

/// Checks that a range consists of whole UTC days.
fn check_days(range: &TimeRange) -> Result<(), ApiError> {
    let is_midnight = |time: Timestamp| time.as_second() % DAY.as_secs() == 0 && time.subsec_nanosecond() == 0;
    if let Some(time) = [range.from(), range.to()].into_iter().find(|time| !is_midnight(*time)) {
        return Err(ApiError::invalid(format!(
            "invalid time {time}: FOCUS files have whole days, from midnight in UTC"
        )));
    }
    let days = range.to().duration_since(range.from()).as_secs() / DAY.as_secs();
    if days > MAX_DAYS {
        return Err(ApiError::invalid(format!("the range has {days} days: a FOCUS file has at most {MAX_DAYS}")));
    }
    Ok(())
}

/// A file that is read while it is sent.
struct Download {
    file: FocusFile,
    pages: RowPages,
    /// The archive that contains the file and its manifest. `None` for the file alone.
    archive: Option<FocusArchive>,
}

impl Download {
    /// Returns the next bytes, and the rest of the download. `None` after the last bytes.
    async fn next(mut self) -> Result<(Bytes, Option<Self>), FocusError> {
        let Some(rows) = self.pages.next().await? else { return Ok((self.finish()?, None)) };
        rows.iter().try_for_each(|row| self.file.add(row))?;
        let mut bytes = self.file.take()?;
        if let Some(archive) = &mut self.archive {
            archive.write(&bytes)?;
            bytes = archive.take().into();
        }
        Ok((bytes, Some(self)))
    }

    /// Returns the last bytes.
    fn finish(self) -> Result<Bytes, FocusError> {
        let (bytes, manifest) = self.file.finish()?;
        let Some(mut archive) = self.archive else { return Ok(bytes) };
        archive.write(&bytes)?;
        archive.start("manifest.json")?;
        archive.write(&serde_json::to_vec_pretty(&manifest).map_err(io::Error::other)?)?;
        Ok(archive.finish()?.into())
    }
}
