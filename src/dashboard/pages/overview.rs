//! The first page: the cost of the requests of a range by key, model, and status.

use std::cmp::Ordering;

use askama::Template;
use axum::{extract::State, response::Response};
use http::request::Parts;

use crate::{
    analytics::{Amount, Answer, Bucket, Dimension, Field, Group, Measure, Query, TimeRange},
    dashboard::{
        chart::Sparkline,
        earlier::Earlier,
        format,
        frame::Frame,
        html,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{ChartInput, SeriesChart, UNSET, amount, is_unset, value_label},
        state::DashboardState,
        table::{Cell, Table, TableRow},
        view::{Condition, UrlQuery, short_name},
    },
    registry::Permission,
};

use super::Latest;

/// The number of rows of each table.
const ROWS: u32 = 10;

/// The measures of the cards, in the order of [`Total`].
const TOTALS: [Measure; 12] = [
    Measure::Cost,
    Measure::Requests,
    Measure::InputTokens,
    Measure::OutputTokens,
    Measure::ErrorRate,
    Measure::P50Latency,
    Measure::P95Latency,
    Measure::CacheSavings,
    Measure::Errors,
    Measure::P50FirstToken,
    Measure::CacheHitRate,
    Measure::CacheReadTokens,
];

/// The position of a measure in [`TOTALS`].
#[derive(Clone, Copy)]
enum Total {
    Cost,
    Requests,
    InputTokens,
    OutputTokens,
    ErrorRate,
    P50Latency,
    P95Latency,
    CacheSavings,
    Errors,
    P50FirstToken,
    CacheHitRate,
    CacheReadTokens,
}

#[derive(Template)]
#[template(path = "overview.html", config = "src/dashboard/askama.toml")]
struct Overview {
    frame: Frame,
    is_empty: bool,
    latest: Latest,
    cards: Vec<Card>,
    title: String,
    note: String,
    explore: String,
    series: SeriesChart,
    tables: Vec<Table>,
}

struct Card {
    label: &'static str,
    value: String,
    delta: Option<Delta>,
    note: String,
    href: String,
    spark: Sparkline,
}

/// The change from the previous period.
struct Delta {
    class: &'static str,
    text: String,
}

pub(crate) async fn overview(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &[])?;
    let own = UrlQuery::default();
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let view = &request.view;
    let (range, previous_range) = (view.time_range()?, view.previous_range()?);
    let bucket = range.auto_bucket();
    let dimension = request.first_dimension().await?;

    let totals = |range: &TimeRange| {
        let query = TOTALS.into_iter().fold(view.query(range.clone()), Query::measure);
        query.bucket(bucket)
    };
    let (totals_query, previous_query) = (totals(&range), totals(&previous_range));
    let groups = |dimension: &Dimension| {
        let measures = [Measure::Cost, Measure::Requests, Measure::ErrorRate, Measure::P95Latency];
        measures.into_iter().fold(view.query(range.clone()).group_by(dimension.clone()).limit(ROWS), Query::measure)
    };
    let by_key_query = groups(&dimension).bucket(bucket);
    let by_model_query = groups(&Field::Model.into());
    let by_error_query = view
        .query(range.clone())
        .group_by(Field::Status)
        .measure(Measure::Errors)
        .measure(Measure::Requests)
        .limit(ROWS);
    let run = |query| state.run(query, &request.grant);
    let earlier = request.earlier(&previous_range).await?;
    let answer = run(&totals_query).await?;
    let previous = if earlier.is_complete() { Some(run(&previous_query).await?) } else { None };
    let is_empty = answer.total.totals.requests == 0;
    let (by_key, by_model, by_error) =
        (run(&by_key_query).await?, run(&by_model_query).await?, run(&by_error_query).await?);

    let name = short_name(&dimension);
    let title = format!("Cost per {} by {name}", bucket_noun(bucket));
    let series = SeriesChart::new(ChartInput {
        label: &title,
        view,
        range: &range,
        bucket,
        answer: &by_key,
        previous: previous.as_ref(),
        dimensions: std::slice::from_ref(&dimension),
        measure: 0,
        is_sum: true,
        is_cumulative: false,
    });
    let shown = by_key.groups.len().min(crate::dashboard::chart::COLORS);
    let page = Overview {
        frame: request
            .filtered_frame("Overview", "", &own)
            .await?
            .with_trust(request.trust(&answer.basis).with_totals(&answer.basis, &answer.total.totals)),
        is_empty,
        latest: if is_empty { Latest::find(&request, &answer.basis).await? } else { Latest::NoMatch },
        cards: cards(&request, &answer, previous.as_ref(), earlier),
        note: format!("top {shown} of {}", format::count(by_key.group_count)),
        title,
        explore: explore_href(&request, Some(&dimension), &Measure::Cost),
        series,
        tables: vec![
            group_table(&request, "keys", format!("Cost by {name}"), &dimension, &by_key),
            group_table(&request, "models", "Cost by model".to_owned(), &Field::Model.into(), &by_model),
            error_table(&request, &by_error),
        ],
    };
    html::page(&page)
}

fn bucket_noun(bucket: Bucket) -> String {
    bucket.to_string().replace('_', " ")
}

