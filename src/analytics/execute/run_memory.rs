use jiff::Timestamp;

use crate::{
    analytics::{Answer, Basis, Grain, QueryError, TimeRange},
    row::EventRow,
    store::{Feedback, LatestFeedback, Totals},
};

use super::{
    assembly::{Assembly, Page, Sums},
    collect::{Collect, Collected},
    feedback_map::FeedbackMap,
};

/// Answers a query from all rows of a store.
pub(crate) fn run_memory(
    assembly: &Assembly<'_>,
    rows: &[EventRow],
    feedback: Vec<Feedback>,
    range: &TimeRange,
) -> Result<Answer, QueryError> {
    let feedback = if assembly.needs_feedback() { feedback } else { Vec::new() };
    let mut feedback = FeedbackMap::new(LatestFeedback::all(feedback));
    // The rows are ordered by time, the latest first.
    rows.iter().rev().for_each(|row| feedback.assign(row));
    let cuts = assembly.cuts();
    let collect = |collects: &[Collect]| -> Result<Sums, QueryError> {
        let mut collected = vec![Collected::default(); collects.len()];
        for row in rows {
            let totals = Totals::of(row);
            for (collect, into) in collects.iter().zip(&mut collected) {
                collect.add_row(row, &totals, &cuts, into)?;
            }
        }
        for (collect, into) in collects.iter().zip(&mut collected) {
            collect.add_feedback(&feedback, &cuts, into);
        }
        Ok(Sums::new(collected))
    };
    let total = collect(&assembly.total_collects())?;
    let mut page = Page::default();
    if assembly.has_groups() {
        let groups = collect(&assembly.group_collects(None))?;
        page = assembly.page(assembly.rank(&groups)?, &groups);
    }
    let basis = Basis {
        data_up_to: rows.iter().map(|row| row.requested_at).max().and_then(|time| Timestamp::try_from(time).ok()),
        from: range.from(),
        to: range.to(),
        grain: Grain::Instant,
        is_exact: feedback.is_complete(),
        unpriced_share: None,
        rows_read: rows.len() as u64,
        notes: Vec::new(),
    };
    Ok(assembly.answer(&total, page, basis, &cuts))
}
