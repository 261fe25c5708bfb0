use std::collections::{BTreeMap, HashMap, HashSet};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use std::time::Instant;

use jiff::Timestamp;
use uuid::Uuid;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::store::rollup::{Next, RollupSession, RowRead, Transaction};
use crate::{
    row::{Dimension, EventRow, Field, Filter},
    store::Feedback,
};

use super::{Analytics, Grant, Query, QueryError, analytics_source::Source};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::{analytics_store::micros, execute::RowLimits, jobs::Job};

/// The largest number of traces that feedback selects.
const MAX_TRACES: usize = 10_000;

impl Analytics {
    /// Returns the number of feedback entries by their value. Entries count once, and only if their trace has a request in
    /// the range that meets the conditions of the query and of the grant.
    ///
    /// # Errors
    /// Returns [`QueryError::TimedOut`] if reading the requests exceeds a limit, and [`QueryError::Store`] if the store fails.
    pub async fn feedback_scores(&self, query: &Query, grant: &Grant) -> Result<BTreeMap<i8, u64>, QueryError> {
        let filters: Vec<Filter> = query.filters.iter().chain(grant.filters()).map(Filter::stored).collect();
        match &self.source {
            Source::Memory(store) => {
                let range = query.range.from()..query.range.to();
                let mut scores = Scores::new(store.all_feedback());
                for row in store.latest(u32::MAX) {
                    let is_in_range = Timestamp::try_from(row.requested_at).is_ok_and(|time| range.contains(&time));
                    if is_in_range && filters.iter().all(|filter| filter.matches(&row)) {
                        scores.add(&row);
                    }
                }
                Ok(scores.by_value)
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => {
                let range = (micros(query.range.from()), micros(query.range.to()));
                let mut read = RowRead::sums(range, &filters, &[]);
                read.add_columns(&["trace_id", "client_trace_id", "workspace"]);
                self.execute(ReadScores { read, filters, limits: self.limits }).await
            }
        }
    }

    /// Returns the trace ids whose average of weighted feedback lies between two values in millionths, both included.
    ///
    /// # Errors
    /// Returns [`QueryError::TooLarge`] if these are more than 10,000 traces, and [`QueryError::Store`] if the store fails.
    pub async fn traces_with_feedback(&self, min: i64, max: i64, grant: &Grant) -> Result<Vec<String>, QueryError> {
        let all = match &self.source {
            Source::Memory(store) => store.all_feedback(),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ReadFeedback).await?,
        };
        let mut sums: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for feedback in all {
            if covers(grant, &feedback) {
                let (sum, count) = sums.entry(feedback.trace_id).or_default();
                *sum = sum.saturating_add(i64::from(feedback.value) * i64::from(feedback.weight_micros));
                *count += 1;
            }
        }
        sums.retain(|_, (sum, count)| {
            let (sum, count) = (i128::from(*sum), i128::from(*count));
            sum >= i128::from(min) * count && sum <= i128::from(max) * count
        });
        if sums.len() > MAX_TRACES {
            return Err(QueryError::TooLarge(format!(
                "more than {MAX_TRACES} traces have feedback in this range: use a narrower range of feedback"
            )));
        }
        Ok(sums.into_keys().collect())
    }
}

/// Returns `true` if feedback may count for requests that a grant covers.
fn covers(grant: &Grant, feedback: &Feedback) -> bool {
    let Some(workspace) = &feedback.workspace else { return true };
    grant.filters().iter().all(|filter| match filter {
        Filter::In(Dimension::Field(Field::Workspace), slugs) => slugs.contains(workspace),
        _ => true,
    })
}

/// Counts feedback by its value.
struct Scores {
    by_trace: HashMap<String, Vec<Feedback>>,
    counted: HashSet<Uuid>,
    by_value: BTreeMap<i8, u64>,
}

impl Scores {
    fn new(all: Vec<Feedback>) -> Self {
        let mut by_trace: HashMap<String, Vec<Feedback>> = HashMap::new();
        for feedback in all {
            by_trace.entry(feedback.trace_id.clone()).or_default().push(feedback);
        }
        Self { by_trace, counted: HashSet::new(), by_value: BTreeMap::new() }
    }

    /// Counts the feedback on a request that was not counted yet.
    fn add(&mut self, row: &EventRow) {
        for id in [Some(&row.trace_id), row.client_trace_id.as_ref()].into_iter().flatten() {
            for feedback in self.by_trace.get(id).into_iter().flatten() {
                let is_own = feedback.workspace.is_none() || feedback.workspace == row.workspace;
                if is_own && self.counted.insert(feedback.id) {
                    *self.by_value.entry(feedback.value).or_default() += 1;
                }
            }
        }
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
struct ReadFeedback;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Job for ReadFeedback {
    type Output = Vec<Feedback>;

    async fn run(self, session: &mut impl RollupSession) -> Result<Vec<Feedback>, QueryError> {
        Ok(session.feedback().await?)
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
struct ReadScores {
    read: RowRead,
    filters: Vec<Filter>,
    limits: RowLimits,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Job for ReadScores {
    type Output = BTreeMap<i8, u64>;

    async fn run(self, session: &mut impl RollupSession) -> Result<BTreeMap<i8, u64>, QueryError> {
        let Self { read, filters, limits } = self;
        session.begin(Transaction::Snapshot).await?;
        let mut scores = Scores::new(session.feedback().await?);
        let started = Instant::now();
        let (mut count, mut is_over) = (0, false);
        if !scores.by_trace.is_empty() {
            session
                .rows(&read, &mut |row| {
                    count += 1;
                    if filters.iter().all(|filter| filter.matches(&row)) {
                        scores.add(&row);
                    }
                    is_over = count > limits.rows || count % 1_024 == 0 && started.elapsed() > limits.time;
                    if is_over { Next::Stop } else { Next::Continue }
                })
                .await?;
        }
        session.commit().await?;
        if is_over { Err(QueryError::TimedOut(limits.time)) } else { Ok(scores.by_value) }
    }
}
