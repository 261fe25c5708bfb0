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
