//! Two values of a key, or two periods, side by side.

use askama::Template;
use axum::{extract::State, response::Response};
use http::request::Parts;

use crate::{
    analytics::{Amount, Answer, Bucket, Cell, Dimension, Filter, Measure, Query},
    dashboard::{
        chart::{Point, Shape, TimeChart, Unit},
        earlier::Earlier,
        format,
        frame::Frame,
        html,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{UNSET, amount, bucket_label, bucket_title, value_label},
        state::DashboardState,
        view::{Condition, RangeChoice, UrlQuery, dimension, short_name},
    },
    registry::Permission,
};

const NAMES: &[&str] = &["g", "a", "b"];
/// The measures with their names, and whether more is worse.
const MEASURES: [(Measure, &str, Option<bool>); 11] = [
    (Measure::Cost, "Cost", Some(true)),
    (Measure::Requests, "Requests", None),
    (Measure::AvgCost, "Cost per call", Some(true)),
    (Measure::AvgTokens, "Tokens per request", None),
    (Measure::ErrorRate, "Error rate", Some(true)),
    (Measure::P50Latency, "Latency p50", Some(true)),
    (Measure::P95Latency, "Latency p95", Some(true)),
    (Measure::P50FirstToken, "First token p50", Some(true)),
    (Measure::CacheHitRate, "Cache hit rate", Some(false)),
    (Measure::FeedbackRequests, "Requests with feedback", None),
    (Measure::FeedbackScore, "Feedback score", Some(false)),
];

#[derive(Template)]
#[template(path = "compare.html", config = "src/dashboard/askama.toml")]
struct ComparePage {
    frame: Frame,
    key: String,
    a: String,
    b: String,
    hidden: Vec<(String, String)>,
    suggestions: Vec<String>,
    names: [String; 2],
    links: [String; 2],
    rows: Vec<CompareRow>,
    /// Why the sides are not compared.
    note: String,
    chart: TimeChart,
    chart_title: String,
}

/// A measure of both sides.
struct CompareRow {
    name: &'static str,
    values: [String; 2],
    change: String,
    class: &'static str,
}

pub(crate) async fn compare(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, NAMES)?;
    let view = &request.view;
    let mut own = UrlQuery::default();
    let key = request.query.get("g").map(|name| dimension(name.trim())).transpose()?;
    let given = |name: &str| request.query.get(name).map(ToOwned::to_owned);
    let (mut a, mut b) = (given("a"), given("b"));
    if let Some(key) = &key {
        own.push("g", short_name(key));
        for (name, value) in [("a", &a), ("b", &b)] {
            if let Some(value) = value {
                own.push(name, value.clone());
            }
        }
    }
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let range = view.time_range()?;
    let bucket = range.auto_bucket();
    let mut suggestions = Vec::new();
    if let Some(key) = &key {
        let query = view.query(range.clone()).group_by(key.clone()).measure(Measure::Requests).limit(50);
        let answer = state.run(&query, &request.grant).await?;
        suggestions = answer.groups.into_iter().filter_map(|group| group.values.into_iter().next().flatten()).collect();
        // The two most frequent values, unless others are chosen.
        let chosen = [a.clone(), b.clone()];
        let mut rest = suggestions.iter().filter(|value| !chosen.iter().flatten().any(|chosen| chosen == *value));
        a = a.or_else(|| rest.next().cloned());
        b = b.or_else(|| rest.next().cloned());
    }
    let measured =
        |query: Query| MEASURES.iter().map(|(measure, ..)| measure.clone()).fold(query.bucket(bucket), Query::measure);
    let side = |key: &Dimension, value: &Option<String>| {
        let query = view.query(range.clone());
        measured(match value {
            Some(value) => query.filter(Filter::is(key.clone(), value)),
            None => query.filter(Filter::HasNot(key.clone())),
        })
    };
    let queries = match &key {
        Some(key) => [side(key, &a), side(key, &b)],
        None => [measured(view.query(view.previous_range()?)), measured(view.query(range.clone()))],
    };
    let earlier = match &key {
        Some(_) => Earlier::Complete,
        None => request.earlier(&view.previous_range()?).await?,
    };
    let [first, second] = &queries;
    let answers = [state.run(first, &request.grant).await?, state.run(second, &request.grant).await?];
    let names = match &key {
        Some(_) => [&a, &b].map(|value| value_label(value.as_deref(), UNSET)),
        None => ["Previous period".to_owned(), "This period".to_owned()],
    };
    let views = if let Some(key) = &key {
        [&a, &b].map(|value| view.with(Condition::of_group(key, value.as_deref())))
    } else {
        let previous = view.previous_range()?;
        [view.with_range(RangeChoice::Instants(previous.from(), previous.to())), view.clone()]
    };
    let links = views.map(|view| request.mount.link("", &view.query_string().text()));
    let [one, other] = &answers;
    let frame = request
        .filtered_frame("Compare", "compare", &own)
        .await?
        .with_trust(request.trust(&other.basis).with_totals(&other.basis, &other.total.totals));
    html::page(&ComparePage {
        frame,
        key: key.as_ref().map(short_name).unwrap_or_default(),
        a: a.unwrap_or_default(),
        b: b.unwrap_or_default(),
        hidden: view.query_string().into_pairs(),
        suggestions,
        rows: rows(&one.total, &other.total, earlier),
        note: earlier.reason(&view.zone),
        chart: chart(&request, one, other, earlier, bucket, &names),
        chart_title: "Cost over time".to_owned(),
        names,
        links,
    })
}

