use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    analytics::{
        Analytics, Filter, Grant, QueryError, RowQuery, TimeRange,
        row_pages::{GrantedRows, RowPages, RowSource},
    },
    registry::Permission,
    row::{Dimension, EventRow},
    time::micros_since_1970,
};

use super::{
    StepLoop, TraceSummary, Turn,
    loops::mark_loops,
    retries::{mark_retries, set_growth},
    tree::set_parents,
    turn::timestamp,
};

/// The rows that are read at a time.
const PAGE_ROWS: u32 = 1_000;
/// The length of the first span of time that is read. Each further one is twice as long.
const FIRST_SPAN: SignedDuration = SignedDuration::from_hours(24);

/// The requests of a trace, a session, or an agent run, as turns in order.
///
/// [`of_trace`](Self::of_trace) and [`of_tag`](Self::of_tag) read the rows that a grant covers. Sessions and agent runs
/// are tags: [`Session::KEYS`](crate::Session::KEYS) and [`AgentRun::KEYS`](crate::AgentRun::KEYS) are their keys.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_tagging::{
///     analytics::{Analytics, Grant, TimeRange, TraceView},
///     store::MemoryStore,
/// };
///
/// let analytics = Analytics::new(MemoryStore::new());
/// let june = TimeRange::parse("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "UTC")?;
/// let session = TraceView::of_tag(&analytics, "session_id", "chat-42", june, &Grant::everything()).await?;
/// for turn in &session.turns {
///     println!("{} {:?} {:?}", turn.name, turn.cost, turn.input_growth);
/// }
/// println!("{:?} % were spent on failures and retries", session.summary.wasted_share);
/// # Ok(())
/// # }
/// ```
///
/// # JSON
///
/// A view serializes as an object. Money is in US dollars, durations are in milliseconds, shares range from 0 to 100,
/// and unknown values are `null`. Other turns are referred to by their index.
///
/// | member | content |
/// |---|---|
/// | `turns` | the [turns](Turn) in order of time |
/// | `loops` | the [repeated steps](StepLoop) |
/// | `summary` | the [sums](TraceSummary) over the turns |
/// | `is_cut` | `true` if the view lacks turns before `from`: there are more than 5,000, or reading took too long |
/// | `from`, `to` | the range that the view covers |
///
/// # Definitions
///
/// - A *step* is what a turn does: the tags `agent_step` and `agent_tool`, the span path, and the span name. Without
///   any of them, it is the method, the route or else the path, and the operation.
/// - A *conversation* is the set of turns with the same tags `session_id` and `agent_run_id`. Turns without these tags
///   are one conversation.
/// - A *failure* is a turn that [counts as an error](crate::Event::is_error). A cancellation by the client is not one.
/// - A *retry* is the first turn after a failure with the same step and the same tag `turn` in the same conversation,
///   if it began after the failure had ended. Another model may serve it. If it fails too, the next one is a retry as
///   well.
/// - A *loop* is a sequence of one to four steps that a conversation repeats at least three times in direct succession,
///   with the same models and the same tag `turn`. Steps without a name repeat only if the size of the input is the
///   same too: the input tokens, or else the bytes of the request body.
/// - The *growth of the context* is the difference between the input tokens of a turn and those of the previous turn of
///   the conversation with the same requested model and operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TraceView {
    /// The turns, ordered by the time of their requests.
    pub turns: Vec<Turn>,
    /// The steps that were repeated.
    pub loops: Vec<StepLoop>,
    /// Sums over the turns.
    pub summary: TraceSummary,
    /// `true` if the view lacks turns before [`from`](Self::from).
    ///
    /// It describes only the latest [`MAX_TURNS`](Self::MAX_TURNS) turns, and those that were found within the time that
    /// [reading rows](Analytics::row_limits) may take.
    pub is_cut: bool,
    /// The time from which the view has all turns.
    pub from: Timestamp,
    /// The end of the range, excluded.
    pub to: Timestamp,
}

impl TraceView {
    /// The largest number of turns.
    pub const MAX_TURNS: usize = 5_000;

    /// Reads the requests of a trace.
    ///
    /// The id is the W3C trace id or the client's own trace id. The view has no turns if the grant covers no request of
    /// the trace in the range.
    ///
    /// # Errors
    /// As [`Analytics::rows`].
    pub async fn of_trace(
        analytics: &Analytics,
        id: impl Into<String>,
        range: TimeRange,
        grant: &Grant,
    ) -> Result<Self, QueryError> {
        // Trace ids are indexed, so the whole range is one span.
        Self::of(analytics, Filter::Trace(vec![id.into()]), range, SignedDuration::MAX, grant).await
    }

