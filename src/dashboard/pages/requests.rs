//! Single requests, the newest first, below the number of requests over time.

use askama::Template;
use axum::{extract::State, response::Response};
use http::request::Parts;

use crate::{
    analytics::{Answer, Bucket, EventRow, Measure},
    dashboard::{
        chart::{Point, Shape, TimeChart, Unit},
        format,
        frame::Frame,
        html,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{UNSET, bucket_label, bucket_title, narrowed, value_label},
        state::DashboardState,
        view::{UrlQuery, View},
    },
    registry::Permission,
};

use super::Latest;

const PATH: &str = "requests";
const ROWS: u32 = 50;
/// The positions of the colors of successful and failed requests.
const COLORS_OF_OUTCOMES: [usize; 2] = [0, 4];

#[derive(Template)]
#[template(path = "requests.html", config = "src/dashboard/askama.toml")]
struct Requests {
    frame: Frame,
    is_empty: bool,
    latest: Latest,
    volume: Option<Volume>,
    rows: Vec<RequestRow>,
    next: Option<String>,
    /// The first page, if this is another one.
    first: Option<String>,
}

/// The number of requests over time.
struct Volume {
    chart: TimeChart,
    count: String,
    errors: String,
}

/// A request of a list.
pub(crate) struct RequestRow {
    pub(crate) href: String,
    pub(crate) time: String,
    pub(crate) machine_time: String,
    pub(crate) what: String,
    pub(crate) model: String,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) more_tags: usize,
    pub(crate) status: Status,
    pub(crate) tokens: String,
    pub(crate) cost: String,
    pub(crate) latency: String,
}

/// How a request ended.
pub(crate) struct Status {
    /// The class of the badge.
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

pub(crate) async fn requests(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::LogsView, &["p"])?;
    let mut own = UrlQuery::default();
    if let Some(cursor) = request.query.get("p") {
        own.push("p", cursor);
    }
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let view = &request.view;
    let range = view.time_range()?;
    let mut rows = view.row_query()?.limit(ROWS);
    rows.cursor = own.get("p").map(ToOwned::to_owned);
    let page = state.rows(rows, &request.grant).await?;
    let mut frame = request.filtered_frame("Requests", PATH, &UrlQuery::default()).await?;
    // Whoever sees single requests does not always see sums.
    let (mut volume, mut latest) = (None, Latest::NoMatch);
    // A page ends early if reading took too long.
    let is_empty = page.rows.is_empty() && page.next.is_none();
    if request.grant.allows(Permission::AnalyticsView) {
        let query = view.query(range).measure(Measure::Requests).measure(Measure::Errors).bucket(Bucket::Auto);
        let answer = state.run(&query, &request.grant).await?;
        frame = frame.with_trust(request.trust(&answer.basis).with_totals(&answer.basis, &answer.total.totals));
        if is_empty {
            latest = Latest::find(&request, &answer.basis).await?;
        }
        volume = Some(Volume::new(view, &answer)?);
    }
    let link = |cursor: Option<String>| {
        let mut query = view.query_string();
        if let Some(cursor) = cursor {
            query.push("p", cursor);
        }
        query.href()
    };
    let page = Requests {
        frame,
        is_empty,
        latest,
        volume,
        rows: page.rows.iter().map(|row| RequestRow::new(row, view, "requests/")).collect(),
        next: page.next.map(|cursor| link(Some(cursor))),
        first: own.get("p").map(|_| link(None)),
    };
    html::page(&page)
}

impl Volume {
    fn new(view: &View, answer: &Answer) -> Result<Self, PageError> {
        let range = view.time_range()?;
        let bucket = range.auto_bucket();
        let points = answer.buckets.iter().zip(&answer.series).enumerate().map(|(at, (start, cell))| {
            let (all, errors) = (cell.totals.requests, cell.totals.errors);
            let label = bucket_label(*start, bucket, &view.zone);
            let end = answer.buckets.get(at + 1).copied().unwrap_or(range.to());
            let mut values = vec![None; COLORS_OF_OUTCOMES[1] + 1];
            for (color, count) in COLORS_OF_OUTCOMES.into_iter().zip([all - errors.min(all), errors]) {
                if let Some(value) = values.get_mut(color) {
                    *value = Some(exact(count));
                }
            }
            Point {
                title: format!(
                    "{}: {} requests, {} errors",
                    bucket_title(*start, bucket, &view.zone),
                    format::count(all),
                    format::count(errors)
                ),
                href: view.with_range(narrowed(*start, end, bucket, &view.zone)).query_string().href(),
                label,
                values,
                previous: None,
            }
        });
        Ok(Self {
            chart: TimeChart::new("Requests over time", Shape::Bars, Unit::Count, points.collect()),
            count: format::count(answer.total.totals.requests),
            errors: format::count(answer.total.totals.errors),
        })
    }
}

#[allow(clippy::cast_precision_loss, reason = "only drawn")]
fn exact(count: u64) -> f64 {
    count as f64
}

impl RequestRow {
    /// The number of tags of a line.
    const TAGS: usize = 2;

    /// Describes a request. `path` is the relative path of the pages of requests.
    pub(crate) fn new(row: &EventRow, view: &View, path: &str) -> Self {
        let tokens = match (row.input_tokens, row.output_tokens) {
            (None, None) => format::UNKNOWN.to_owned(),
            (input, output) => {
                let text = |count: Option<u64>| count.map_or_else(|| format::UNKNOWN.to_owned(), format::short_count);
                format!("{} / {}", text(input), text(output))
            }
        };
        let tags: Vec<(String, String)> =
            row.raw_metadata.iter().map(|(key, value)| (key.to_owned(), value_label(Some(value), UNSET))).collect();
        Self {
            href: format!("{path}{}", row.id),
            time: format::time(row.requested_at, &view.zone),
            machine_time: format::machine_time(row.requested_at),
            what: row.route.clone().unwrap_or_else(|| row.request_path.clone()),
            model: row.model.clone().unwrap_or_default(),
            more_tags: tags.len().saturating_sub(Self::TAGS),
            tags: tags.into_iter().take(Self::TAGS).collect(),
            status: Status::of(row),
            tokens,
            cost: match row.total_cost_nanos {
                // A part of the cost is not all of it.
                Some(nanos) if row.cost_status.as_deref() == Some("partial") => format!("≥ {}", format::nanos(nanos)),
                Some(nanos) => format::nanos(nanos),
                None if row.is_unpriced() => "unpriced".to_owned(),
                None => format::UNKNOWN.to_owned(),
            },
            latency: format::millis(row.response_time_ms.into()),
        }
    }
}

impl Status {
    /// Describes how a request ended.
    pub(crate) fn of(row: &EventRow) -> Self {
        let code = row.status_code.map(|code| code.to_string());
        let text = match (row.outcome.as_str(), code) {
            ("completed", Some(code)) => code,
            (outcome, Some(code)) => format!("{code} {outcome}"),
            (outcome, None) => outcome.to_owned(),
        };
        let class = match row.outcome.as_str() {
            _ if row.is_error => "badge bad",
            "cancelled" | "rejected" => "badge warn",
            _ => "badge",
        };
        Self { class, text }
    }
}
