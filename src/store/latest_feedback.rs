use super::Feedback;

/// The latest feedback of some workspaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct LatestFeedback {
    pub(crate) entries: Vec<Feedback>,
    /// `false` if there are earlier entries.
    pub(crate) is_complete: bool,
}

impl LatestFeedback {
    /// Creates a list of all entries.
    pub(crate) fn all(entries: Vec<Feedback>) -> Self {
        Self { entries, is_complete: true }
    }

    /// Creates a list of the first entries. There are earlier ones if there are more than the limit.
    #[cfg(any(feature = "postgres", feature = "sqlite"))]
    pub(super) fn first(mut entries: Vec<Feedback>, limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_complete = entries.len() <= limit;
        entries.truncate(limit);
        Self { entries, is_complete }
    }
}