    /// Reads the requests with a tag, such as `session_id` or `agent_run_id`.
    ///
    /// The latest requests are read first. Without an index, which [active keys](Analytics::activate_key) have, reading all
    /// requests of a long range may take longer than allowed. The view then [is cut](Self::is_cut).
    ///
    /// The view has no turns if the grant covers no request with the tag in the range.
    ///
    /// # Errors
    /// As [`of_trace`](Self::of_trace).
    pub async fn of_tag(
        analytics: &Analytics,
        key: &str,
        value: impl Into<String>,
        range: TimeRange,
        grant: &Grant,
    ) -> Result<Self, QueryError> {
        Self::of(analytics, Filter::is(Dimension::tag(key), value), range, FIRST_SPAN, grant).await
    }

    async fn of(
        analytics: &Analytics,
        filter: Filter,
        range: TimeRange,
        span: SignedDuration,
        grant: &Grant,
    ) -> Result<Self, QueryError> {
        let source =
            GrantedRows { analytics: analytics.clone(), grant: grant.clone(), permission: Permission::LogsView };
        Self::load(source, filter, range, span, analytics.time_limit()).await
    }

    /// Reads the requests of a range, the latest first. `span` is the length of the part that is read first.
    ///
    /// If reading takes longer than the limit, or than the store allows, the view has what was read until then.
    async fn load(
        source: impl RowSource + Clone,
        filter: Filter,
        range: TimeRange,
        mut span: SignedDuration,
        limit: Duration,
    ) -> Result<Self, QueryError> {
        let started = Instant::now();
        let to = range.to();
        let (mut rows, mut from) = (Vec::new(), to);
        // A database reads the rows of a span without a pause, so the range is read span by span.
        'spans: while from > range.from() {
            let start = from.checked_sub(span).unwrap_or(Timestamp::MIN).max(range.from());
            span = span.saturating_mul(2);
            let query = RowQuery::new(range.cut(start, from)).filter(filter.clone());
            let mut pages = RowPages::of(source.clone(), &query).newest_first().page_size(PAGE_ROWS);
            loop {
                match pages.next().await {
                    Ok(Some(page)) => rows.extend(page),
                    Ok(None) => break,
                    Err(QueryError::TimedOut(_)) if from < to => break 'spans,
                    Err(error) => return Err(error),
                }
                from = pages.place().map_or(start, after);
                if rows.len() > Self::MAX_TURNS || started.elapsed() > limit {
                    break 'spans;
                }
            }
        }
        if rows.len() > Self::MAX_TURNS {
            rows.truncate(Self::MAX_TURNS);
            from = rows.last().map_or(from, |row: &EventRow| after(timestamp(micros_since_1970(row.requested_at))));
        }
        rows.reverse();
        Ok(Self { is_cut: from > range.from(), ..Self::of_rows(&rows, from, to) })
    }

    /// Describes the rows of a range, which are ordered by time.
    fn of_rows(rows: &[EventRow], from: Timestamp, to: Timestamp) -> Self {
        let mut running_cost = 0_u64;
        let mut turns = Vec::with_capacity(rows.len());
        for (row, start) in rows.iter().zip(rows.first().into_iter().cycle()) {
            running_cost = running_cost.saturating_add(row.total_cost_nanos.unwrap_or(0));
            turns.push(Turn::new(row, start, running_cost));
        }
        set_parents(&mut turns);
        set_growth(rows, &mut turns);
        mark_retries(rows, &mut turns);
        let loops = mark_loops(rows, &mut turns);
        let summary = TraceSummary::of(rows, &turns);
        Self { turns, loops, summary, is_cut: false, from, to }
    }
}

/// Returns the time from which all rows were read, if `place` is that of the last one. Others of the same microsecond may be
/// missing.
fn after(place: Timestamp) -> Timestamp {
    place.checked_add(SignedDuration::from_micros(1)).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use crate::analytics::Page;

    use super::*;

    /// Rows whose first pages are empty, and then take too long.
    #[derive(Clone)]
    struct Slow {
        /// The earliest time that is read fast.
        fast_from: Timestamp,
    }

    impl RowSource for Slow {
        async fn page(&self, query: &RowQuery) -> Result<Page, QueryError> {
            if query.range.from() < self.fast_from {
                return Err(QueryError::TimedOut(Duration::from_secs(30)));
            }
            Ok(Page { rows: Vec::new(), next: None })
        }
    }

    #[tokio::test]
    async fn a_span_that_takes_too_long_cuts_the_view() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        let range = || TimeRange::parse("2026-06-01T00:00:00Z", "2026-07-01T00:00:00Z", "UTC").unwrap();
        let load = async |fast_from: &str| {
            let source = Slow { fast_from: time(fast_from) };
            TraceView::load(source, Filter::Trace(Vec::new()), range(), FIRST_SPAN, Duration::from_secs(60)).await
        };
        let cut = load("2026-06-25T00:00:00Z").await.unwrap();
        assert_eq!((cut.is_cut, cut.from, cut.to), (true, time("2026-06-28T00:00:00Z"), range().to()));
        let complete = load("2026-06-01T00:00:00Z").await.unwrap();
        assert_eq!((complete.is_cut, complete.from), (false, range().from()));
        // Nothing was read.
        assert!(matches!(load("2026-06-30T00:00:01Z").await, Err(QueryError::TimedOut(_))));
    }
}
