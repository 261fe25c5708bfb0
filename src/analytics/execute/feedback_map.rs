use std::collections::HashMap;

use crate::{analytics::FeedbackTotals, row::EventRow, store::Feedback};

/// Feedback by the trace id that it refers to.
#[derive(Debug, Default)]
pub(crate) struct FeedbackMap {
    by_trace: HashMap<String, Vec<Feedback>>,
}

impl FeedbackMap {
    pub(crate) fn new(feedback: impl IntoIterator<Item = Feedback>) -> Self {
        let mut map = Self::default();
        for feedback in feedback {
            map.by_trace.entry(feedback.trace_id.clone()).or_default().push(feedback);
        }
        map
    }

    /// Returns the sums of the feedback on a request. `None` if there is none.
    pub(crate) fn of(&self, row: &EventRow) -> Option<FeedbackTotals> {
        if self.by_trace.is_empty() {
            return None;
        }
        let ids = [Some(&row.trace_id), row.client_trace_id.as_ref().filter(|id| **id != row.trace_id)];
        let mut totals = FeedbackTotals::default();
        let on_trace = ids.into_iter().flatten().filter_map(|id| self.by_trace.get(id)).flatten();
        for feedback in on_trace.filter(|feedback| feedback.workspace.is_none() || feedback.workspace == row.workspace)
        {
            totals.requests = 1;
            totals.entries += 1;
            totals.weighted_micros += i64::from(feedback.value) * i64::from(feedback.weight_micros);
        }
        (totals.entries > 0).then_some(totals)
    }
}
