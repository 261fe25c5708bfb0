//! Any measure by any two dimensions, as a chart, a table, and a CSV file of the same numbers.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{header, request::Parts};

use crate::{
    analytics::{Amount, Answer, Bucket, Dimension, Measure, Query},
    dashboard::{
        format,
        frame::{Choice, Frame},
        html,
        load::QueryLoad,
        measures::LISTED,
        page_error::PageError,
        page_request::PageRequest,
        series_chart::{ChartInput, ChartRow, SeriesChart, amount, bucket_start, group_label, is_unset, rest},
        state::DashboardState,
        view::{Condition, ExploreChoice, UrlQuery, View, dimension, short_name},
    },
    registry::Permission,
};

use super::Latest;

const PATH: &str = "explore";
const NAMES: &[&str] = &["m", "g", "s", "n", "b", "c"];
/// The parameter of the CSV file with the name of a table.
const TABLE: &str = "t";
/// The table with the groups over the whole range.
const RANKING: &str = "ranking";
const NONE: &str = ExploreChoice::NONE;
/// The numbers of groups that the list offers.
const LIMITS: [u32; 5] = [5, 8, 20, 50, 200];
const BUCKETS: [(Bucket, &str); 7] = [
    (Bucket::Auto, "Automatic"),
    (Bucket::Minute, "Minute"),
    (Bucket::QuarterHour, "Quarter hour"),
    (Bucket::Hour, "Hour"),
    (Bucket::Day, "Day"),
    (Bucket::Week, "Week"),
    (Bucket::Month, "Month"),
];

/// What is explored.
struct Selection {
    measure: Measure,
    label: &'static str,
    is_sum: bool,
    group: Option<Dimension>,
    subgroup: Option<Dimension>,
    limit: u32,
    /// `None` shows a ranking without a chart over time.
    bucket: Option<Bucket>,
    is_cumulative: bool,
}

#[derive(Template)]
#[template(path = "explore.html", config = "src/dashboard/askama.toml")]
struct Explore {
    frame: Frame,
    is_empty: bool,
    latest: Latest,
    form: Form,
    title: String,
    note: String,
    chart_csv: String,
    ranking_csv: String,
    series: Option<SeriesChart>,
    groups: Vec<GroupRow>,
    group_heading: String,
    value_heading: &'static str,
    total: String,
    total_requests: String,
}

struct Form {
    measures: Vec<Choice>,
    group: String,
    subgroup: String,
    limits: Vec<Choice>,
    buckets: Vec<Choice>,
    is_cumulative: bool,
    can_accumulate: bool,
    hidden: Vec<(String, String)>,
}

/// All groups that are not shown.
struct Other {
    value: Option<Amount>,
    requests: u64,
}

/// A line of the ranking.
struct GroupRow {
    label: String,
    is_unset: bool,
    href: Option<String>,
    value: String,
    share: String,
    /// The width of the bar, from 0 to 110.
    width: String,
    requests: String,
}

pub(crate) async fn explore(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, NAMES)?;
    let selection = Selection::read(&request.query)?;
    let own = selection.query_string();
    if let Some(redirect) = request.canonical(&own) {
        return Ok(redirect);
    }
    let view = &request.view;
    let (answer, series) = selection.run(&request).await?;
    let groups = selection.ranking(view, &answer);
    let is_empty = answer.total.totals.requests == 0;
    let mut csv_query = view.query_string();
    csv_query.extend(&own);
    let chart_csv = format!("explore.csv{}", csv_query.text());
    csv_query.push(TABLE, RANKING);
    let page = Explore {
        frame: request
            .filtered_frame("Explore", PATH, &own)
            .await?
            .with_trust(request.trust(&answer.basis).with_totals(&answer.basis, &answer.total.totals)),
        is_empty,
        latest: if is_empty { Latest::find(&request, &answer.basis).await? } else { Latest::NoMatch },
        form: selection.form(view),
        title: selection.title(),
        note: match selection.group {
            Some(_) => format!("top {} of {}", answer.groups.len(), format::count(answer.group_count)),
            None => String::new(),
        },
        chart_csv,
        ranking_csv: format!("explore.csv{}", csv_query.text()),
        series,
        groups,
        group_heading: selection.heading(),
        value_heading: selection.label,
        total: format::amount(amount(Some(&answer.total), 0)),
        total_requests: format::count(answer.total.totals.requests),
    };
    html::page(&page)
}

/// Returns a table of the page as CSV: that of the chart, or the ranking.
pub(crate) async fn explore_csv(State(state): State<DashboardState>, head: Parts) -> Result<Response, PageError> {
    let request = PageRequest::read(&state, &head, Permission::AnalyticsView, &[NAMES, &[TABLE]].concat())?;
    let selection = Selection::read(&request.query)?;
    let is_ranking = match request.query.get(TABLE) {
        None => false,
        Some(RANKING) => true,
        Some(name) => return Err(PageError::invalid(format!("unknown table {name:?}: expected {RANKING}"))),
    };
    let (answer, series) = selection.run(&request).await?;
    let (name, mut lines) = match series.filter(|_| !is_ranking) {
        Some(series) => ("explore.csv", chart_lines(&series, &request.view)),
        None => ("explore-ranking.csv", selection.ranking_lines(&answer)),
    };
    add_notes(&mut lines, &answer.basis.notes);
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, crate::analytics::csv_lines(&lines)?).into_response())
}

