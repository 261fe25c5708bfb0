//! The requests of a trace, a session, or an agent run in order, with what each cost.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use http::request::Parts;

use crate::{
    analytics::{
        Amount, Dimension, TimeRange, TraceView, Turn,
        jiff::{Timestamp, tz::TimeZone},
    },
    dashboard::{
        chart::{StepInput, Waterfall},
        format,
        frame::Frame,
        html,
        page_error::PageError,
        page_request::PageRequest,
        state::DashboardState,
        view::{Condition, UrlQuery},
    },
    registry::Permission,
};

/// The largest number of steps of the waterfall.
const WATERFALL_STEPS: usize = 100;
/// The largest number of steps of the table.
const TABLE_STEPS: usize = 500;

#[derive(Template)]
#[template(path = "trace.html", config = "src/dashboard/askama.toml")]
struct TracePage {
    frame: Frame,
    is_empty: bool,
    cards: Vec<(&'static str, String, String)>,
    notes: Vec<String>,
    waterfall: Waterfall,
    /// The number of steps that the waterfall shows, if it does not show all of them.
    waterfall_note: String,
    steps: Vec<StepRow>,
    steps_note: String,
    /// The steps that the table does not show.
    rest: Option<Rest>,
    requests: Option<String>,
}

/// The sums of the steps after those of the table.
struct Rest {
    count: String,
    cost: String,
    running: String,
}

/// A step of the table.
struct StepRow {
    number: usize,
    href: String,
    name: String,
    model: String,
    input: String,
    growth: String,
    output: String,
    cost: String,
    running: String,
    duration: String,
    badges: Vec<(&'static str, String)>,
}

/// The page of a trace.
pub(crate) async fn trace(
    State(state): State<DashboardState>,
    Path(id): Path<String>,
    head: Parts,
) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::LogsView, &[])?;
    // A trace has no range: its id says it all.
    let always = TimeRange::new(Timestamp::UNIX_EPOCH, Timestamp::MAX)?;
    let trace = state.trace(None, &id, always, &request.grant).await?;
    let frame = request.frame(format!("Trace {id}"), "requests").await;
    show(frame, &trace, None, &request.view.zone)
}

/// The page of a session or an agent run: the requests with a tag.
pub(crate) async fn session(
    State(state): State<DashboardState>,
    Path((key, value)): Path<(String, String)>,
    head: Parts,
) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::LogsView, &[])?;
    if let Some(redirect) = request.canonical(&UrlQuery::default()) {
        return Ok(redirect);
    }
    let view = &request.view;
    let range = view.time_range()?;
    let trace = state.trace(Some(&key), &value, range, &request.grant).await?;
    let condition = Condition::of_group(&Dimension::tag(key.clone()), Some(&value));
    let requests = format!("../../requests{}", view.with(condition).query_string().text());
    let frame = request.frame(format!("{key} {value}"), "requests").await;
    show(frame, &trace, Some(requests), &view.zone)
}

fn show(frame: Frame, trace: &TraceView, requests: Option<String>, zone: &TimeZone) -> Result<Response, PageError> {
    let summary = &trace.summary;
    let share = |share: Option<f64>| share.map_or_else(|| format::UNKNOWN.to_owned(), format::percent);
    let is_partial = |turn: &&Turn| turn.cost_status.as_deref() == Some("partial") && turn.cost.is_some();
    let partial = trace.turns.iter().filter(is_partial).count() as u64;
    let cards = vec![
        ("Cost", format::amount(Some(summary.cost)), format::pricing(summary.unpriced_share, partial).0),
        ("Steps", format::count(summary.turns), format!("{} LLM calls", format::count(summary.llm_calls))),
        (
            "Duration",
            summary.duration_ms.map_or_else(|| format::UNKNOWN.to_owned(), format::whole_millis),
            summary.started_at.map_or_else(String::new, |time| format::dated(time, zone, Timestamp::now(), "%H:%M:%S")),
        ),
        (
            "Retries and failures",
            share(summary.wasted_share),
            format!("{} failures, {} retries", format::count(summary.failures), format::count(summary.retries)),
        ),
        (
            "Tokens in / out",
            format!("{} / {}", format::short_count(summary.input_tokens), format::short_count(summary.output_tokens)),
            format!(
                "largest context {}",
                summary.max_input_tokens.map_or_else(|| format::UNKNOWN.to_owned(), format::short_count)
            ),
        ),
    ];
    let mut notes: Vec<String> = trace
        .loops
        .iter()
        .map(|steps| format!("Possible loop: {} ran {} times", steps.steps.join(" → "), steps.repeats))
        .collect();
    if trace.is_cut {
        let from = format::dated(trace.from, zone, Timestamp::now(), "%H:%M:%S");
        notes.push(format!("There may be steps before {from}, which this page does not count."));
    }
    let steps = trace.turns.iter().enumerate();
    let page = TracePage {
        frame,
        is_empty: trace.turns.is_empty(),
        cards,
        notes,
        waterfall: Waterfall::new(
            trace.turns.iter().take(WATERFALL_STEPS).map(|turn| step(turn, &trace_root(requests.as_deref()))).collect(),
        ),
        steps: steps.take(TABLE_STEPS).map(|(at, turn)| row(at, turn, &trace_root(requests.as_deref()))).collect(),
        waterfall_note: first_of(WATERFALL_STEPS, trace.turns.len()),
        steps_note: first_of(TABLE_STEPS, trace.turns.len()),
        rest: rest(trace),
        requests,
    };
    html::page(&page)
}

