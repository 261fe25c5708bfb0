use crate::row::Dimension;

use super::Subject;

/// The content of the tables that describe sums.
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

    /// Returns the subject of these dimensions, which differ, in any order.
    pub(crate) fn find(&self, dimensions: &[Dimension]) -> Option<&Subject> {
        self.subjects.iter().find(|subject| {
            let mut own = subject.first.iter().chain(&subject.second);
            own.clone().count() == dimensions.len() && own.all(|dimension| dimensions.contains(dimension))
        })
    }
}
