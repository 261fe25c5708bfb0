//! Slots of many series, read in parts.

use super::{
    LedgerError,
    backend::{Backend, SlotUsage},
};

/// The number of series of a page, so that no call of a ledger takes long.
const PAGE: usize = 1_000;

/// Reads the slots of the series whose text starts with a prefix, in the order of series and slot. A page has whole series.
pub(crate) struct ScanPages<'b> {
    backend: &'b dyn Backend,
    prefix: &'b str,
    from_slot: i64,
    /// The last series of the previous page.
    after: String,
    is_done: bool,
}

impl<'b> ScanPages<'b> {
    pub(crate) fn new(backend: &'b dyn Backend, prefix: &'b str, from_slot: i64) -> Self {
        Self { backend, prefix, from_slot, after: String::new(), is_done: false }
    }

    /// Returns the next page. `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<SlotUsage>>, LedgerError> {
        if self.is_done {
            return Ok(None);
        }
        let page = self.backend.scan(self.prefix, &self.after, self.from_slot, PAGE).wait().await?;
        self.is_done = count_series(&page) < PAGE;
        if let Some(last) = page.last() {
            self.after.clone_from(&last.series);
        }
        Ok(Some(page))
    }
}

/// Returns the number of series of slots that are ordered by series.
pub(super) fn count_series(slots: &[SlotUsage]) -> usize {
    slots.chunk_by(|one, other| one.series == other.series).count()
}

/// Removes all series after the first ones.
pub(super) fn keep_series(slots: &mut Vec<SlotUsage>, count: usize) {
    let series = slots.chunk_by(|one, other| one.series == other.series);
    let length = series.take(count).map(<[SlotUsage]>::len).sum();
    slots.truncate(length);
}
