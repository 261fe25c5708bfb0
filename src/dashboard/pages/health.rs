//! Whether the numbers can be trusted: the counts of events, the checks of sums, and what is missing.

use axum::{extract::State, response::Response};
use http::request::Parts;

use crate::{
    analytics::{Field, Measure, Order},
    dashboard::{
        format, html,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{UNSET, amount},
        state::DashboardState,
        table::{Cell, Table, TableRow},
        view::{Condition, UrlQuery},
    },
    registry::Permission,
    sink::SinkHealth,
};

use super::tables::TablesPage;

const ROWS: u32 = 20;

pub(crate) async fn health(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &[])?;
    let own = UrlQuery::default();
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let view = &request.view;
    let unpriced = view.query(view.time_range()?).group_by(Field::Model).limit(ROWS);
    let unpriced = unpriced.measure(Measure::UnpricedRequests).measure(Measure::Requests).measure(Measure::TotalTokens);
    let unpriced = unpriced.order(Order::Descending(Measure::UnpricedRequests));
    let answer = state.run(&unpriced, &request.grant).await?;
    let mut models =
        Table::new("unpriced", "Calls without a price, by model", &["Model", "Unpriced calls", "Requests", "Tokens"]);
    models.note = format!("{} in this range", format::count(answer.total.totals.unpriced));
    "Every call in this range has a price.".clone_into(&mut models.empty);
    for group in answer.groups.iter().filter(|group| group.cell.totals.unpriced > 0) {
        let value = group.values.first().cloned().flatten();
        let query = view.with(Condition::of_group(&Field::Model.into(), value.as_deref())).query_string();
        models.rows.push(TableRow {
            is_unset: value.is_none(),
            label: value.unwrap_or_else(|| UNSET.to_owned()),
            href: Some(request.mount.link("requests", &query.text())),
            cells: (0..3).map(|at| Cell::number(format::amount(amount(Some(&group.cell), at)))).collect(),
        });
    }
    let mut tables = vec![models];
    // The counts of sinks and keys are those of all tenants.
    if request.grant.filters().is_empty() {
        tables.insert(0, sinks(&state));
        tables.extend(spoofing(&state));
    }
    let frame = request.filtered_frame("Health", "health", &own).await?.with_trust(request.trust(&answer.basis));
    html::page(&TablesPage { frame, notes: Vec::new(), tables })
}

/// The counts of events of each sink: what was accepted was delivered, lost, or is in flight.
fn sinks(state: &DashboardState) -> Table {
    let columns = [
        "Sink",
        "<State",
        "Accepted",
        "Delivered",
        "Lost",
        "In flight",
        "In spool",
        "Retried",
        "Oldest",
        "<Last error",
    ];
    let mut table = Table::new("sinks", "Events by sink", &columns);
    "accepted = delivered + lost + in flight, since the process started".clone_into(&mut table.note);
    "The host application did not hand in its delivery.".clone_into(&mut table.empty);
    for sink in state.delivery.iter().flat_map(|delivery| delivery.report().sinks) {
        let badge = if sink.health == SinkHealth::Healthy { "badge" } else { "badge bad" };
        let oldest =
            sink.oldest_age.map_or_else(|| format::UNKNOWN.to_owned(), |age| format::millis(age.as_secs_f64() * 1e3));
        table.rows.push(TableRow {
            cells: vec![
                Cell::badge(sink.health.as_str(), badge),
                Cell::number(format::count(sink.accepted)),
                Cell::number(format::count(sink.delivered)),
                Cell::number(format::count(sink.dropped())),
                Cell::number(format::count(sink.in_flight())),
                Cell::number(format::count(sink.spool.waiting)),
                Cell::number(format::count(sink.retried)),
                Cell::number(oldest),
                Cell::text(sink.last_error.clone().unwrap_or_default()),
            ],
            label: sink.name,
            ..TableRow::default()
        });
    }
    table
}

/// The API keys whose clients sent tags that they may not set.
fn spoofing(state: &DashboardState) -> Option<Table> {
    let report = state.access.registry()?.report();
    let columns = ["API key", "Requests", "Shadowed tags", "Denied claims", "Rejected requests"];
    let mut table = Table::new("spoofing", "Spoofing attempts", &columns);
    "tags that clients sent and were not allowed to set, since the process started".clone_into(&mut table.note);
    "No client sent a tag that it may not set.".clone_into(&mut table.empty);
    let named = report.keys.iter().map(|(name, counts)| (name.as_str(), counts));
    for (name, counts) in named.chain([("without a key", &report.anonymous)]) {
        if counts.shadowed + counts.denied_claims + counts.rejected == 0 {
            continue;
        }
        let numbers = [counts.requests, counts.shadowed, counts.denied_claims, counts.rejected];
        table.rows.push(TableRow {
            label: name.to_owned(),
            cells: numbers.into_iter().map(|number| Cell::number(format::count(number))).collect(),
            ..TableRow::default()
        });
    }
    Some(table)
}