/// Formats a value for other programs. Unknown is empty.
fn plain(amount: Option<Amount>) -> String {
    amount.map(|amount| amount.to_string()).unwrap_or_default()
}

/// Returns the table of a chart, with the days of the reporting zone.
fn chart_lines(series: &SeriesChart, view: &View) -> Vec<Vec<String>> {
    let zone = view.zone.iana_name().unwrap_or("UTC");
    let mut head = vec![format!("{} ({zone})", series.period)];
    head.extend(series.legend.iter().map(|entry| entry.label.clone()));
    head.push("Total".to_owned());
    let line = |row: &ChartRow| {
        let start = bucket_start(row.start, series.bucket, &view.zone);
        std::iter::once(start).chain(row.amounts.iter().copied().map(plain)).collect()
    };
    std::iter::once(head).chain(series.rows.iter().map(line)).collect()
}

/// Adds a column with the differences from what was asked for. Its first line has all of them.
fn add_notes(lines: &mut [Vec<String>], notes: &[String]) {
    if notes.is_empty() {
        return;
    }
    for (at, line) in lines.iter_mut().enumerate() {
        line.push(match at {
            0 => "Notes".to_owned(),
            1 => notes.join(" "),
            _ => String::new(),
        });
    }
}

impl Selection {
    fn read(query: &UrlQuery) -> Result<Self, PageError> {
        let name = query.get("m").unwrap_or("cost");
        let listed = LISTED.iter().find(|(measure, _, _)| measure.to_string() == name);
        let (measure, label, is_sum) = listed
            .cloned()
            .ok_or_else(|| PageError::invalid(format!("unknown measure {name:?}: expected one such as cost")))?;
        let group = match query.get("g") {
            None => Some(ExploreChoice::DEFAULT_GROUP.into()),
            Some(NONE) => None,
            Some(name) => Some(dimension(name.trim())?),
        };
        let subgroup = query.get("s").map(|name| dimension(name.trim())).transpose()?;
        let subgroup = subgroup.filter(|subgroup| group.as_ref().is_some_and(|group| group != subgroup));
        let limit = match query.get("n") {
            None => ExploreChoice::DEFAULT_LIMIT,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=QueryLoad::MAX_GROUPS).contains(limit)).ok_or_else(|| {
                    PageError::invalid(format!("invalid limit {text:?}: expected 1 to {}", QueryLoad::MAX_GROUPS))
                })?
            }
        };
        let bucket = match query.get("b") {
            None => Some(Bucket::Auto),
            Some(NONE) => None,
            Some(name) => {
                let found = BUCKETS.iter().find(|(bucket, _)| bucket.as_str() == name);
                let invalid = || PageError::invalid(format!("unknown bucket {name:?}: expected one such as day"));
                Some(found.ok_or_else(invalid)?.0)
            }
        };
        let is_cumulative = query.get("c") == Some("1") && is_sum && bucket.is_some();
        Ok(Self { measure, label, is_sum, group, subgroup, limit, bucket, is_cumulative })
    }

    /// Returns the parameters that are not the default.
    fn query_string(&self) -> UrlQuery {
        let choice = ExploreChoice {
            measure: self.measure.clone(),
            group: self.group.clone(),
            subgroup: self.subgroup.clone(),
            limit: self.limit,
            bucket: self.bucket,
            is_cumulative: self.is_cumulative,
        };
        choice.query_string()
    }

    fn dimensions(&self) -> Vec<Dimension> {
        self.group.iter().chain(&self.subgroup).cloned().collect()
    }

    fn heading(&self) -> String {
        let names: Vec<String> = self.dimensions().iter().map(short_name).collect();
        if names.is_empty() { "Requests".to_owned() } else { names.join(" · ") }
    }

    fn title(&self) -> String {
        let by = if self.group.is_some() { format!(" by {}", self.heading()) } else { String::new() };
        format!("{}{by}{}", self.label, if self.is_cumulative { ", cumulative" } else { "" })
    }

    async fn run(&self, request: &PageRequest) -> Result<(Answer, Option<SeriesChart>), PageError> {
        let view = &request.view;
        let range = view.time_range()?;
        let query = |range| {
            let query = view.query(range).measure(self.measure.clone()).measure(Measure::Requests).limit(self.limit);
            let query = self.dimensions().into_iter().fold(query, Query::group_by);
            self.bucket.into_iter().fold(query, Query::bucket)
        };
        let answer = request.state.run(&query(range.clone()), &request.grant).await?;
        let Some(bucket) = self.bucket else { return Ok((answer, None)) };
        let earlier = view.previous_range()?;
        let previous = if request.earlier(&earlier).await?.is_complete() {
            let mut compared = query(earlier);
            compared.group_by.clear();
            Some(request.state.run(&compared, &request.grant).await?)
        } else {
            None
        };
        let bucket = if bucket == Bucket::Auto { range.auto_bucket() } else { bucket };
        let series = SeriesChart::new(ChartInput {
            label: &self.title(),
            view,
            range: &range,
            bucket,
            answer: &answer,
            previous: previous.as_ref(),
            dimensions: &self.dimensions(),
            measure: 0,
            is_sum: self.is_sum,
            is_cumulative: self.is_cumulative,
        });
        Ok((answer, Some(series)))
    }

    /// Returns the value and the number of requests of all groups that are not shown. `None` if all are shown, or if values
    /// do not add up.
    fn other(&self, answer: &Answer) -> Option<Other> {
        let has_other = self.is_sum && answer.group_count > answer.groups.len() as u64;
        let parts: Vec<Option<Amount>> = answer.groups.iter().map(|group| amount(Some(&group.cell), 0)).collect();
        let shown: u64 = answer.groups.iter().map(|group| group.cell.totals.requests).sum();
        has_other.then(|| Other {
            value: rest(amount(Some(&answer.total), 0), &parts),
            requests: answer.total.totals.requests.saturating_sub(shown),
        })
    }

    /// Returns the ranking, which ends with the total.
    fn ranking_lines(&self, answer: &Answer) -> Vec<Vec<String>> {
        let requests = |count: u64| count.to_string();
        let mut lines = vec![vec![self.heading(), self.label.to_owned(), "Requests".to_owned()]];
        for group in &answer.groups {
            let value = plain(amount(Some(&group.cell), 0));
            lines.push(vec![group_label(&group.values), value, requests(group.cell.totals.requests)]);
        }
        if let Some(other) = self.other(answer) {
            lines.push(vec!["Other".to_owned(), plain(other.value), requests(other.requests)]);
        }
        let total = plain(amount(Some(&answer.total), 0));
        lines.push(vec!["Total".to_owned(), total, requests(answer.total.totals.requests)]);
        lines
    }

    fn ranking(&self, view: &View, answer: &Answer) -> Vec<GroupRow> {
        let number = |value: Option<Amount>| value.map_or(0.0, Amount::as_f64);
        let total = number(amount(Some(&answer.total), 0));
        let max = answer.groups.iter().map(|group| number(amount(Some(&group.cell), 0))).fold(0.0, f64::max);
        let row =
            |label: String, is_unset: bool, href: Option<String>, value: Option<Amount>, requests: u64| GroupRow {
                label,
                is_unset,
                href,
                value: format::amount(value),
                share: if self.is_sum && total > 0.0 {
                    format::percent(number(value) / total * 100.0)
                } else {
                    String::new()
                },
                width: format::decimal(if max > 0.0 { (number(value) / max).clamp(0.0, 1.0) * 110.0 } else { 0.0 }, 1),
                requests: format::count(requests),
            };
        let dimensions = self.dimensions();
        let mut rows: Vec<GroupRow> = answer
            .groups
            .iter()
            .map(|group| {
                let conditions = Condition::of_groups(&dimensions, &group.values);
                let mut query =
                    conditions.into_iter().fold(view.clone(), |view, condition| view.with(condition)).query_string();
                query.extend(&self.query_string());
                let is_unset = group.values.iter().all(|value| is_unset(value.as_deref()));
                let value = amount(Some(&group.cell), 0);
                row(group_label(&group.values), is_unset, Some(query.href()), value, group.cell.totals.requests)
            })
            .collect();
        if let Some(other) = self.other(answer) {
            rows.push(row("Other".to_owned(), true, None, other.value, other.requests));
        }
        rows
    }

    fn form(&self, view: &View) -> Form {
        let choice = |value: String, label: String, is_selected: bool| Choice { value, label, is_selected };
        let measures = LISTED
            .iter()
            .map(|(measure, label, _)| choice(measure.to_string(), (*label).to_owned(), *measure == self.measure));
        let mut limits: Vec<u32> = LIMITS.into_iter().chain([self.limit]).collect();
        limits.sort_unstable();
        limits.dedup();
        let buckets = BUCKETS.iter().map(|(bucket, label)| {
            choice(bucket.as_str().to_owned(), (*label).to_owned(), self.bucket == Some(*bucket))
        });
        let ranking = choice(NONE.to_owned(), "None: ranking".to_owned(), self.bucket.is_none());
        Form {
            measures: measures.collect(),
            group: self.group.as_ref().map_or_else(|| NONE.to_owned(), short_name),
            subgroup: self.subgroup.as_ref().map(short_name).unwrap_or_default(),
            limits: limits
                .into_iter()
                .map(|limit| choice(limit.to_string(), format!("Top {limit}"), limit == self.limit))
                .collect(),
            buckets: buckets.chain([ranking]).collect(),
            is_cumulative: self.is_cumulative,
            can_accumulate: self.is_sum && self.bucket.is_some(),
            hidden: view.query_string().into_pairs(),
        }
    }
}
