//! The values of a key, such as all users, with what each costs.

use axum::{
    extract::{Path, State},
    response::Response,
};
use http::request::Parts;

use crate::{
    analytics::{Group, Measure, Query},
    dashboard::{
        format, html,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{UNSET, amount, is_unset, value_label},
        state::DashboardState,
        table::{Cell, Table, TableRow},
        view::{Condition, UrlQuery, dimension, short_name},
    },
    registry::Permission,
};

use super::tables::TablesPage;

const ROWS: u32 = 50;
const MEASURES: [Measure; 8] = [
    Measure::Cost,
    Measure::Requests,
    Measure::AvgCost,
    Measure::TotalTokens,
    Measure::ErrorRate,
    Measure::P95Latency,
    Measure::LastSeen,
    Measure::FeedbackScore,
];
const COLUMNS: [&str; 10] =
    ["Value", "Cost", "Requests", "Cost per call", "Tokens", "Errors", "p95", "Last seen", "Feedback", "<Showback"];

pub(crate) async fn by_key(
    State(state): State<DashboardState>,
    Path(key): Path<String>,
    head: Parts,
) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &["p"])?;
    let dimension = dimension(&key)?;
    let mut own = UrlQuery::default();
    if let Some(cursor) = request.query.get("p") {
        own.push("p", cursor);
    }
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let view = &request.view;
    let query = MEASURES
        .into_iter()
        .fold(view.query(view.time_range()?).group_by(dimension.clone()).limit(ROWS), Query::measure);
    let query = Query { cursor: own.get("p").map(ToOwned::to_owned), ..query };
    let answer = state.run(&query, &request.grant).await?;
    let row = |group: &Group| {
        let value = group.values.first().cloned().flatten();
        let query = view.with(Condition::of_group(&dimension, value.as_deref())).query_string();
        let text = |at: usize| format::local_amount(amount(Some(&group.cell), at), &view.zone);
        let mut cells: Vec<Cell> = (0..MEASURES.len()).map(|at| Cell::number(text(at))).collect();
        let month = value.as_deref().and_then(|value| super::showback_href(&request.mount, &dimension, value, view));
        cells.push(month.map_or_else(|| Cell::text(""), |href| Cell::link("Month", href)));
        TableRow {
            is_unset: is_unset(value.as_deref()),
            label: value_label(value.as_deref(), UNSET),
            href: Some(request.mount.link("", &query.text())),
            cells,
        }
    };
    let name = short_name(&dimension);
    let mut table = Table::new("values", format!("{} values of {name}", format::count(answer.group_count)), &COLUMNS);
    "the highest cost first".clone_into(&mut table.note);
    table.rows = answer.groups.iter().map(row).collect();
    "No requests in this range.".clone_into(&mut table.empty);
    table.more_label = "More";
    table.more = answer.next.map(|cursor| {
        let mut query = view.query_string();
        query.push("p", cursor);
        query.href()
    });
    let title = if key == "_user" { "Users".to_owned() } else { format!("By {name}") };
    let section = if key == "_user" { "by/_user" } else { "" };
    let frame = request.filtered_frame(&title, section, &UrlQuery::default()).await?;
    html::page(&TablesPage {
        frame: frame.with_trust(request.trust(&answer.basis).with_totals(&answer.basis, &answer.total.totals)),
        notes: Vec::new(),
        tables: vec![table],
    })
}