/// Returns how many steps are shown. It is empty if these are all.
fn first_of(shown: usize, all: usize) -> String {
    let text = |number: usize| format::count(number as u64);
    if all > shown { format!("the first {} of {} steps", text(shown), text(all)) } else { String::new() }
}

/// Returns the sums of the steps that the table does not show, so that its lines add up to the cost of the trace.
fn rest(trace: &TraceView) -> Option<Rest> {
    let hidden = trace.turns.get(TABLE_STEPS..).filter(|turns| !turns.is_empty())?;
    let nanos = |cost: Amount| if let Amount::NanoUsd(nanos) = cost { nanos } else { 0 };
    let cost = hidden.iter().filter_map(|turn| turn.cost).map(nanos).fold(0, i64::saturating_add);
    Some(Rest {
        count: format::count(hidden.len() as u64),
        cost: format::money(cost),
        running: format::amount(hidden.last().map(|turn| turn.running_cost)),
    })
}

/// Returns the relative path to the dashboard.
fn trace_root(requests: Option<&str>) -> String {
    if requests.is_some() { "../../".to_owned() } else { "../".to_owned() }
}

fn step(turn: &Turn, root: &str) -> StepInput {
    let cost = turn.cost.map_or_else(|| "no cost".to_owned(), |cost| format::amount(Some(cost)));
    let duration = format::whole_millis(turn.duration_ms);
    let model = turn.model.clone().unwrap_or_default();
    let mut notes: Vec<String> = turn.cost.map(|cost| format::amount(Some(cost))).into_iter().collect();
    notes.extend(badges(turn).into_iter().map(|(_, text)| text));
    StepInput {
        title: format!("{}, {model}: {duration}, {cost}", turn.name),
        name: turn.name.clone(),
        model,
        href: format!("{root}requests/{}", turn.id),
        depth: turn.depth,
        start: exact(turn.offset_ms),
        duration: exact(turn.duration_ms),
        class: match turn {
            Turn { is_error: true, .. } => "f5",
            Turn { in_loop: Some(_), .. } => "f3",
            Turn { model: None, .. } => "f7",
            _ => "f1",
        },
        note: notes.join(" · "),
    }
}

fn row(at: usize, turn: &Turn, root: &str) -> StepRow {
    let count = |count: Option<u64>| count.map_or_else(|| format::UNKNOWN.to_owned(), format::count);
    StepRow {
        number: at + 1,
        href: format!("{root}requests/{}", turn.id),
        name: turn.name.clone(),
        model: turn.model.clone().unwrap_or_default(),
        input: count(turn.input_tokens),
        growth: turn.input_growth.map_or_else(String::new, format::signed),
        output: count(turn.output_tokens),
        cost: format::amount(turn.cost),
        running: format::amount(Some(turn.running_cost)),
        duration: format::whole_millis(turn.duration_ms),
        badges: badges(turn),
    }
}

fn badges(turn: &Turn) -> Vec<(&'static str, String)> {
    let mut badges = Vec::new();
    if turn.is_error {
        badges.push(("badge bad", "error".to_owned()));
    }
    if turn.outcome == "cancelled" {
        badges.push(("badge warn", "cancelled".to_owned()));
    }
    if turn.retry_of.is_some() {
        badges.push(("badge warn", "retry".to_owned()));
    }
    if turn.in_loop.is_some() {
        badges.push(("badge warn", "loop".to_owned()));
    }
    badges
}

#[allow(clippy::cast_precision_loss, reason = "only drawn")]
fn exact(millis: u64) -> f64 {
    millis as f64
}
