//! The chart of an answer with groups and a series, and the table of the same numbers.

use crate::analytics::{
    Amount, Answer, Bucket, Cell, Dimension, TimeRange,
    jiff::{Timestamp, tz::TimeZone},
};

use super::{
    chart::{COLORS, Point, Shape, TimeChart, Unit, color},
    format,
    view::{Condition, RangeChoice, View},
};

/// The name of the requests without a value.
pub(crate) const UNSET: &str = "not set";
/// The name of all groups that are not shown.
const OTHER: &str = "Other";

/// A chart over time by group, with a legend and a table.
#[derive(Clone, Debug)]
pub(crate) struct SeriesChart {
    pub(crate) chart: TimeChart,
    pub(crate) legend: Vec<LegendEntry>,
    pub(crate) rows: Vec<ChartRow>,
    pub(crate) bucket: Bucket,
    /// The heading of the first column of the table.
    pub(crate) period: &'static str,
    /// `true` if there is a line of the previous period.
    pub(crate) has_previous: bool,
}

/// A series with its color.
#[derive(Clone, Debug)]
pub(crate) struct LegendEntry {
    pub(crate) class: &'static str,
    pub(crate) label: String,
    /// The same page for this group only. `None` for all other groups together.
    pub(crate) href: Option<String>,
}

/// The numbers of a point in time.
#[derive(Clone, Debug)]
pub(crate) struct ChartRow {
    pub(crate) start: Timestamp,
    pub(crate) label: String,
    /// The values of the series in the legend, and the total.
    pub(crate) amounts: Vec<Option<Amount>>,
    /// The same as text.
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
    /// The dimensions of the groups.
    pub(crate) dimensions: &'a [Dimension],
    /// The position of the measure in the query.
    pub(crate) measure: usize,
    /// `true` if the values of groups and of periods add up.
    pub(crate) is_sum: bool,
    /// `true` if each value includes those before it.
    pub(crate) is_cumulative: bool,
}

impl SeriesChart {
    /// Draws an answer. The groups beyond the number of colors are one series, if values add up.
    pub(crate) fn new(input: ChartInput<'_>) -> Self {
        let ChartInput { view, answer, measure, .. } = input;
        // A period without any request is one before the first, rather than one that cost nothing.
        let earlier = input.previous.filter(|previous| previous.total.totals.requests > 0);
        let shown = answer.groups.get(..COLORS.min(answer.groups.len())).unwrap_or_default();
        let has_rest = input.is_sum && answer.group_count > shown.len() as u64;
        let mut legend: Vec<LegendEntry> = Vec::new();
        for (series, group) in shown.iter().enumerate() {
            let conditions = Condition::of_groups(input.dimensions, &group.values);
            let href = conditions.into_iter().fold(view.clone(), |view, condition| view.with(condition));
            let label = group_label(&group.values);
            legend.push(LegendEntry { class: color(series), label, href: Some(href.query_string().href()) });
        }
        if has_rest {
            legend.push(LegendEntry { class: color(COLORS), label: OTHER.to_owned(), href: None });
        }
        let mut points = Vec::new();
        let mut rows: Vec<ChartRow> = Vec::new();
        let mut before: Option<Amount> = None;
        for (at, start) in answer.buckets.iter().enumerate() {
            let total = amount(answer.series.get(at), measure);
            let mut amounts: Vec<Option<Amount>> =
                shown.iter().map(|group| amount(group.series.get(at), measure)).collect();
            if has_rest {
                amounts.push(rest(total, &amounts));
            }
            amounts.push(total);
            let mut previous = earlier.map(|answer| amount(answer.series.get(at), measure));
            if input.is_cumulative {
                if let Some(last) = rows.last() {
                    amounts = last.amounts.iter().zip(&amounts).map(|(one, other)| sum(*one, *other)).collect();
                }
                previous = previous.map(|value| if before.is_some() { sum(before, value) } else { value });
                before = previous.flatten();
            }
            let title = bucket_title(*start, input.bucket, &view.zone);
            let total = amounts.last().copied().flatten();
            let compared = previous.map(|value| format!(", previous period {}", format::amount(value)));
            let end = answer.buckets.get(at + 1).copied().unwrap_or(input.range.to());
            points.push(Point {
                title: format!("{title}: {}{}", format::amount(total), compared.unwrap_or_default()),
                label: bucket_label(*start, input.bucket, &view.zone),
                href: view.with_range(narrowed(*start, end, input.bucket, &view.zone)).query_string().href(),
                values: drawn(&amounts, shown.len(), has_rest),
                previous: previous.flatten().map(Amount::as_f64),
            });
            let values = amounts.iter().map(|value| format::amount(*value)).collect();
            rows.push(ChartRow { start: *start, label: title, amounts, values });
        }
        let unit = answer.total.values.get(measure).copied().flatten().map_or(Unit::Count, Unit::of);
        let shape = if input.is_sum { Shape::Bars } else { Shape::Lines };
        let chart = TimeChart::new(input.label, shape, unit, points);
        Self {
            chart,
            legend,
            rows,
            bucket: input.bucket,
            period: period(input.bucket),
            has_previous: earlier.is_some(),
        }
    }
}

