/// The largest number of views of an owner.
pub(crate) const MAX_VIEWS: usize = 100;
/// The number of changes that are kept of each workspace, of each narrower scope, and of those that concern all workspaces.
pub(crate) const MAX_CHANGES: usize = 10_000;
/// The number of verifications that are kept.
pub(crate) const MAX_VERIFICATIONS: usize = 1_000;

/// The result of saving a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewSaved {
    Saved,
    /// The owner has another view with this name.
    NameTaken,
    /// The owner has the largest number of views.
    TooMany,
}

/// The largest number of limits of each workspace, and of those without a workspace.
#[cfg(feature = "limit")]
pub(crate) const MAX_LIMIT_RULES: usize = 200;

/// The result of saving a limit.
#[cfg(feature = "limit")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitRuleSaved {
    Saved,
    /// Another caller changed or deleted it.
    Changed,
    /// There are as many as there may be.
    TooMany,
}

/// A value that differs after each change of the limits, and after each new credit.
///
/// It is derived from what is stored, and not written separately, because a second write could fail or come too early.
#[cfg(feature = "limit")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RulesRevision(pub(crate) [u64; 3]);