fn rows(one: &Cell, other: &Cell, earlier: Earlier) -> Vec<CompareRow> {
    let row = |(at, (_, name, more_is_worse)): (usize, &(Measure, &'static str, Option<bool>))| {
        let (before, after) = (amount(Some(one), at), amount(Some(other), at));
        // What was not recorded is not zero.
        let before = before.filter(|_| earlier != Earlier::Unknown);
        let (change, class) = match (before.map(Amount::as_f64), after.map(Amount::as_f64)) {
            (Some(before), Some(after)) if earlier.is_complete() => difference(before, after, *more_is_worse),
            _ => (String::new(), ""),
        };
        CompareRow { name, values: [before, after].map(format::amount), change, class }
    };
    MEASURES.iter().enumerate().map(row).collect()
}

/// Returns the text of a difference, and its class.
fn difference(before: f64, after: f64, more_is_worse: Option<bool>) -> (String, &'static str) {
    /// Smaller changes are neither good nor bad.
    const MIN_CHANGE: f64 = 0.000_5;
    if before == 0.0 {
        return (String::new(), "");
    }
    let change = (after - before) / before.abs();
    // A score may be negative, which has no factor.
    let text =
        if before > 0.0 && after > 0.0 { format::change(after, before) } else { format::percent(change.abs() * 100.0) };
    let sign = match change {
        _ if text.starts_with('×') => "",
        0.0 => "",
        ..0.0 => "−",
        _ => "+",
    };
    let class = match more_is_worse {
        Some(more_is_worse) if change.abs() >= MIN_CHANGE => {
            if (change > 0.0) == more_is_worse {
                "worse"
            } else {
                "better"
            }
        }
        _ => "",
    };
    (format!("{sign}{text}"), class)
}

fn chart(
    request: &PageRequest,
    one: &Answer,
    other: &Answer,
    earlier: Earlier,
    bucket: Bucket,
    names: &[String; 2],
) -> TimeChart {
    let point = |(at, start): (usize, &_)| {
        let mut values = [one, other].map(|answer| amount(answer.series.get(at), 0));
        // Unknown is a gap, not zero.
        let is_known = match earlier {
            Earlier::Complete => true,
            Earlier::Partial(first, _) => one.buckets.get(at + 1).is_none_or(|end| *end > first),
            Earlier::Unknown => false,
        };
        if !is_known {
            values[0] = None;
        }
        let label = bucket_label(*start, bucket, &request.view.zone);
        let title = bucket_title(*start, bucket, &request.view.zone);
        let [first, second] = values.map(format::amount);
        let [one, other] = names;
        Point {
            title: format!("{title}: {one} {first}, {other} {second}"),
            label,
            href: request.view.query_string().href(),
            values: values.map(|value| value.map(Amount::as_f64)).to_vec(),
            previous: None,
        }
    };
    let points = other.buckets.iter().enumerate().map(point).collect();
    TimeChart::new("Cost over time", Shape::Lines, Unit::Money, points)
}
