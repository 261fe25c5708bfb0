use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{
    row::{Dimension, Field},
    store::Feedback,
};

use super::{Analytics, Filter, Grant, Query, QueryError, RowQuery};

/// The largest number of traces that feedback selects.
const MAX_TRACES: usize = 10_000;
/// The number of traces whose requests are read at a time.
const TRACES_PER_QUERY: usize = 500;

impl Analytics {
    /// Returns the number of feedback entries by their value. Entries count once, and only if their trace has a request in
    /// the range that meets the conditions of the query and of the grant.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn feedback_scores(&self, query: &Query, grant: &Grant) -> Result<BTreeMap<i8, u64>, QueryError> {
        let feedback = self.all_feedback().await?;
        let traces: BTreeSet<&String> = feedback.iter().map(|feedback| &feedback.trace_id).collect();
        let traces: Vec<String> = traces.into_iter().cloned().collect();
        // The workspaces of the requests of each trace.
        let mut workspaces: HashMap<String, BTreeSet<Option<String>>> = HashMap::new();
        for ids in traces.chunks(TRACES_PER_QUERY) {
            let mut rows = RowQuery::new(query.range.clone()).limit(RowQuery::MAX_LIMIT);
            rows.filters = query.filters.iter().cloned().chain([Filter::Trace(ids.to_vec())]).collect();
            loop {
                let page = self.rows(&rows, grant).await?;
                for row in page.rows {
                    let ids = [Some(row.trace_id), row.client_trace_id];
                    for id in ids.into_iter().flatten() {
                        workspaces.entry(id).or_default().insert(row.workspace.clone());
                    }
                }
                rows.cursor = page.next;
                if rows.cursor.is_none() {
                    break;
                }
            }
        }
        let mut scores = BTreeMap::new();
        for feedback in feedback {
            let found = workspaces.get(&feedback.trace_id);
            if found.is_some_and(|found| feedback.workspace.is_none() || found.contains(&feedback.workspace)) {
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
