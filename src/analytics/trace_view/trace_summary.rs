use jiff::Timestamp;
use serde::Serialize;

use crate::{analytics::Amount, row::EventRow, store::Totals, time::micros_since_1970};

use super::turn::{Turn, money, timestamp};

/// Sums over the turns of a [`TraceView`](super::TraceView).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TraceSummary {
    /// Turns.
    pub turns: u64,
    /// Turns that were LLM calls.
    pub llm_calls: u64,
    /// The number of different traces.
    pub traces: u64,
    /// The start of the first turn.
    pub started_at: Option<Timestamp>,
    /// The end of the turn that ended last.
    pub ended_at: Option<Timestamp>,
    /// Milliseconds between these times.
    pub duration_ms: Option<u64>,
    /// The known cost.
    pub cost: Amount,
    /// LLM calls whose cost is unknown.
    pub unpriced: u64,
    /// The share of LLM calls whose cost is unknown.
    pub unpriced_share: Option<f64>,
    /// Turns that count as errors.
    pub failures: u64,
    /// The known cost of these turns.
    pub failure_cost: Amount,
    /// Turns that repeat a failed one.
    pub retries: u64,
    /// The known cost of those that succeeded.
    ///
    /// The cost of the others is part of the cost of failures.
    pub retry_cost: Amount,
    /// The share of the known cost that failures and retries caused.
    ///
    /// `None` if no cost is known.
    pub wasted_share: Option<f64>,
    /// Turns that the client cancelled.
    pub cancelled: u64,
    /// All input tokens.
    pub input_tokens: u64,
    /// All output tokens.
    pub output_tokens: u64,
    /// Input tokens that were read from a prompt cache.
    pub cache_read_tokens: u64,
    /// The input tokens of the turn with the most.
    pub max_input_tokens: Option<u64>,
    /// The index of the first turn that failed.
    pub first_failure: Option<usize>,
    /// The index of the turn with the highest known cost.
    pub costliest: Option<usize>,
    /// The index of the turn that took longest.
    pub slowest: Option<usize>,
}

impl TraceSummary {
    pub(super) fn of(rows: &[EventRow], turns: &[Turn]) -> Self {
        let mut totals = Totals::default();
        let (mut failure_cost, mut retry_cost) = (0_u64, 0_u64);
        for (row, turn) in rows.iter().zip(turns) {
            totals.add(&Totals::of(row));
            let cost = row.total_cost_nanos.unwrap_or(0);
            if turn.is_error {
                failure_cost = failure_cost.saturating_add(cost);
            } else if turn.retry_of.is_some() {
                retry_cost = retry_cost.saturating_add(cost);
            }
        }
        let mut traces: Vec<&str> = rows.iter().map(|row| row.trace_id.as_str()).collect();
        traces.sort_unstable();
        traces.dedup();
        let started = rows.iter().map(|row| micros_since_1970(row.requested_at)).min();
        let ended = rows.iter().map(|row| micros_since_1970(row.responded_at)).max();
        let wasted = failure_cost.saturating_add(retry_cost);
        Self {
            turns: totals.requests,
            llm_calls: totals.llm_calls,
            traces: traces.len() as u64,
            started_at: started.map(timestamp),
            ended_at: ended.map(timestamp),
            duration_ms: started.zip(ended).map(|(start, end)| end.saturating_sub(start) / 1_000),
            cost: money(totals.cost_nanos),
            unpriced: totals.unpriced,
            unpriced_share: percent(totals.unpriced, totals.llm_calls),
            failures: totals.errors,
            failure_cost: money(failure_cost),
            retries: turns.iter().filter(|turn| turn.retry_of.is_some()).count() as u64,
            retry_cost: money(retry_cost),
            wasted_share: percent(wasted, totals.cost_nanos),
            cancelled: totals.cancelled,
            input_tokens: totals.input_tokens,
            output_tokens: totals.output_tokens,
            cache_read_tokens: totals.cache_read_tokens,
            max_input_tokens: rows.iter().filter_map(|row| row.input_tokens).max(),
            first_failure: turns.iter().position(|turn| turn.is_error),
            costliest: largest(rows, |row| row.total_cost_nanos),
            slowest: largest(rows, |row| Some(row.response_time_ms.into())),
        }
    }
}

/// Returns the index of the first row with the largest known number.
fn largest(rows: &[EventRow], number: impl Fn(&EventRow) -> Option<u64>) -> Option<usize> {
    let known = rows.iter().enumerate().filter_map(|(index, row)| Some((number(row)?, index)));
    known.max_by_key(|(number, index)| (*number, std::cmp::Reverse(*index))).map(|(_, index)| index)
}

#[allow(clippy::cast_precision_loss, reason = "shares are not exact")]
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}
