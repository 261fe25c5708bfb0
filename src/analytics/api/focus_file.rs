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
        Analytics, ExportFormat, Grant, RowQuery, TimeRange,
        focus::{FocusError, FocusExport},
    },
    registry::Permission,
};

use super::{
    api_error::ApiError, parameter::FOCUS, parameters::Parameters, restrictions::Restrictions, selection::tag,
    state::ApiState, view::View,
};

const DAY: SignedDuration = SignedDuration::from_hours(24);
/// The largest number of days of a file. Each of them is a query.
const MAX_DAYS: i64 = 366;

/// Answers `GET /focus`: the cost of whole UTC days as a FOCUS file, or its manifest.
pub(crate) async fn focus(State(api): State<ApiState>, mut head: Parts) -> Result<Response, ApiError> {
    let view = View::read(&mut head, &api, Permission::LogsExport, FOCUS).await?;
    let export = define(&view.parameters, &api.shared.restrictions)?;
    let query = view.row_query();
    check_days(&query.range)?;
    if view.parameters.word("manifest", &["true", "false"])? == Some("true") {
        let manifest = export.write(&api.analytics, &query, &view.grant, io::sink()).await?;
        return Ok(Json(manifest).into_response());
    }
    let next = Some(query.range.from());
    let days = Days { export, analytics: api.analytics, grant: view.grant, query, next };
    let content = stream::try_unfold(days, Days::next).inspect_err(|error| {
        tracing::warn!(%error, "a FOCUS export failed");
    });
    let headers = [
        (header::CONTENT_TYPE, ExportFormat::Csv.media_type()),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"focus.csv\""),
    ];
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

/// The days of a file, which are written one by one, so that memory is bounded by the rows of a day.
struct Days {
    export: FocusExport,
    analytics: Analytics,
    grant: Grant,
    query: RowQuery,
    /// The start of the next day. `None` after the last one.
    next: Option<Timestamp>,
}

impl Days {
    /// Returns the rows of the next day that has some, with the header on the first day.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, FocusError> {
        while let Some(from) = self.next {
            let range = &self.query.range;
            let is_first = from == range.from();
            let to = from.checked_add(DAY).unwrap_or(range.to()).min(range.to());
            let mut query = self.query.clone();
            query.range = range.cut(from, to);
            self.next = (to < range.to()).then_some(to);
            let mut content = Vec::new();
            self.export.write(&self.analytics, &query, &self.grant, &mut content).await?;
            let mut content = Bytes::from(content);
            if !is_first {
                let header = content.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                content = content.split_off(header);
            }
            if !content.is_empty() {
                return Ok(Some((content, self)));
            }
        }
        Ok(None)
    }
}
