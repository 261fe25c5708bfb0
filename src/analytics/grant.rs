use jiff::Timestamp;

use crate::{
    registry::{Permission, Permissions, SecretDigest},
    row::{Dimension, EventRow, Field},
    store::Feedback,
};

use super::{Filter, QueryError};

/// The rows that a caller may see, and what the caller may do with them.
///
/// # Permissions
///
/// | permission | allows |
/// |---|---|
/// | [`AnalyticsView`](Permission::AnalyticsView) | sums: [`run`](super::Analytics::run), [`explain`](super::Analytics::explain), [`reprice`](super::reprice::reprice), [`our_lines`](super::reconcile::our_lines); and the log of [`changes`](super::Analytics::changes) |
/// | [`LogsView`](Permission::LogsView) | single requests: [`rows`](super::Analytics::rows), [`row`](super::Analytics::row), [`TraceView`](super::TraceView) |
/// | [`LogsExport`](Permission::LogsExport) | files: [`Export`](super::Export), [`FocusExport`](super::focus::FocusExport) |
/// | [`LogsWrite`](Permission::LogsWrite) | [`write`](super::Analytics::write), [`put_feedback`](super::Analytics::put_feedback) |
/// | [`Admin`](Permission::Admin) | all of these |
///
/// No permission includes another one, except `Admin`. What is not allowed is [`QueryError::Forbidden`].
///
/// # Examples
///
/// ```
/// use tower_tagging::{analytics::{Filter, Grant}, registry::Permission, store::Field};
///
/// let acme = Grant::only([Filter::is(Field::Workspace, "acme")]);
/// assert!(acme.allows(Permission::AnalyticsView) && !acme.allows(Permission::LogsExport));
/// assert!(acme.with_permission(Permission::LogsExport).allows(Permission::LogsExport));
/// assert!(Grant::everything().allows(Permission::Admin));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Conditions that are added to each query.
    filters: Vec<Filter>,
    permissions: Permissions,
}

impl Grant {
    /// Creates a grant of all rows and all permissions.
    pub fn everything() -> Self {
        Self { filters: Vec::new(), permissions: [Permission::Admin].into_iter().collect() }
    }

    /// Creates a grant of the rows that meet all conditions, to view sums and single requests, but not to export or write
    /// them.
    ///
    /// Use conditions on trusted values only: the workspace, the API key, or tags of trusted scopes. A client can set any
    /// other tag. Without conditions, the grant covers all rows.
    pub fn only(filters: impl IntoIterator<Item = Filter>) -> Self {
        Self {
            filters: filters.into_iter().collect(),
            permissions: [Permission::AnalyticsView, Permission::LogsView].into_iter().collect(),
        }
    }

    /// Replaces the permissions.
    #[must_use]
    pub fn with_permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// Adds a permission.
    #[must_use]
    pub fn with_permission(mut self, permission: Permission) -> Self {
        self.permissions = self.permissions.iter().chain([permission]).collect();
        self
    }

    /// Checks a permission.
    ///
    /// # Errors
    /// Returns [`QueryError::Forbidden`] if the grant does not include it.
    pub fn require(&self, permission: Permission) -> Result<(), QueryError> {
        if self.allows(permission) {
            Ok(())
        } else {
            Err(QueryError::Forbidden(format!("this needs the permission {permission}")))
        }
    }

    /// Returns `true` if the grant includes a permission.
    pub fn allows(&self, permission: Permission) -> bool {
        self.permissions.allow(permission)
    }

    /// Returns the permissions.
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// Returns the conditions that all rows meet.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Returns `true` if the grant covers a row.
    pub(crate) fn covers(&self, row: &EventRow) -> bool {
        self.filters.iter().all(|filter| filter.stored().matches(row))
    }

    /// Returns `true` if the grant covers all requests for which feedback counts: everything, or its whole workspace.
    pub(crate) fn covers_feedback(&self, feedback: &Feedback) -> bool {
        let own = self.whole_workspace();
        self.covers_everything() || own.is_some() && feedback.workspace.as_deref() == own
    }

    /// Returns `true` if the grant covers all rows.
    pub(crate) fn covers_everything(&self) -> bool {
        self.filters.is_empty()
    }

    /// Returns the time of the latest stored request as the caller may see it. Unless the grant covers everything, it may be a
    /// request of others, so the time is rounded down to a minute.
    pub(crate) fn seen_up_to(&self, latest: Timestamp) -> Timestamp {
        let second = latest.as_second();
        let minute = Timestamp::from_second(second - second.rem_euclid(60)).unwrap_or(latest);
        if self.covers_everything() { latest } else { minute }
    }

    /// Returns the workspace whose rows the grant covers, without further conditions.
    pub(crate) fn whole_workspace(&self) -> Option<&str> {
        self.workspace().filter(|_| self.filters.len() == 1)
    }

    /// Returns a text that is equal for grants with the same conditions. It is empty if the grant covers all rows.
    pub(crate) fn scope(&self) -> String {
        if self.covers_everything() {
            return String::new();
        }
        let mut conditions: Vec<String> = self.filters.iter().map(|filter| filter.stored().canonical()).collect();
        conditions.sort_unstable();
        conditions.dedup();
        // Conditions can be longer than what an index of a database holds.
        SecretDigest::of(conditions.join("\n")).to_string()
    }

    /// Returns the scope of the changes of a caller. It is empty if the grant covers all rows, or those of a whole workspace,
    /// whose changes have their own rooms in the log.
    pub(crate) fn change_scope(&self) -> String {
        if self.whole_workspace().is_some() { String::new() } else { self.scope() }
    }

    /// Returns the workspace that all rows belong to. `None` if the grant does not name a single one.
    pub(crate) fn workspace(&self) -> Option<&str> {
        self.filters.iter().find_map(|filter| match filter {
            Filter::In(Dimension::Field(Field::Workspace), slugs) => match slugs.as_slice() {
                [slug] => Some(slug.as_str()),
                _ => None,
            },
            _ => None,
        })
    }
}
