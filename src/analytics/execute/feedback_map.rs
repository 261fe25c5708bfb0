use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::row::{Dimension, Field, Filter};
use crate::{
    analytics::FeedbackTotals,
    row::EventRow,
    store::{Feedback, LatestFeedback},
};

/// Feedback by the request that it counts for: the first one of its trace, in the workspace of the feedback.
///
/// So each entry counts once, in the total as well as in the groups.
#[derive(Debug, Default)]
pub(crate) struct FeedbackMap {
    /// Entries that belong to no request yet, by trace id. Entries that do leave an empty list.
    waiting: HashMap<String, Vec<Feedback>>,
    by_row: HashMap<Uuid, (EventRow, Vec<Feedback>)>,
    is_cut: bool,
}

impl FeedbackMap {
    /// Creates a map of feedback that belongs to no request yet.
    pub(crate) fn new(feedback: LatestFeedback) -> Self {
        let mut map = Self { is_cut: !feedback.is_complete, ..Self::default() };
        for feedback in feedback.entries {
            map.waiting.entry(feedback.trace_id.clone()).or_default().push(feedback);
        }
        map
    }

    /// Returns the workspaces whose feedback can count for requests that meet all conditions. `None` if these are all.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(crate) fn workspaces(filters: &[Filter]) -> Option<Vec<String>> {
        let mut lists = filters.iter().filter_map(|filter| match filter {
            Filter::In(Dimension::Field(Field::Workspace), slugs) => Some(slugs),
            _ => None,
        });
        let mut workspaces = lists.next()?.clone();
        lists.for_each(|slugs| workspaces.retain(|slug| slugs.contains(slug)));
        Some(workspaces)
    }

    /// Returns `false` if there is earlier feedback that was not read.
    pub(crate) fn is_complete(&self) -> bool {
        !self.is_cut
    }

    /// Returns a sentence for the [basis](crate::analytics::Basis) of an answer if there is earlier feedback.
    pub(crate) fn note(&self) -> Option<String> {
        let note = "feedback is that of the latest entries: there are more than a query reads";
        self.is_cut.then(|| note.to_owned())
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
        self.by_row
            .values()
            .map(|(row, feedback)| (row, FeedbackTotals { requests: 1, ..FeedbackTotals::of(feedback) }))
    }

    /// Returns the workspaces and trace ids whose average of weighted feedback lies between two values in millionths, both
    /// included.
    pub(crate) fn traces_between(&self, min: i64, max: i64) -> BTreeSet<(Option<String>, String)> {
        let is_between = |entries: &[Feedback]| {
            let totals = FeedbackTotals::of(entries);
            let (sum, count) = (i128::from(totals.weighted_micros), i128::from(totals.entries));
            sum >= i128::from(min) * count && sum <= i128::from(max) * count
        };
        let rows = self.by_row.values().filter(|(_, entries)| is_between(entries));
        let traces = rows.flat_map(|(row, entries)| {
            entries.iter().map(|feedback| (row.workspace.clone(), feedback.trace_id.clone()))
        });
        traces.collect()
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
