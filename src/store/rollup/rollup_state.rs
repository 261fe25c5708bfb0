use crate::row::Dimension;

use super::Subject;

/// What the tables of sums hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RollupState {
    /// The time from which no rows were deleted, in microseconds since 1970.
    pub(crate) rows_from: u64,
    /// All subjects, by their number. Empty if sums are switched off.
    pub(crate) subjects: Vec<Subject>,
}

impl RollupState {
    /// Returns the sums of all requests.
    pub(crate) fn base(&self) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.id == Subject::BASE)
    }

    /// Returns the subject of these dimensions, which are sorted and differ.
    pub(crate) fn find(&self, dimensions: &[Dimension]) -> Option<&Subject> {
        self.subjects.iter().find(|subject| {
            let mut own: Vec<&Dimension> = [&subject.first, &subject.second].into_iter().flatten().collect();
            own.sort_unstable();
            own.into_iter().eq(dimensions)
        })
    }
}
