//! The SQL of sums that both databases share.

use super::rollup::{RollupKey, Totals};

/// The largest sum of one bucket and value: 72 million US dollars. A hundred of them can be added up.
const MAX_SUM: i64 = 1 << 56;

/// The columns that hold the smallest and the largest time, and the distributions.
pub(super) const FIRST_SEEN: &str = "first_seen_micros";
pub(super) const LAST_SEEN: &str = "last_seen_micros";
pub(super) const HISTOGRAMS: [&str; 2] = ["latency", "first_token"];

/// Returns all columns, in the order in which they are written.
pub(super) fn columns() -> Vec<&'static str> {
    let times = [FIRST_SEEN, LAST_SEEN];
    RollupKey::COLUMNS.into_iter().chain(Totals::SUMS.iter().copied()).chain(times).chain(HISTOGRAMS).collect()
}

/// Returns the tables.
pub(super) fn create_tables(integer: &str, text: &str, histogram: &str, table_suffix: &str) -> String {
    let columns: Vec<String> = columns()
        .into_iter()
        .map(|column| match column {
            "first" | "second" | "workspace" => format!("{column} {text} NOT NULL"),
            column if HISTOGRAMS.contains(&column) => format!("{column} {histogram} NOT NULL"),
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
    // Sums of absurd costs or counts stay at a limit, so that no statement ever fails.
    let sums = Totals::SUMS.iter().map(|sum| format!("{sum} = {least}({stored}.{sum} + excluded.{sum}, {MAX_SUM})"));
    let histograms = HISTOGRAMS.iter().map(|column| format!("{column} = {}", merge(column)));
    let times = [(FIRST_SEEN, least), (LAST_SEEN, greatest)]
        .map(|(column, function)| format!("{column} = {function}({stored}.{column}, excluded.{column})"));
    sums.chain(times).chain(histograms).collect::<Vec<_>>().join(", ")
}

/// Returns the aggregates over rows: sums, times, and distributions.
pub(super) fn aggregates(table: &str, sum: impl Fn(&str) -> String, histogram: impl Fn(&str) -> String) -> String {
    let sums = Totals::SUMS.iter().map(|column| sum(&format!("{table}.{column}")));
    let times = [format!("min({table}.{FIRST_SEEN})"), format!("max({table}.{LAST_SEEN})")];
    sums.chain(times).chain(HISTOGRAMS.into_iter().map(histogram)).collect::<Vec<_>>().join(", ")
}
