use std::{fmt::Write as _, process::ExitCode};

use clap::Args;
use tower_tagging::analytics::{Analytics, Answer, Bucket, Cell, Grant, Measure, Order, Query, jiff::tz::TimeZone};

use crate::{
    failure::Failure,
    filter::{dimension, warn_of_unknown_tags},
    format, print, print_json,
    rest::Rest,
    scope::Scope,
    store::StoreArgument,
    table::Table,
};

/// The columns of numbers.
pub(crate) const MEASURES: [Measure; 5] =
    [Measure::Cost, Measure::Requests, Measure::ErrorRate, Measure::P95Latency, Measure::UnpricedRequests];
const HEADING: [&str; 7] = ["COST", "SHARE", "REQUESTS", "ERRORS", "P95", "UNPRICED", "TREND"];
/// The columns that narrow terminals have no room for, the first of them first.
const OPTIONAL: [&str; 5] = ["TREND", "UNPRICED", "P95", "SHARE", "ERRORS"];
/// The position of the latency in the measures.
const P95: usize = 3;
/// The label of requests without a value.
const UNSET: &str = "(not set)";
const LABEL_CHARS: usize = 40;
const TREND_CHARS: usize = 24;

/// Shows cost, requests, errors, and latency by up to three dimensions.
#[derive(Debug, Args)]
#[command(after_help = "Without --since, the range begins 7d ago.")]
pub(crate) struct Report {
    #[command(flatten)]
    store: StoreArgument,
    /// Groups by a field such as model, or by the key of a tag. At most three times
    #[arg(long, value_name = "KEY")]
    by: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// The number of groups to show. The others become one row
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    limit: u32,
    /// Prints the answer as JSON, with a series
    #[arg(long)]
    json: bool,
}

impl Report {
    pub(crate) async fn run(&self) -> Result<ExitCode, Failure> {
        let by = self.by.iter().map(|name| dimension(name)).collect::<Result<Vec<_>, _>>()?;
        let query = self.scope.filters()?.into_iter().fold(Query::new(self.scope.period.range("7d")?), Query::filter);
        let query = by.into_iter().fold(query.bucket(Bucket::Auto).limit(self.limit), Query::group_by);
        let analytics = self.store.open()?;
        warn_of_unknown_tags(&analytics, &query).await?;
        let answer = answer(&analytics, query).await?;
        if self.json {
            print_json(&answer)?;
        } else {
            let zone = self.scope.period.zone()?;
            print(&format!("{}\n{}", table(&answer, &self.by), footer(&answer, &zone)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Answers a query with the columns of reports, the highest cost first.
pub(crate) async fn answer(analytics: &Analytics, query: Query) -> Result<Answer, Failure> {
    let query = MEASURES.into_iter().fold(query, Query::measure).order(Order::Descending(Measure::Cost));
    Ok(analytics.run(&query, &Grant::everything()).await?)
}

/// Returns the groups of an answer, the row of the others, and the total.
pub(crate) fn table(answer: &Answer, by: &[String]) -> String {
    let has_trend = !answer.buckets.is_empty();
    let labels = by.len().max(1);
    let names = if by.is_empty() { vec![String::new()] } else { by.iter().map(|name| name.to_uppercase()).collect() };
    let numbers = HEADING.iter().filter(|name| has_trend || **name != "TREND").map(|name| (*name).to_owned());
    let heading = names.into_iter().map(|name| format::cut(&name, LABEL_CHARS)).chain(numbers);
    let mut table = Table::new(labels, &OPTIONAL, heading.collect());
    let whole = Rest::of(&answer.total.totals);
    let row = |labels: Vec<String>, sums: &Rest, cell: Option<(&Cell, &[Cell])>| {
        let p95 = cell.and_then(|(cell, _)| cell.values.get(P95).copied().flatten());
        let trend = cell.map(|(_, series)| trend(series)).filter(|_| has_trend);
        let numbers = [
            format::amount(sums.cost()),
            format::amount(sums.share_of(&whole)),
            format::count(sums.requests),
            format::amount(sums.error_rate()),
            format::amount(p95),
            format::count(sums.unpriced),
        ];
        labels.into_iter().chain(numbers).chain(trend).collect::<Vec<String>>()
    };
    let first_label = |label: &str| {
        let rest = std::iter::repeat_n(String::new(), labels - 1);
        std::iter::once(label.to_owned()).chain(rest).collect::<Vec<String>>()
    };
    let mut others = whole;
    for group in &answer.groups {
        let sums = Rest::of(&group.cell.totals);
        others.subtract(sums);
        let labels = group
            .values
            .iter()
            .map(|value| value.as_deref().map_or_else(|| UNSET.to_owned(), |value| format::cut(value, LABEL_CHARS)));
        table.row(row(labels.collect(), &sums, Some((&group.cell, &group.series))));
    }
    let hidden = answer.group_count.saturating_sub(answer.groups.len() as u64);
    if hidden > 0 {
        table.row(row(first_label(&format!("({} others)", format::count(hidden))), &others, None));
    }
    table.total(row(first_label("total"), &whole, Some((&answer.total, &answer.series))));
    table.text()
}

/// Returns the cost over time, or the requests if nothing has a cost.
fn trend(series: &[Cell]) -> String {
    let values = |of: fn(&Cell) -> u64| -> Vec<f64> {
        #[allow(clippy::cast_precision_loss, reason = "a bar has eight heights")]
        series.iter().map(|cell| of(cell) as f64).collect()
    };
    let costs = values(|cell| cell.totals.cost_nanos);
    let has_cost = costs.iter().any(|cost| *cost > 0.0);
    format::sparkline(&if has_cost { costs } else { values(|cell| cell.totals.requests) }, TREND_CHARS)
}

/// Returns the range, the time up to which there is data, and what limits the answer.
pub(crate) fn footer(answer: &Answer, zone: &TimeZone) -> String {
    let basis = &answer.basis;
    let (from, to) = (format::time(basis.from, zone), format::time(basis.to, zone));
    let mut text = format!("{from} to {to}");
    let up_to = basis
        .data_up_to
        .map_or_else(|| "the store is empty".to_owned(), |time| format!("data up to {}", format::time(time, zone)));
    // Writing to a string never fails.
    let _ = write!(text, "; {up_to}");
    if let Some(share) = basis.unpriced_share.filter(|share| *share > 0.0) {
        let _ = write!(text, "; {} of LLM calls unpriced", format::percent(share));
    }
    text.push('\n');
    for note in &basis.notes {
        let _ = writeln!(text, "note: {}", format::printable(note));
    }
    text
}
