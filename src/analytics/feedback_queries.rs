use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::{
    row::{Dimension, EventRow, Field},
    store::Feedback,
};

use super::{Analytics, Filter, Grant, Query, QueryError};

/// The largest number of traces that feedback selects.
const MAX_TRACES: usize = 10_000;

impl Analytics {
    /// Returns the number of feedback entries by their value. Entries count once, and only if their trace has a request in
    /// the range that meets the conditions of the query and of the grant.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn feedback_scores(&self, query: &Query, grant: &Grant) -> Result<BTreeMap<i8, u64>, QueryError> {
        let range = query.range.from()..query.range.to();
        let mut rows = self.store.latest(u32::MAX);
        rows.retain(|row| {
            Timestamp::try_from(row.requested_at).is_ok_and(|time| range.contains(&time))
                && query.filters.iter().chain(grant.filters()).all(|filter| filter.matches(row))
        });
        let mut by_trace: HashMap<&str, Vec<&EventRow>> = HashMap::new();
        for row in &rows {
            by_trace.entry(&row.trace_id).or_default().push(row);
            if let Some(id) = row.client_trace_id.as_deref().filter(|id| *id != row.trace_id) {
                by_trace.entry(id).or_default().push(row);
            }
        }
        let mut scores = BTreeMap::new();
        for feedback in self.store.all_feedback() {
            let mut rows = by_trace.get(feedback.trace_id.as_str()).into_iter().flatten();
            if rows.any(|row| feedback.workspace.is_none() || feedback.workspace == row.workspace) {
                *scores.entry(feedback.value).or_default() += 1;
            }
        }
        Ok(scores)
    }

    /// Returns the trace ids whose average of weighted feedback lies between two values in millionths, both included.
    ///
    /// # Errors
    /// Returns [`QueryError::TooLarge`] if these are more than 10,000 traces, and otherwise as [`run`](Self::run).
    pub async fn traces_with_feedback(&self, min: i64, max: i64, grant: &Grant) -> Result<Vec<String>, QueryError> {
        let mut sums: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for feedback in self.store.all_feedback() {
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
