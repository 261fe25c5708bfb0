//! One request: who sent it, what it cost line by line, and what happened to it.

use askama::Template;
use axum::{
    extract::{Path, State},
    response::Response,
};
use http::request::Parts;
use uuid::Uuid;

use crate::{
    analytics::{Dimension, EventRow},
    dashboard::{
        format,
        frame::Frame,
        html,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{UNSET, value_label},
        state::DashboardState,
        view::{Condition, UrlQuery, View},
    },
    registry::Permission,
};

use super::requests::Status;

/// The facts that readers copy.
const COPIED: [&str; 3] = ["Id", "Trace id", "Caller's trace id"];

#[derive(Template)]
#[template(path = "request.html", config = "src/dashboard/askama.toml")]
struct RequestPage {
    frame: Frame,
    status: Status,
    time: String,
    machine_time: String,
    cards: Vec<(&'static str, String, String)>,
    tags: Vec<Tag>,
    cost_lines: Vec<CostRow>,
    total_cost: String,
    price_note: String,
    facts: Vec<(&'static str, String)>,
    error: Option<String>,
    diagnostics: Vec<Diagnostic>,
    trace: String,
    sessions: Vec<(String, String, String)>,
}

/// A tag with the scope that set it.
struct Tag {
    key: String,
    value: String,
    source: String,
    /// The requests with the same value.
    href: String,
}

/// A kind of usage with its price.
struct CostRow {
    unit: String,
    quantity: String,
    price: String,
    cost: String,
}

/// A note on a tag that was changed or dropped.
struct Diagnostic {
    code: String,
    key: String,
    detail: String,
}

pub(crate) async fn request(
    State(state): State<DashboardState>,
    Path(id): Path<String>,
    head: Parts,
) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::LogsView, &[])?;
    let own = UrlQuery::default();
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let not_found = || PageError::not_found("There is no request with this id among those that you may see.");
    let id: Uuid = id.parse().map_err(|_| not_found())?;
    let row = state.analytics.row(id, &request.grant).await?.ok_or_else(not_found)?;
    let frame = request.frame(format!("Request {}", row.id), "requests").await;
    html::page(&page(&request, &row, frame))
}

fn page(request: &PageRequest, row: &EventRow, frame: Frame) -> RequestPage {
    let view = &request.view;
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| format::UNKNOWN.to_owned());
    let millis =
        |value: Option<u32>| value.map_or_else(|| format::UNKNOWN.to_owned(), |value| format::millis(value.into()));
    let count = |value: Option<u64>| value.map_or_else(|| format::UNKNOWN.to_owned(), format::count);
    let cards = vec![
        (
            "Cost",
            row.total_cost_nanos.map_or_else(|| format::UNKNOWN.to_owned(), format::nanos),
            text(&row.cost_status),
        ),
        ("Model", text(&row.model), text(&row.provider)),
        (
            "Tokens in / out",
            format!("{} / {}", count(row.input_tokens), count(row.output_tokens)),
            text(&row.usage_status),
        ),
        (
            "Duration",
            format::millis(row.response_time_ms.into()),
            format!("first token {}", millis(row.time_to_first_token_ms)),
        ),
    ];
    let facts = vec![
        ("Request", format!("{} {}", row.request_method, row.request_path)),
        ("Route", text(&row.route)),
        ("Host", text(&row.host)),
        ("Outcome", row.outcome.clone()),
        ("Rejection", text(&row.rejection)),
        ("API key", text(&row.api_key)),
        ("Workspace", text(&row.workspace)),
        ("Virtual key", text(&row.virtual_key)),
        ("Operation", text(&row.operation)),
        ("Requested model", text(&row.request_model)),
        ("Service tier", text(&row.service_tier)),
        ("Response head", millis(row.time_to_head_ms)),
        ("First byte", millis(row.time_to_first_byte_ms)),
        ("Bytes in / out", format!("{} / {}", count(row.request_bytes), format::count(row.response_bytes))),
        ("Step", text(&row.span_path)),
        ("Id", row.id.to_string()),
        ("Trace id", row.trace_id.clone()),
        ("Span", row.span_id.clone()),
        ("Caller's span", text(&row.parent_span_id)),
        ("Caller's trace id", text(&row.client_trace_id)),
    ];
    let unfiltered = view.unfiltered();
    let sessions = super::SESSION_KEYS.iter().filter_map(|key| {
        let value = row.raw_metadata.get(key)?;
        Some(((*key).to_owned(), value.to_owned(), super::session_href("../", key, value, &unfiltered)))
    });
    RequestPage {
        frame,
        status: Status::of(row),
        time: format::time(row.requested_at, &view.zone),
        machine_time: format::machine_time(row.requested_at),
        cards,
        tags: tags(row, view),
        cost_lines: cost_lines(row),
        total_cost: row.total_cost_nanos.map_or_else(|| format::UNKNOWN.to_owned(), format::exact_money),
        price_note: row.price_source.clone().map_or_else(String::new, |source| format!("Prices of {source}")),
        facts: facts.into_iter().filter(|(_, value)| value != format::UNKNOWN).collect(),
        error: row.llm_error.clone().or_else(|| row.error_message.clone()),
        diagnostics: diagnostics(row),
        trace: format!("../traces/{}", row.trace_id),
        sessions: sessions.collect(),
    }
}

fn tags(row: &EventRow, view: &View) -> Vec<Tag> {
    let tag = |(key, value): (&str, &str)| Tag {
        source: row.metadata_sources.get(key).unwrap_or("unknown").to_owned(),
        href: {
            let condition = Condition::of_group(&Dimension::tag(key), Some(value));
            format!("../requests{}", view.with(condition).query_string().text())
        },
        key: key.to_owned(),
        value: value_label(Some(value), UNSET),
    };
    row.raw_metadata.iter().map(tag).collect()
}

/// Returns the kinds of usage with the price that each line implies.
#[allow(clippy::cast_precision_loss, reason = "the price is shown with few digits")]
fn cost_lines(row: &EventRow) -> Vec<CostRow> {
    let lines = row.cost_lines.iter().flatten();
    let line = |line: &crate::analytics::CostLine| {
        let nanos = line.cost.nano_usd();
        let per_million = nanos as f64 / line.quantity.max(1) as f64 / 1e3;
        CostRow {
            unit: line.unit.as_str().replace('_', " "),
            quantity: format::count(line.quantity),
            price: if line.quantity == 0 {
                String::new()
            } else {
                format!("${} per million", format::decimal(per_million, 4))
            },
            cost: format::exact_money(nanos),
        }
    };
    lines.map(line).collect()
}

fn diagnostics(row: &EventRow) -> Vec<Diagnostic> {
    let list = row.diagnostics.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |entry: &serde_json::Value, name: &str| {
        let value = entry.get(name).unwrap_or(&serde_json::Value::Null);
        value
            .as_str()
            .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, ToOwned::to_owned)
    };
    list.iter()
        .map(|entry| Diagnostic { code: text(entry, "code"), key: text(entry, "key"), detail: text(entry, "detail") })
        .collect()
}
