use serde_json::{Map, Value, json};

use crate::analytics::{Amount, Cell, Measure};

use super::{api_error::ApiError, cents::known_cents, parameters::Parameters};

/// A column of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// The name in requests and answers.
    pub(crate) name: &'static str,
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Requests,
    Cost,
    TotalTokens,
    AvgTokens,
    AvgInputTokens,
    AvgOutputTokens,
    AvgLatency,
    P95Latency,
    P99Latency,
    SuccessRate,
    ErrorCount,
    /// There is no response cache, so this is 0, as in the graphs.
    CacheHitRate,
    FirstSeen,
    LastSeen,
    AvgWeightedFeedback,
    RequestsWithFeedback,
}

const fn column(name: &'static str, source: Source) -> Column {
    Column { name, source }
}

impl Column {
    pub(crate) const REQUESTS: Self = column("requests", Source::Requests);
    pub(crate) const COST: Self = column("cost", Source::Cost);
    pub(crate) const AVG_TOKENS: Self = column("avg_tokens", Source::AvgTokens);
    pub(crate) const LAST_SEEN: Self = column("last_seen", Source::LastSeen);
    pub(crate) const AVG_WEIGHTED_FEEDBACK: Self = column("avg_weighted_feedback", Source::AvgWeightedFeedback);
    pub(crate) const REQUESTS_WITH_FEEDBACK: Self = column("requests_with_feedback", Source::RequestsWithFeedback);

    /// All columns that a request can name.
    pub(crate) const ALL: &'static [Self] = &[
        Self::REQUESTS,
        Self::COST,
        column("total_tokens", Source::TotalTokens),
        Self::AVG_TOKENS,
        column("avg_input_tokens", Source::AvgInputTokens),
        column("avg_output_tokens", Source::AvgOutputTokens),
        column("avg_latency", Source::AvgLatency),
        column("p95_latency", Source::P95Latency),
        column("p99_latency", Source::P99Latency),
        column("success_rate", Source::SuccessRate),
        column("error_count", Source::ErrorCount),
        column("cache_hit_rate", Source::CacheHitRate),
        Self::LAST_SEEN,
        column("first_seen", Source::FirstSeen),
        Self::AVG_WEIGHTED_FEEDBACK,
        Self::REQUESTS_WITH_FEEDBACK,
    ];

    /// Returns the column with a name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|column| column.name == name)
    }

    /// Reads the columns that a request names, in addition to those that the endpoint always has.
    ///
    /// # Errors
    /// Returns an error if a name is not that of a column.
    pub(crate) fn read(always: &[Self], parameters: &Parameters) -> Result<Vec<Self>, ApiError> {
        let mut columns = always.to_vec();
        for name in parameters.list("columns")?.unwrap_or_default() {
            let column = Self::from_name(&name).ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|column| column.name).collect();
                ApiError::invalid(format!("unknown column {name:?}: expected some of {}", names.join(", ")))
            })?;
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
        Ok(columns)
    }

    /// Returns the measure that has the value.
    pub(crate) fn measure(self) -> Measure {
        match self.source {
            Source::Requests | Source::CacheHitRate => Measure::Requests,
            Source::Cost => Measure::Cost,
            Source::TotalTokens => Measure::TotalTokens,
            Source::AvgTokens => Measure::AvgTokens,
            Source::AvgInputTokens => Measure::AvgInputTokens,
            Source::AvgOutputTokens => Measure::AvgOutputTokens,
            Source::AvgLatency => Measure::AvgLatency,
            Source::P95Latency => Measure::P95Latency,
            Source::P99Latency => Measure::P99Latency,
            Source::SuccessRate => Measure::SuccessRate,
            Source::ErrorCount => Measure::Errors,
            Source::FirstSeen => Measure::FirstSeen,
            Source::LastSeen => Measure::LastSeen,
            Source::AvgWeightedFeedback => Measure::FeedbackScore,
            Source::RequestsWithFeedback => Measure::FeedbackRequests,
        }
    }

    /// Adds the value, which is at a position among the measures of the query.
    pub(crate) fn write(self, cell: &Cell, at: usize, row: &mut Map<String, Value>) {
        let amount = cell.values.get(at).copied().flatten();
        let value = match (self.source, amount) {
            (Source::CacheHitRate, _) => json!(0),
            (Source::Cost, _) => json!(known_cents(&cell.totals)),
            (_, Some(Amount::Count(count))) => json!(count),
            (_, Some(Amount::Time(time))) => json!(time.to_string()),
            (_, amount) => json!(amount.map(Amount::as_f64)),
        };
        row.insert(self.name.to_owned(), value);
    }
}
