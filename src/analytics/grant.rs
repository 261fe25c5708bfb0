use crate::registry::{Permission, Permissions};

use super::Filter;

/// The rows that a caller may see, and what the caller may do with them.
///
/// ```
/// use tower_tagging::{analytics::{Filter, Grant}, registry::Permission, store::Field};
///
/// let acme = Grant::only([Filter::is(Field::Workspace, "acme")]).with_permissions([Permission::AnalyticsView].into_iter().collect());
/// assert!(acme.allows(Permission::AnalyticsView) && !acme.allows(Permission::LogsExport));
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

    /// Creates a grant of the rows that meet all conditions, to view sums and single requests.
    ///
    /// Use conditions on trusted values only: the workspace, the API key, or tags of trusted scopes. A client can set any
    /// other tag. Without conditions, the grant covers all rows.
    pub fn only(filters: impl IntoIterator<Item = Filter>) -> Self {
        Self {
            filters: filters.into_iter().collect(),
            permissions: [Permission::AnalyticsView, Permission::LogsView].into_iter().collect(),
        }
    }

    /// Sets the permissions.
    #[must_use]
    pub fn with_permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
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
}
