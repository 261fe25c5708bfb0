use uuid::Uuid;

use crate::row::{Dimension, EventRow, Filter, SCHEMA};
#[cfg(feature = "postgres")]
use crate::row::{Field, Number};

use super::{SumColumn, Tier, Totals};

/// The columns that sums are computed from.
const SUMMED: &[&str] = &[
    "requested_at",
    "response_time_ms",
    "time_to_first_token_ms",
    "status_code",
    "outcome",
    "is_error",
    "usage_status",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "cost_status",
    "total_cost_nanos",
    "input_cost_nanos",
    "output_cost_nanos",
    "cache_savings_nanos",
    "workspace",
];

/// Some of the buckets of a tier, whose sums belong to one part of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The index of the part.
    pub(crate) part: usize,
    pub(crate) tier: Tier,
    /// The first bucket.
    pub(crate) from: i64,
    /// The bucket after the last one.
    pub(crate) to: i64,
}

/// Stored sums to read.
#[derive(Clone, Debug)]
pub(crate) struct SumRead {
    pub(crate) subject: i32,
    pub(crate) spans: Vec<Span>,
    /// The encoded values of the first dimension. `None` reads all.
    pub(crate) only_first: Option<Vec<String>>,
    /// The encoded workspaces. `None` reads all.
    pub(crate) only_workspaces: Option<Vec<String>>,
    /// `true` to read each workspace on its own, and not their sum.
    pub(crate) by_workspace: bool,
    /// The columns to read. Sums of other columns stay 0.
    pub(crate) columns: Vec<SumColumn>,
}

impl SumRead {
    /// Reads the numbers of requests.
    pub(crate) fn requests(subject: i32, spans: Vec<Span>) -> Self {
        let columns = SumColumn::all().filter(|column| column.name() == "requests").collect();
        Self { subject, spans, only_first: None, only_workspaces: None, by_workspace: false, columns }
    }
}

/// Sums that were read: the part and the encoded values.
#[derive(Clone, Debug)]
pub(crate) struct FoundSums {
    pub(crate) part: usize,
    pub(crate) first: String,
    pub(crate) second: String,
    pub(crate) workspace: String,
    pub(crate) totals: Totals,
}

/// Rows to read, ordered by time and id.
#[derive(Clone, Debug)]
pub(crate) struct RowRead {
    /// The times of the rows in microseconds since 1970, the last one excluded.
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// Conditions that reduce the rows. The reader may return rows that do not meet them.
    pub(crate) filters: Vec<Filter>,
    /// The positions of the columns in [`SCHEMA`]. Other columns stay blank.
    pub(crate) columns: Vec<usize>,
    pub(crate) is_newest_first: bool,
    /// Continues after this row.
    pub(crate) after: Option<(u64, Uuid)>,
}

impl RowRead {
    /// Returns the clause that orders the rows.
    pub(crate) const fn order(&self) -> &'static str {
        if self.is_newest_first { "ORDER BY requested_at DESC, id DESC" } else { "ORDER BY requested_at ASC, id ASC" }
    }

    /// Returns `true` if the filters allow errors only.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_of_errors(&self) -> bool {
        self.filters.iter().any(|filter| match filter {
            Filter::In(Dimension::Field(Field::IsError), values) => values.iter().all(|value| value == "true"),
            Filter::In(Dimension::Field(Field::Status | Field::StatusClass), values) => {
                values.iter().all(|value| value.starts_with(['4', '5']) && value.len() == 3)
            }
            Filter::Between(Number::Status, Some(min), _) => *min >= 400,
            _ => false,
        })
    }

    /// Reads all columns of the rows of a range.
    pub(crate) fn whole(from: u64, to: u64, filters: Vec<Filter>) -> Self {
        Self { from, to, filters, columns: all_columns(), is_newest_first: true, after: None }
    }

    /// Reads the columns that sums, conditions, and dimensions need.
    pub(crate) fn sums<'d>(
        (from, to): (u64, u64),
        filters: &'d [Filter],
        dimensions: impl IntoIterator<Item = &'d Dimension>,
    ) -> Self {
        let mut names: Vec<&str> = SUMMED.to_vec();
        for dimension in dimensions.into_iter().chain(filters.iter().filter_map(Filter::dimension)) {
            match dimension {
                Dimension::Tag(_) => names.push("raw_metadata"),
                Dimension::Field(field) => names.push(field.column()),
            }
        }
        if filters.iter().any(|filter| matches!(filter, Filter::Trace(_) | Filter::WorkspaceTrace(_))) {
            names.extend(["trace_id", "client_trace_id", "workspace"]);
        }
        if filters.iter().any(|filter| matches!(filter, Filter::ProviderModel(_))) {
            names.extend(["provider", "model"]);
        }
        let columns = all_columns().into_iter();
        let columns = columns.filter(|at| SCHEMA.get(*at).is_some_and(|column| names.contains(&column.name)));
        Self { from, to, filters: filters.to_vec(), columns: columns.collect(), is_newest_first: true, after: None }
    }

    /// Reads further columns.
    pub(crate) fn add_columns(&mut self, names: &[&str]) {
        let more = all_columns().into_iter();
        let more = more.filter(|at| SCHEMA.get(*at).is_some_and(|column| names.contains(&column.name)));
        self.columns.extend(more);
        self.columns.sort_unstable();
        self.columns.dedup();
    }
}

fn all_columns() -> Vec<usize> {
    (0..SCHEMA.len()).filter(|at| SCHEMA.get(*at).is_some_and(|column| !column.is_generated())).collect()
}

/// The next step of a reader of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Continue,
    Stop,
}

/// Called with each row.
pub(crate) type OnRow<'a> = dyn FnMut(EventRow) -> Next + Send + 'a;
