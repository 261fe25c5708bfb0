use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::{TryStreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{
    analytics::{Analytics, Answer, Explanation, ExportFormat, Grant, Query, QueryError},
    registry::Permission,
};

use super::{
    accept::prefers_csv, api_error::ApiError, caller::Caller, json_body::JsonBody, parameter::NONE,
    query_form::QueryForm, state::ApiState, with_basis,
};

/// The header of CSV with the cursor of the next groups.
const NEXT: HeaderName = HeaderName::from_static("x-tagging-next");

/// Answers `POST /query` as JSON, or as CSV if the client prefers it.
///
/// CSV has all groups, unless the query has a limit.
pub(crate) async fn query(
    State(api): State<ApiState>,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(form): JsonBody<QueryForm>,
) -> Result<Response, ApiError> {
    caller.require(Permission::AnalyticsView, NONE)?;
    let has_limit = form.has_limit();
    let mut query = form.into_query(&api.shared.zone)?;
    let is_csv = prefers_csv(&headers);
    if is_csv && !has_limit {
        query.limit = Query::MAX_LIMIT;
    }
    let answer = api.analytics.run(&query, &caller.grant).await?;
    let mut headers = with_basis::headers(Some(&answer.basis));
    if !is_csv {
        return Ok((headers, Json(answer)).into_response());
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(ExportFormat::Csv.media_type()));
    if has_limit {
        headers.extend(answer.next.as_deref().and_then(cursor).map(|cursor| (NEXT, cursor)));
        return Ok((headers, answer.to_csv()?).into_response());
    }
    let pages = CsvPages { analytics: api.analytics, grant: caller.grant, query, answer: Some(answer), is_first: true };
    let content = stream::try_unfold(pages, CsvPages::next);
    // The status is already sent when a page fails, so the client sees an incomplete body.
    let content = content.inspect_err(|error| tracing::warn!(%error, "an answer as CSV failed"));
    Ok((headers, Body::from_stream(content)).into_response())
}

/// Returns a cursor as the value of a header. It is JSON, in which other characters than ASCII are escaped.
fn cursor(text: &str) -> Option<HeaderValue> {
    let mut ascii = String::new();
    for letter in text.chars() {
        if letter.is_ascii() {
            ascii.push(letter);
        } else {
            let units = letter.encode_utf16(&mut [0; 2]).to_vec();
            ascii.extend(units.into_iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    HeaderValue::try_from(ascii).ok()
}

/// All groups of a query as CSV, page by page.
struct CsvPages {
    analytics: Analytics,
    grant: Grant,
    query: Query,
    /// The page that is written next. `None` if the query has to be answered first.
    answer: Option<Answer>,
    is_first: bool,
}

impl CsvPages {
    async fn next(mut self) -> Result<Option<(String, Self)>, QueryError> {
        let answer = match self.answer.take() {
            Some(answer) => answer,
            None if self.query.cursor.is_some() => self.analytics.run(&self.query, &self.grant).await?,
            None => return Ok(None),
        };
        let text = if self.is_first { answer.to_csv()? } else { answer.csv_lines()? };
        self.is_first = false;
        self.query.cursor = answer.next;
        Ok(Some((text, self)))
    }
}

/// Answers `POST /query/explain`.
pub(crate) async fn explain(
    State(api): State<ApiState>,
    caller: Caller,
    JsonBody(form): JsonBody<QueryForm>,
) -> Result<Json<Explanation>, ApiError> {
    caller.require(Permission::AnalyticsView, NONE)?;
    Ok(Json(api.analytics.explain(&form.into_query(&api.shared.zone)?, &caller.grant).await?))
}
