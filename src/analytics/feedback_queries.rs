use std::collections::{BTreeMap, HashSet};

use crate::{
    row::{Dimension, Field},
    store::Feedback,
};

use super::{Analytics, Filter, Grant, Query, QueryError, RowQuery, row_pages::RowPages};

/// The largest number of traces that feedback selects.
const MAX_TRACES: usize = 10_000;
/// The number of traces whose requests are read at a time.
const TRACES_PER_QUERY: usize = 500;

impl Analytics {
    /// Returns the number of feedback entries by their value. An entry counts for the first request of its trace, so this request
    /// must be in the range and meet the conditions of the query and of the grant.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn feedback_scores(&self, query: &Query, grant: &Grant) -> Result<BTreeMap<i8, u64>, QueryError> {
        let map = self.feedback_map().await?;
        let mut found = HashSet::new();
        for ids in map.traces().chunks(TRACES_PER_QUERY) {
            let mut rows = RowQuery::new(query.range.clone());
            rows.filters = query.filters.iter().cloned().chain([Filter::Trace(ids.to_vec())]).collect();
            let mut pages = RowPages::new(self, &rows, grant);
            while let Some(rows) = pages.next().await? {
                found.extend(rows.iter().map(|row| row.id));
            }
        }
        Ok(map.scores(&found))
    }

    /// Returns the trace ids whose average of weighted feedback lies between two values in millionths, both included.
    ///
    /// # Errors
    /// Returns [`QueryError::TooLarge`] if these are more than 10,000 traces, and otherwise as [`run`](Self::run).
    pub(crate) async fn traces_with_feedback(
        &self,
        min: i64,
        max: i64,
        grant: &Grant,
    ) -> Result<Vec<String>, QueryError> {
        let mut sums: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for feedback in self.all_feedback().await? {
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