/// Returns the page that shows a measure over time, by a dimension.
fn explore_href(request: &PageRequest, dimension: Option<&Dimension>, measure: &Measure) -> String {
    let mut query = request.view.query_string();
    if *measure != Measure::Cost {
        query.push("m", measure.to_string());
    }
    match dimension {
        None => query.push("g", "none"),
        Some(Dimension::Field(Field::Model)) => {}
        Some(dimension) => query.push("g", short_name(dimension)),
    }
    request.mount.link("explore", &query.text())
}

fn cards(request: &PageRequest, answer: &Answer, previous: Option<&Answer>, earlier: Earlier) -> Vec<Card> {
    let value = |answer: &Answer, total: Total| amount(Some(&answer.total), total as usize);
    let text = |total: Total| format::amount(value(answer, total));
    let short = |total: Total| match value(answer, total) {
        Some(Amount::Count(count)) => format::short_count(count),
        other => format::amount(other),
    };
    let card = |label, main: Total, value_text: String, note: String, is_cost_like: Option<bool>| Card {
        label,
        value: value_text,
        delta: is_cost_like
            .zip(previous)
            .and_then(|(more_is_worse, previous)| delta(value(answer, main), value(previous, main), more_is_worse)),
        note: if is_cost_like.is_some() { earlier.reason(&request.view.zone) } else { note },
        href: TOTALS.get(main as usize).map(|measure| explore_href(request, None, measure)).unwrap_or_default(),
        spark: Sparkline::new(answer.series.iter().map(|cell| amount(Some(cell), main as usize).map(Amount::as_f64))),
    };
    let cached = match (value(answer, Total::CacheReadTokens), value(answer, Total::InputTokens)) {
        (Some(cached), Some(input)) if input.as_f64() > 0.0 => {
            format!("{} of input from cache", format::percent(cached.as_f64() / input.as_f64() * 100.0))
        }
        _ => String::new(),
    };
    vec![
        card("Cost", Total::Cost, text(Total::Cost), String::new(), Some(true)),
        card("Requests", Total::Requests, text(Total::Requests), String::new(), Some(false)),
        card(
            "Tokens in / out",
            Total::InputTokens,
            format!("{} / {}", short(Total::InputTokens), short(Total::OutputTokens)),
            cached,
            None,
        ),
        card("Error rate", Total::ErrorRate, text(Total::ErrorRate), format!("{} errors", text(Total::Errors)), None),
        card(
            "Latency p50 / p95",
            Total::P95Latency,
            format!("{} / {}", text(Total::P50Latency), text(Total::P95Latency)),
            format!("first token {} p50", text(Total::P50FirstToken)),
            None,
        ),
        card(
            "Saved by caching",
            Total::CacheSavings,
            text(Total::CacheSavings),
            format!("{} of LLM calls hit a cache", text(Total::CacheHitRate)),
            None,
        ),
    ]
}

/// Returns the change in percent.
fn delta(now: Option<Amount>, before: Option<Amount>, more_is_worse: bool) -> Option<Delta> {
    let (now, before) = (now?.as_f64(), before?.as_f64());
    if before <= 0.0 {
        return None;
    }
    let (arrow, class) = match now.total_cmp(&before) {
        Ordering::Equal => ("±", ""),
        Ordering::Greater => ("▲", if more_is_worse { "worse" } else { "better" }),
        Ordering::Less => ("▼", if more_is_worse { "better" } else { "worse" }),
    };
    Some(Delta { class, text: format!("{arrow} {}", format::change(now, before)) })
}

fn group_table(request: &PageRequest, id: &str, title: String, dimension: &Dimension, answer: &Answer) -> Table {
    let mut table = Table::new(id, title, &["Value", "Cost", "Requests", "Errors", "p95"]);
    table.note = format!("top {} of {}", answer.groups.len(), format::count(answer.group_count));
    table.more = Some(explore_href(request, Some(dimension), &Measure::Cost));
    table.rows = answer.groups.iter().map(|group| row(request, dimension, UNSET, group)).collect();
    table
}

fn error_table(request: &PageRequest, answer: &Answer) -> Table {
    let dimension = Field::Status.into();
    let mut table = Table::new("errors", "Errors by status", &["Status", "Errors", "Requests"]);
    table.note = format!("{} in all", format::count(answer.total.totals.errors));
    table.more = Some(explore_href(request, Some(&dimension), &Measure::Errors));
    let groups = answer.groups.iter().filter(|group| group.cell.totals.errors > 0);
    table.rows = groups.map(|group| row(request, &dimension, "no response", group)).collect();
    "No request failed.".clone_into(&mut table.empty);
    table
}

fn row(request: &PageRequest, dimension: &Dimension, unset: &str, group: &Group) -> TableRow {
    let value = group.values.first().cloned().flatten();
    let condition = Condition::of_group(dimension, value.as_deref());
    TableRow {
        is_unset: is_unset(value.as_deref()),
        label: value_label(value.as_deref(), unset),
        href: Some(request.view.with(condition).query_string().href()),
        cells: group.cell.values.iter().map(|value| Cell::number(format::amount(*value))).collect(),
    }
}