/// Returns the values of the series by color. Without groups, it is the total.
fn drawn(amounts: &[Option<Amount>], shown: usize, has_rest: bool) -> Vec<Option<f64>> {
    let number = |amount: &Option<Amount>| amount.map(Amount::as_f64);
    let Some((total, series)) = amounts.split_last() else { return Vec::new() };
    if shown == 0 {
        return vec![number(total)];
    }
    let mut values: Vec<Option<f64>> = series.iter().take(shown).map(number).collect();
    if has_rest {
        values.resize(COLORS, None);
        values.extend(series.last().map(number));
    }
    values
}

/// Returns the text of the values of a group.
pub(crate) fn group_label(values: &[Option<String>]) -> String {
    let texts: Vec<String> = values.iter().map(|value| value_label(value.as_deref(), UNSET)).collect();
    texts.join(" · ")
}

/// Returns the text of a value, or `unset` if there is none.
pub(crate) fn value_label(value: Option<&str>, unset: &str) -> String {
    match value {
        None => unset.to_owned(),
        Some("") => Condition::EMPTY.to_owned(),
        Some(value) => value.to_owned(),
    }
}

/// Returns `true` if the text of a value is not the value itself.
pub(crate) fn is_unset(value: Option<&str>) -> bool {
    value.is_none_or(str::is_empty)
}

/// Returns the value of a measure by its position in the query.
pub(crate) fn amount(cell: Option<&Cell>, measure: usize) -> Option<Amount> {
    cell?.values.get(measure).copied().flatten()
}

/// Returns what is left of a total.
pub(crate) fn rest(total: Option<Amount>, parts: &[Option<Amount>]) -> Option<Amount> {
    parts.iter().flatten().try_fold(total?, |rest, part| match (rest, part) {
        (Amount::Count(rest), Amount::Count(part)) => Some(Amount::Count(rest.saturating_sub(*part))),
        (Amount::NanoUsd(rest), Amount::NanoUsd(part)) => Some(Amount::NanoUsd(rest.saturating_sub(*part))),
        _ => None,
    })
}

fn sum(one: Option<Amount>, other: Option<Amount>) -> Option<Amount> {
    match (one, other) {
        (Some(Amount::Count(one)), Some(Amount::Count(other))) => Some(Amount::Count(one.saturating_add(other))),
        (Some(Amount::NanoUsd(one)), Some(Amount::NanoUsd(other))) => Some(Amount::NanoUsd(one.saturating_add(other))),
        (one, None) => one,
        (None, other) => other,
        _ => None,
    }
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

/// Returns the text of the start of a bucket with its date, and with the year unless it is the current one.
pub(crate) fn bucket_title(start: Timestamp, bucket: Bucket, zone: &TimeZone) -> String {
    let clock = match bucket {
        Bucket::Month => return bucket_label(start, bucket, zone),
        Bucket::Minute | Bucket::QuarterHour | Bucket::Hour => "%H:%M",
        _ => "",
    };
    format::dated(start, zone, Timestamp::now(), clock)
}

/// Returns the start of a bucket for other programs: a date, or a time with the offset of the zone.
pub(crate) fn bucket_start(start: Timestamp, bucket: Bucket, zone: &TimeZone) -> String {
    let format = match bucket {
        Bucket::Minute | Bucket::QuarterHour | Bucket::Hour => "%Y-%m-%dT%H:%M:%S%:z",
        Bucket::Month => "%Y-%m",
        _ => "%Y-%m-%d",
    };
    start.to_zoned_datetime(zone.clone()).strftime(format).to_string()
}

/// Returns the range of a bucket.
pub(crate) fn narrowed(start: Timestamp, end: Timestamp, bucket: Bucket, zone: &TimeZone) -> RangeChoice {
    let date = zone.to_datetime(start).date();
    match bucket {
        Bucket::Day => RangeChoice::Days(date, date),
        _ => RangeChoice::Instants(start, end),
    }
}
