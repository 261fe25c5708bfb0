//! The sessions of a range: the values of a key such as `session_id`, or traces, the latest first.

use askama::Template;
use axum::{extract::State, response::Response};
use http::request::Parts;

use crate::{
    analytics::{Amount, Dimension, Field, Filter, Group, Measure, Order, Query},
    dashboard::{
        format,
        frame::Frame,
        html,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{UNSET, amount, is_unset, value_label},
        state::DashboardState,
        table::{Cell, Table, TableRow},
        view::{UrlQuery, dimension, short_name},
    },
    registry::Permission,
};

const NAMES: &[&str] = &["g", "p"];
const ROWS: u32 = 50;
/// The key whose values are listed unless another one is chosen.
const DEFAULT_KEY: &str = super::SESSION_KEYS[0];
const TRACES: &str = "trace_id";
/// The measures, in the order of [`Place`].
const MEASURES: [Measure; 7] = [
    Measure::LastSeen,
    Measure::FirstSeen,
    Measure::Cost,
    Measure::UnpricedRequests,
    Measure::Requests,
    Measure::Errors,
    Measure::TotalTokens,
];

/// The position of a measure in [`MEASURES`].
#[derive(Clone, Copy)]
enum Place {
    LastSeen,
    FirstSeen,
    Cost,
    Unpriced,
    Requests,
    Errors,
    Tokens,
}

#[derive(Template)]
#[template(path = "sessions.html", config = "src/dashboard/askama.toml")]
struct SessionsPage {
    frame: Frame,
    key: String,
    /// Other keys, with their pages.
    choices: Vec<(&'static str, String)>,
    hidden: Vec<(String, String)>,
    table: Table,
    is_trace: bool,
}

pub(crate) async fn sessions(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, NAMES)?;
    let view = &request.view;
    let by = dimension(request.query.get("g").unwrap_or(DEFAULT_KEY).trim())?;
    let is_trace = by == Field::TraceId.into();
    if matches!(by, Dimension::Field(_)) && !is_trace {
        return Err(PageError::invalid(format!(
            "sessions are values of a tag, such as {DEFAULT_KEY}, or of {TRACES}: {by} is another field"
        )));
    }
    let key = short_name(&by);
    let chosen = own_parameters(&key, None);
    let own = own_parameters(&key, request.query.get("p"));
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let query = view.query(view.time_range()?).group_by(by.clone()).filter(Filter::Has(by.clone())).limit(ROWS);
    let query = MEASURES.into_iter().fold(query, Query::measure).order(Order::Descending(Measure::LastSeen));
    let query = Query { cursor: own.get("p").map(ToOwned::to_owned), ..query };
    let answer = state.run(&query, &request.grant).await?;

    let (noun, heading) = if is_trace { ("traces", "Trace") } else { ("sessions", "Session") };
    let title = format!("{} {noun} by {key}", format::count(answer.group_count));
    let columns = [heading, "Cost", "Turns", "Errors", "Tokens", "Duration", "Last seen"];
    let mut table = Table::new("sessions", title, &columns);
    "the latest first; the duration is the time from the first request to the last one".clone_into(&mut table.note);
    table.empty = format!("No request in this range has a value of {key}.");
    // Whoever sees sums does not always see single requests.
    let has_pages = request.grant.allows(Permission::LogsView);
    table.rows = answer.groups.iter().map(|group| row(&request, &by, group, has_pages)).collect();
    table.more_label = "Older";
    table.more = answer.next.map(|cursor| {
        let mut query = view.query_string();
        query.extend(&own_parameters(&key, Some(&cursor)));
        query.href()
    });
    let choice = |name: &'static str| {
        let mut query = view.query_string();
        query.extend(&own_parameters(name, None));
        (name, query.href())
    };
    let choices = super::SESSION_KEYS.into_iter().chain([TRACES]).filter(|name| *name != key).map(choice).collect();
    let frame = request.filtered_frame("Sessions", "sessions", &chosen).await?;
    html::page(&SessionsPage {
        frame: frame.with_trust(request.trust(&answer.basis).with_totals(&answer.basis, &answer.total.totals)),
        key,
        choices,
        hidden: view.query_string().into_pairs(),
        table,
        is_trace,
    })
}

/// Returns the parameters of the page that are not the default.
fn own_parameters(key: &str, cursor: Option<&str>) -> UrlQuery {
    let mut own = UrlQuery::default();
    if key != DEFAULT_KEY {
        own.push("g", key);
    }
    if let Some(cursor) = cursor {
        own.push("p", cursor);
    }
    own
}

fn row(request: &PageRequest, by: &Dimension, group: &Group, has_page: bool) -> TableRow {
    let value = group.values.first().cloned().flatten().unwrap_or_default();
    let at = |place: Place| amount(Some(&group.cell), place as usize);
    let text = |place: Place| format::amount(at(place));
    let is_unpriced = at(Place::Unpriced).is_some_and(|count| count.as_f64() > 0.0);
    let cost = match at(Place::Cost) {
        None if is_unpriced => "unpriced".to_owned(),
        // A part of the cost is not all of it.
        Some(_) if is_unpriced || group.cell.totals.partially_priced > 0 => format!("≥ {}", text(Place::Cost)),
        cost => format::amount(cost),
    };
    let duration = match (at(Place::FirstSeen), at(Place::LastSeen)) {
        // A single request has no duration between requests.
        (Some(Amount::Time(first)), Some(Amount::Time(last))) if first < last => {
            let millis = last.duration_since(first).as_millis();
            format::whole_millis(u64::try_from(millis).unwrap_or(0))
        }
        _ => format::UNKNOWN.to_owned(),
    };
    let last_seen = format::local_amount(at(Place::LastSeen), &request.view.zone);
    TableRow {
        href: has_page.then(|| page_of(request, by, &value)),
        label: value_label(Some(&value), UNSET),
        is_unset: is_unset(Some(&value)),
        cells: vec![
            Cell::number(cost),
            Cell::number(text(Place::Requests)),
            Cell::number(text(Place::Errors)),
            Cell::number(text(Place::Tokens)),
            Cell::number(duration),
            Cell::number(last_seen),
        ],
    }
}

/// Returns the page of a session or a trace. It has the range, and all requests of the session.
fn page_of(request: &PageRequest, by: &Dimension, value: &str) -> String {
    let root = &request.mount.root;
    let Dimension::Tag(key) = by else { return super::trace_href(root, value) };
    super::session_href(root, key, value, &request.view.unfiltered())
}
