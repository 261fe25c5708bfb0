use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::{analytics::FeedbackTotals, row::EventRow, store::Feedback};

/// Feedback by the request that it counts for: the first one of its trace, in the workspace of the feedback.
///
/// So each entry counts once, in the total as well as in the groups.
#[derive(Debug, Default)]
pub(crate) struct FeedbackMap {
    /// Entries that belong to no request yet, by trace id. Entries that do leave an empty list.
    waiting: HashMap<String, Vec<Feedback>>,
    by_row: HashMap<Uuid, (EventRow, Vec<Feedback>)>,
}

impl FeedbackMap {
    /// Creates a map of feedback that belongs to no request yet.
    pub(crate) fn new(feedback: impl IntoIterator<Item = Feedback>) -> Self {
        let mut map = Self::default();
        for feedback in feedback {
            map.waiting.entry(feedback.trace_id.clone()).or_default().push(feedback);
        }
        map
    }

    /// Returns the trace ids of the feedback.
    pub(crate) fn traces(&self) -> Vec<String> {
        self.waiting.keys().cloned().collect()
    }

    /// Assigns feedback to a request. Call it with the requests of the traces, the oldest first.
    pub(crate) fn assign(&mut self, row: &EventRow) {
        let ids = [Some(&row.trace_id), row.client_trace_id.as_ref()];
        for id in ids.into_iter().flatten().collect::<HashSet<_>>() {
            let Some(waiting) = self.waiting.get_mut(id) else { continue };
            let is_of_row =
                |feedback: &mut Feedback| feedback.workspace.is_none() || feedback.workspace == row.workspace;
            let assigned: Vec<Feedback> = waiting.extract_if(.., is_of_row).collect();
            if !assigned.is_empty() {
                self.by_row.entry(row.id).or_insert_with(|| (row.clone(), Vec::new())).1.extend(assigned);
            }
        }
    }

    /// Returns the requests with feedback, and the sums of the feedback.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&EventRow, FeedbackTotals)> {
        self.by_row.values().map(|(row, feedback)| {
            let mut totals = FeedbackTotals { requests: 1, ..FeedbackTotals::default() };
            for feedback in feedback {
                totals.entries += 1;
                totals.weighted_micros += i64::from(feedback.value) * i64::from(feedback.weight_micros);
            }
            (row, totals)
        })
    }

    /// Counts the entries on some requests by their value.
    pub(crate) fn scores(&self, rows: &HashSet<Uuid>) -> BTreeMap<i8, u64> {
        let mut scores = BTreeMap::new();
        let entries = self.by_row.iter().filter(|(id, _)| rows.contains(id)).flat_map(|(_, (_, entries))| entries);
        for feedback in entries {
            *scores.entry(feedback.value).or_default() += 1;
        }
        scores
    }
}
