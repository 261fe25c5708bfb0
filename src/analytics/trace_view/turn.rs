use jiff::Timestamp;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::{analytics::Amount, row::EventRow, time::micros_since_1970};

/// One request of a [`TraceView`](super::TraceView).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Turn {
    /// The id of the event.
    #[serde(serialize_with = "as_text")]
    pub id: Uuid,
    /// The time at which the request head was received.
    pub requested_at: Timestamp,
    /// Milliseconds from the start of the first turn to the start of this one.
    pub offset_ms: u64,
    /// Milliseconds from the request head to the end of the request.
    pub duration_ms: u64,
    /// Milliseconds from the request head to the first content of an LLM stream.
    pub time_to_first_token_ms: Option<u64>,
    /// The W3C trace id.
    pub trace_id: String,
    /// The id of the span.
    pub span_id: String,
    /// The id of the caller's span.
    pub parent_span_id: Option<String>,
    /// The index of the turn with the caller's span.
    ///
    /// `None` if the caller's span is not a request in the view.
    pub parent: Option<usize>,
    /// The number of turns above this one, at most 64.
    pub depth: usize,
    /// The name of the step.
    ///
    /// It is the span name, or else the last part of the span path, the tool or step of the agent, the route, or the
    /// path.
    pub name: String,
    /// The steps of an agent that led to the request, joined by `/`.
    pub span_path: Option<String>,
    /// The tag `turn`, such as the number of the turn in a session.
    pub turn: Option<String>,
    /// The provider that served the LLM call.
    pub provider: Option<String>,
    /// The model that answered, or else the model that the client requested.
    pub model: Option<String>,
    /// The operation of the LLM call.
    pub operation: Option<String>,
    /// The status of the response.
    pub status_code: Option<u16>,
    /// The outcome of the request.
    pub outcome: String,
    /// The error inside the LLM response, or else the error of the request.
    pub error: Option<String>,
    /// `true` if the request counts as an error.
    pub is_error: bool,
    /// The index of the failed turn that this one repeats.
    pub retry_of: Option<usize>,
    /// The index of the loop that this turn is part of.
    pub in_loop: Option<usize>,
    /// All input tokens, including cache reads and writes.
    pub input_tokens: Option<u64>,
    /// All output tokens, including reasoning.
    pub output_tokens: Option<u64>,
    /// Input tokens that were read from a prompt cache.
    pub cache_read_tokens: Option<u64>,
    /// The input tokens minus those of the previous turn of the conversation.
    ///
    /// Negative if the context shrank.
    pub input_growth: Option<i64>,
    /// The cost. `None` if it is unknown, or if the request was not an LLM call.
    pub cost: Option<Amount>,
    /// The known cost of all turns so far, including this one.
    pub running_cost: Amount,
    /// The completeness of the cost. `None` if the request was not an LLM call.
    pub cost_status: Option<String>,
}

impl Turn {
    /// Creates a turn without its relations to others.
    pub(super) fn new(row: &EventRow, start: &EventRow, running_cost: u64) -> Self {
        let tag = |key| row.raw_metadata.get(key).map(ToOwned::to_owned);
        let last_part = |path: &String| path.rsplit('/').next().map(ToOwned::to_owned);
        let name = row.span_name.clone().or_else(|| row.span_path.as_ref().and_then(last_part));
        let name = name.or_else(|| tag("agent_tool")).or_else(|| tag("agent_step")).or_else(|| row.route.clone());
        let offset = micros_since_1970(row.requested_at).saturating_sub(micros_since_1970(start.requested_at));
        Self {
            id: row.id,
            requested_at: timestamp(micros_since_1970(row.requested_at)),
            offset_ms: offset / 1_000,
            duration_ms: row.response_time_ms.into(),
            time_to_first_token_ms: row.time_to_first_token_ms.map(u64::from),
            trace_id: row.trace_id.clone(),
            span_id: row.span_id.clone(),
            parent_span_id: row.parent_span_id.clone(),
            parent: None,
            depth: 0,
            name: name.unwrap_or_else(|| row.request_path.clone()),
            span_path: row.span_path.clone(),
            turn: tag("turn"),
            provider: row.provider.clone(),
            model: row.model.clone(),
            operation: row.operation.clone(),
            status_code: row.status_code,
            outcome: row.outcome.clone(),
            error: row.llm_error.clone().or_else(|| row.error_message.clone()),
            is_error: row.is_error,
            retry_of: None,
            in_loop: None,
            input_tokens: row.input_tokens,
            output_tokens: row.output_tokens,
            cache_read_tokens: row.cache_read_tokens,
            input_growth: None,
            cost: row.total_cost_nanos.map(money),
            running_cost: money(running_cost),
            cost_status: row.cost_status.clone(),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn as_text<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Returns an amount in nano-dollars.
pub(super) fn money(nanos: u64) -> Amount {
    Amount::NanoUsd(i64::try_from(nanos).unwrap_or(i64::MAX))
}

/// Returns a time in microseconds since 1970. Stored times lie between the years 1970 and 9999.
pub(super) fn timestamp(micros: u64) -> Timestamp {
    i64::try_from(micros).ok().and_then(|micros| Timestamp::from_microsecond(micros).ok()).unwrap_or(Timestamp::MAX)
}
