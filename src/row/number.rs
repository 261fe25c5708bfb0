use std::fmt;

use super::EventRow;

/// A number of a request that filters compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Number {
    /// The cost, in nano-dollars.
    CostNanos,
    /// Input and output tokens together.
    TotalTokens,
    /// Input tokens.
    InputTokens,
    /// Output tokens.
    OutputTokens,
    /// Milliseconds from the request head to the end of the request.
    LatencyMs,
    /// The status of the response.
    Status,
}

impl Number {
    /// All numbers.
    pub const ALL: &'static [Self] =
        &[Self::CostNanos, Self::TotalTokens, Self::InputTokens, Self::OutputTokens, Self::LatencyMs, Self::Status];

    /// Returns the name in queries, such as `cost_nanos`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CostNanos => "cost_nanos",
            Self::TotalTokens => "total_tokens",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::LatencyMs => "latency_ms",
            Self::Status => "status",
        }
    }

    /// Returns the number with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|number| number.as_str() == name)
    }

    /// Returns the number of a row, or `None` if it is unknown.
    pub fn value(self, row: &EventRow) -> Option<u64> {
        match self {
            Self::CostNanos => row.total_cost_nanos,
            Self::TotalTokens => match (row.input_tokens, row.output_tokens) {
                (None, None) => None,
                (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
            },
            Self::InputTokens => row.input_tokens,
            Self::OutputTokens => row.output_tokens,
            Self::LatencyMs => Some(row.response_time_ms.into()),
            Self::Status => row.status_code.map(u64::from),
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
