use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use futures_util::{TryStreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;

use crate::{
    analytics::{Analytics, Answer, Basis, Explanation, ExportFormat, Grant, Query, QueryError},
    registry::Permission,
    store::StoreError,
};

use super::{
    accept::prefers_csv, api_error::ApiError, caller::Caller, json_body::JsonBody, parameter::NONE,
    query_form::QueryForm, state::ApiState, with_basis,
};

/// The header of CSV with the cursor of the next groups.
const NEXT: HeaderName = HeaderName::from_static("x-tagging-next");

/// The largest number of pages of CSV. Each of them ranks all groups.
const MAX_PAGES: u64 = 100;
/// The largest number of groups times buckets of a page of CSV.
const PAGE_CELLS: usize = 100_000;

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
        query.limit = page_size(&query)?;
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
    if answer.group_count > MAX_PAGES * u64::from(query.limit) {
        return Err(ApiError::invalid(format!(
            "there are {} groups, and a file has at most {}: add a filter, or set a limit and follow the cursor",
            answer.group_count,
            MAX_PAGES * u64::from(query.limit)
        )));
    }
    let pages = CsvPages::new(api.analytics, caller.grant, query, answer);
    let content = stream::try_unfold(pages, CsvPages::next);
    // The status is already sent when a page fails, so the client sees an incomplete body.
    let content = content.inspect_err(|error| tracing::warn!(%error, "an answer as CSV failed"));
    Ok((headers, Body::from_stream(content)).into_response())
}

/// Returns the number of groups that are read at a time, which is smaller if each has many buckets.
fn page_size(query: &Query) -> Result<u32, QueryError> {
    let buckets = query.bucket.map(|bucket| query.range.buckets(bucket)).transpose()?;
    let groups = PAGE_CELLS / buckets.map_or(1, |buckets| buckets.len().max(1));
    Ok(u32::try_from(groups).unwrap_or(u32::MAX).clamp(1, Query::MAX_LIMIT))
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
    /// The range of the first page, and `true` if it is exact. All pages have the same.
    basis: (Timestamp, Timestamp, bool),
    is_first: bool,
}

impl CsvPages {
    fn new(analytics: Analytics, grant: Grant, query: Query, first: Answer) -> Self {
        let basis = covered(&first.basis);
        Self { analytics, grant, query, answer: Some(first), basis, is_first: true }
    }

    async fn next(mut self) -> Result<Option<(String, Self)>, QueryError> {
        let answer = match self.answer.take() {
            Some(answer) => answer,
            None if self.query.cursor.is_some() => self.analytics.run(&self.query, &self.grant).await?,
            None => return Ok(None),
        };
        if covered(&answer.basis) != self.basis {
            let text = "its pages cover different ranges: use a shorter range";
            return Err(QueryError::Store(StoreError::database("continue an answer", text)));
        }
        let text = if self.is_first { answer.to_csv()? } else { answer.csv_lines()? };
        self.is_first = false;
        self.query.cursor = answer.next;
        Ok(Some((text, self)))
    }
}

fn covered(basis: &Basis) -> (Timestamp, Timestamp, bool) {
    (basis.from, basis.to, basis.is_exact)
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
