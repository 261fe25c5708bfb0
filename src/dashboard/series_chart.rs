//! The chart of an answer with groups and a series, and the table of the same numbers.

use crate::analytics::{
    Amount, Answer, Bucket, Cell, Dimension, TimeRange,
    jiff::{Timestamp, tz::TimeZone},
};

use super::{
    chart::{BarChart, BarInput, COLORS, Unit, color},
    format,
    page_error::PageError,
    view::{Condition, RangeChoice, View},
};

/// The name of the requests without a value.
pub(crate) const UNSET: &str = "not set";

/// Stacked bars by group, with a legend and a table.
#[derive(Clone, Debug)]
pub(crate) struct SeriesChart {
    pub(crate) chart: BarChart,
    pub(crate) legend: Vec<LegendEntry>,
    pub(crate) rows: Vec<ChartRow>,
    /// The heading of the first column of the table.
    pub(crate) period: &'static str,
    /// The time zone of the table.
    pub(crate) zone: String,
}

/// A series with its color.
#[derive(Clone, Debug)]
pub(crate) struct LegendEntry {
    pub(crate) class: &'static str,
    pub(crate) label: String,
    /// The same page for this group only. `None` for all other groups together.
    pub(crate) href: Option<String>,
}

/// The numbers of a bar.
#[derive(Clone, Debug)]
pub(crate) struct ChartRow {
    pub(crate) label: String,
    /// The values of the legend's series, and the total.
    pub(crate) values: Vec<String>,
}

/// What a chart shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChartInput<'a> {
    pub(crate) label: &'a str,
    pub(crate) view: &'a View,
    pub(crate) range: &'a TimeRange,
    pub(crate) bucket: Bucket,
    pub(crate) answer: &'a Answer,
    /// The same query for the previous period.
    pub(crate) previous: Option<&'a Answer>,
    pub(crate) dimension: Option<&'a Dimension>,
    /// The position of the measure, whose values can be added.
    pub(crate) measure: usize,
}

impl SeriesChart {
    /// Draws an answer. The groups beyond the number of colors are one series.
    pub(crate) fn new(input: ChartInput<'_>) -> Result<Self, PageError> {
        let ChartInput { view, answer, measure, .. } = input;
        let shown = answer.groups.get(..COLORS.min(answer.groups.len())).unwrap_or_default();
        let has_rest = answer.group_count > shown.len() as u64;
        let mut legend: Vec<LegendEntry> = Vec::new();
        if let Some(dimension) = input.dimension {
            for (series, group) in shown.iter().enumerate() {
                let value = group.values.first().cloned().flatten();
                let condition = Condition::of_group(dimension, value.as_deref());
                let label = value.unwrap_or_else(|| UNSET.to_owned());
                let href = Some(view.with(condition).query_string().href());
                legend.push(LegendEntry { class: color(series), label, href });
            }
        }
        if has_rest {
            legend.push(LegendEntry { class: color(COLORS), label: "Other".to_owned(), href: None });
        }
        let mut bars = Vec::new();
        let mut rows = Vec::new();
        for (at, start) in answer.buckets.iter().enumerate() {
            let total = amount(answer.series.get(at), measure);
            let mut values: Vec<Option<Amount>> =
                shown.iter().map(|group| amount(group.series.get(at), measure)).collect();
            let rest = has_rest.then(|| rest(total, &values));
            let label = bucket_label(*start, input.bucket, &view.zone);
            let mut texts: Vec<String> = values.iter().map(|value| format::amount(*value)).collect();
            if let Some(rest) = rest {
                texts.push(format::amount(rest));
                values.resize(COLORS, None);
                values.push(rest);
            }
            if input.dimension.is_none() {
                values = vec![total];
            }
            texts.push(format::amount(total));
            let previous = input.previous.map(|answer| amount(answer.series.get(at), measure));
            let compared = previous.map(|value| format!(", previous period {}", format::amount(value)));
            let end = answer.buckets.get(at + 1).copied().unwrap_or(input.range.to());
            bars.push(BarInput {
                title: format!("{label}: {}{}", format::amount(total), compared.unwrap_or_default()),
                label: label.clone(),
                href: view.with_range(narrowed(*start, end, input.bucket, &view.zone)).query_string().href(),
                values: values.into_iter().map(|value| value.map(Amount::as_f64)).collect(),
                previous: previous.flatten().map(Amount::as_f64),
            });
            rows.push(ChartRow { label, values: texts });
        }
        let unit = answer.total.values.get(measure).copied().flatten().map_or(Unit::Count, Unit::of);
        let chart = BarChart::new(input.label, unit, bars);
        let zone = view.zone.iana_name().unwrap_or("UTC").to_owned();
        Ok(Self { chart, legend, rows, period: period(input.bucket), zone })
    }
}

/// Returns the value of a measure by its position in the query.
pub(crate) fn amount(cell: Option<&Cell>, measure: usize) -> Option<Amount> {
    cell?.values.get(measure).copied().flatten()
}

/// Returns what is left of a total.
fn rest(total: Option<Amount>, parts: &[Option<Amount>]) -> Option<Amount> {
    parts.iter().flatten().try_fold(total?, |rest, part| match (rest, part) {
        (Amount::Count(rest), Amount::Count(part)) => Some(Amount::Count(rest.saturating_sub(*part))),
        (Amount::NanoUsd(rest), Amount::NanoUsd(part)) => Some(Amount::NanoUsd(rest.saturating_sub(*part))),
        _ => None,
    })
}

fn period(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Minute => "Minute",
        Bucket::QuarterHour => "Quarter hour",
        Bucket::Hour => "Hour",
        Bucket::Week => "Week from",
        Bucket::Month => "Month",
        _ => "Day",
    }
}

/// Returns the text of the start of a bucket.
pub(crate) fn bucket_label(start: Timestamp, bucket: Bucket, zone: &TimeZone) -> String {
    let format = match bucket {
        Bucket::Minute | Bucket::QuarterHour => "%H:%M",
        Bucket::Hour => "%b %-d, %H:%M",
        Bucket::Month => "%b %Y",
        _ => "%b %-d",
    };
    zone.to_datetime(start).strftime(format).to_string()
}

/// Returns the range of a bucket.
fn narrowed(start: Timestamp, end: Timestamp, bucket: Bucket, zone: &TimeZone) -> RangeChoice {
    let date = |time: Timestamp| zone.to_datetime(time).date();
    match bucket {
        Bucket::Day => RangeChoice::Days(date(start), date(start)),
        _ => RangeChoice::Instants(start, end),
    }
}
