//! The state of the data: the counts of events, the checks of sums, calls without a price, and changes.

use std::time::{Duration, SystemTime};

use axum::{extract::State, response::Response};
use http::request::Parts;
use uuid::Uuid;

use crate::{
    analytics::{Field, Measure, Order, jiff::Timestamp},
    dashboard::{
        format, html,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{UNSET, amount, is_unset, value_label},
        state::DashboardState,
        table::{Cell, Table, TableRow},
        view::{Condition, UrlQuery},
    },
    registry::Permission,
    sink::SinkHealth,
};

use super::tables::TablesPage;

const ROWS: u32 = 20;
/// The number of changes of a page.
const CHANGES: u32 = 50;
/// The parameter with the last change of the previous page.
const CURSOR: &str = "before";

pub(crate) async fn health(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &[CURSOR])?;
    let mut own = UrlQuery::default();
    let before = request.query.get(CURSOR).map(|id| {
        id.parse::<Uuid>().map_err(|_| PageError::invalid(format!("invalid place {id:?} in the log of changes")))
    });
    let before = before.transpose()?;
    if let Some(id) = before {
        own.push(CURSOR, id.to_string());
    }
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
            is_unset: is_unset(value.as_deref()),
            label: value_label(value.as_deref(), UNSET),
            href: Some(request.mount.link("requests", &query.text())),
            cells: (0..3).map(|at| Cell::number(format::amount(amount(Some(&group.cell), at)))).collect(),
        });
    }
    let mut tables = vec![models];
    // The counts of sinks and keys are those of all tenants.
    if request.grant.filters().is_empty() {
        tables.insert(0, sinks(&state));
        tables.push(queries(&state));
        tables.extend(spoofing(&state));
    }
    tables.push(verifications(&request).await?);
    tables.push(changes(&request, before).await?);
    let frame = request
        .filtered_frame("Health", "health", &UrlQuery::default())
        .await?
        .with_trust(request.trust(&answer.basis).with_totals(&answer.basis, &answer.total.totals));
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
    "The host application did not configure a delivery. Pass it to Dashboard::delivery.".clone_into(&mut table.empty);
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

/// The queries that pages asked for.
fn queries(state: &DashboardState) -> Table {
    let counts = state.load.counts();
    let columns = ["Of all viewers", "Asked", "Executed", "Failed", "Running", "Most at a time"];
    let mut table = Table::new("queries", "Queries of pages", &columns);
    "since the process started; equal queries are executed once".clone_into(&mut table.note);
    let numbers = [counts.asked, counts.executed, counts.failed, counts.running, counts.most_running];
    table.rows.push(TableRow {
        label: "Queries".to_owned(),
        cells: numbers.into_iter().map(|number| Cell::number(format::count(number))).collect(),
        ..TableRow::default()
    });
    table
}

/// The comparisons of sums with rows.
async fn verifications(request: &PageRequest) -> Result<Table, PageError> {
    let zone = &request.view.zone;
    let columns = ["Verified", "<Days in UTC", "<Result", "<First difference"];
    let mut table = Table::new("verifications", "Verifications of sums", &columns);
    "sums are compared with the requests that they were computed from".clone_into(&mut table.note);
    "Sums were never verified. Call verify_if_due() after maintain().".clone_into(&mut table.empty);
    let day = |time: SystemTime| Timestamp::try_from(time).unwrap_or_default().strftime("%b %-d, %Y").to_string();
    // Differences contain the values of all tenants.
    let sees_details = request.grant.filters().is_empty();
    for found in request.state.analytics.verifications(ROWS).await? {
        let last_day = found.to.checked_sub(Duration::from_micros(1)).unwrap_or(found.to);
        let (from, to) = (day(found.from), day(last_day));
        let result = match found.differences {
            0 if found.is_rebuild => Cell::badge("computed again", "badge"),
            0 => Cell::badge("no differences", "badge"),
            count => Cell::badge(format!("{} differences", format::count(count)), "badge bad"),
        };
        let first = found.details.lines().next().filter(|_| sees_details).unwrap_or_default();
        table.rows.push(TableRow {
            label: format::time(found.time, zone),
            cells: vec![
                Cell::text(if from == to { from } else { format!("{from} – {to}") }),
                result,
                Cell::text(format::cut(first, 200)),
            ],
            ..TableRow::default()
        });
    }
    Ok(table)
}

/// The log of changes.
async fn changes(request: &PageRequest, before: Option<Uuid>) -> Result<Table, PageError> {
    let found = request.state.analytics.changes(before, CHANGES, &request.grant).await?;
    let mut table = Table::new("changes", "Changes", &["Time", "<Author", "<Change", "<Subject", "<Workspace"]);
    "the newest first".clone_into(&mut table.note);
    if before.is_some() { "There are no older changes." } else { "Nothing was changed yet." }
        .clone_into(&mut table.empty);
    for change in &found {
        let subject = match change.count {
            1 => change.subject.clone(),
            count => format!("{} {}", format::count(count), change.subject),
        };
        table.rows.push(TableRow {
            label: format::time(change.time, &request.view.zone),
            cells: vec![
                Cell::text(change.author.as_deref().unwrap_or("the application")),
                Cell::text(change.action.as_str()),
                Cell::text(subject),
                Cell::text(change.workspace.as_deref().unwrap_or_default()),
            ],
            ..TableRow::default()
        });
    }
    if found.len() >= CHANGES as usize {
        table.more_label = "Older";
        table.more = found.last().map(|last| {
            let mut query = request.view.query_string();
            query.push(CURSOR, last.id.to_string());
            query.href()
        });
    }
    Ok(table)
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
