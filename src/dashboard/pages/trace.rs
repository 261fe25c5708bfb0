//! The requests of a trace, a session, or an agent run in order, with what each cost.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use http::request::Parts;

use crate::{
    analytics::{Dimension, TimeRange, TraceView, Turn, jiff::Timestamp},
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
    steps: Vec<StepRow>,
    requests: Option<String>,
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
    show(frame, &trace, None)
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
    show(frame, &trace, Some(requests))
}

fn show(frame: Frame, trace: &TraceView, requests: Option<String>) -> Result<Response, PageError> {
    let summary = &trace.summary;
    let share = |share: Option<f64>| share.map_or_else(|| format::UNKNOWN.to_owned(), format::percent);
    let cards = vec![
        (
            "Cost",
            format::amount(Some(summary.cost)),
            format!("{} of LLM calls unpriced", share(summary.unpriced_share)),
        ),
        ("Steps", format::count(summary.turns), format!("{} LLM calls", format::count(summary.llm_calls))),
        (
            "Duration",
            summary.duration_ms.map_or_else(|| format::UNKNOWN.to_owned(), format::whole_millis),
            summary.started_at.map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()),
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
        notes.push("There are more steps than this page shows.".to_owned());
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
        requests,
    };
    html::page(&page)
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
