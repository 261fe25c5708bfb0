//! The SQL of sums that both databases share.

use super::rollup::{RollupKey, SumColumn};

/// The largest sum of one bucket and value: 72 million US dollars. A hundred of them can be added up.
const MAX_SUM: i64 = 1 << 56;

/// Returns all columns, in the order in which they are written.
pub(super) fn columns() -> Vec<&'static str> {
    RollupKey::COLUMNS.into_iter().chain(SumColumn::all().map(SumColumn::name)).collect()
}

/// Returns `true` if a column holds a distribution.
pub(super) fn is_histogram(column: &str) -> bool {
    SumColumn::HISTOGRAMS.iter().any(|histogram| histogram.name() == column)
}

/// Returns the tables.
pub(super) fn create_tables(integer: &str, text: &str, histogram: &str, table_suffix: &str) -> String {
    let columns: Vec<String> = columns()
        .into_iter()
        .map(|column| match column {
            "first" | "second" | "workspace" => format!("{column} {text} NOT NULL"),
            column if is_histogram(column) => format!("{column} {histogram} NOT NULL"),
            column => format!("{column} {integer} NOT NULL"),
        })
        .collect();
    let per_tier =
        |name: &str| (0..5).map(|tier| format!("{name}_{tier} {integer} NOT NULL")).collect::<Vec<_>>().join(", ");
    format!(
        "CREATE TABLE tagging_rollups (
    {},
    PRIMARY KEY ({})
){table_suffix};
CREATE TABLE tagging_subjects (
    id {integer} PRIMARY KEY NOT NULL,
    first {text} NOT NULL,
    second {text} NOT NULL,
    live {integer} NOT NULL,
    built_to {integer} NOT NULL,
    since {integer} NOT NULL,
    {},
    {},
    UNIQUE (first, second)
);
CREATE TABLE tagging_state (
    name {text} PRIMARY KEY NOT NULL,
    value {integer} NOT NULL
);",
        columns.join(", "),
        RollupKey::COLUMNS.join(", "),
        per_tier("sealed"),
        per_tier("kept"),
    )
}

/// Returns the assignments that add the sums of a row that conflicts with a stored one.
pub(super) fn additions(stored: &str, merge: impl Fn(&str) -> String, least: &str, greatest: &str) -> String {
    let added = |column: SumColumn| {
        let name = column.name();
        let of_both = |function: &str| format!("{function}({stored}.{name}, excluded.{name})");
        let value = match column {
            // Sums of absurd costs or counts stay at a limit, so that no statement ever fails.
            SumColumn::Sum(_) => format!("{least}({stored}.{name} + excluded.{name}, {MAX_SUM})"),
            SumColumn::FirstSeen => of_both(least),
            SumColumn::LastSeen => of_both(greatest),
            SumColumn::Latency | SumColumn::FirstToken => merge(name),
        };
        format!("{name} = {value}")
    };
    SumColumn::all().map(added).collect::<Vec<_>>().join(", ")
}

/// Returns the aggregates over some columns of rows: sums, times, and distributions.
pub(super) fn aggregates(
    table: &str,
    columns: impl IntoIterator<Item = SumColumn>,
    sum: impl Fn(&str) -> String,
    histogram: impl Fn(&str) -> String,
) -> Vec<String> {
    let aggregate = |column: SumColumn| {
        let place = format!("{table}.{}", column.name());
        match column {
            SumColumn::Sum(_) => sum(&place),
            SumColumn::FirstSeen => format!("min({place})"),
            SumColumn::LastSeen => format!("max({place})"),
            SumColumn::Latency | SumColumn::FirstToken => histogram(&place),
        }
    };
    columns.into_iter().map(aggregate).collect()
}
