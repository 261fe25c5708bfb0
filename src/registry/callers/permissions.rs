use std::fmt;

use super::permission::Permission;

/// The rights of an API key in the admin API.
///
/// ```
/// use tower_tagging::registry::{Permission, Permissions};
///
/// let viewer = Permissions::from_iter([Permission::AnalyticsView]);
/// assert!(viewer.allow(Permission::AnalyticsView) && !viewer.allow(Permission::LogsView));
/// assert!(Permissions::from_iter([Permission::Admin]).allow(Permission::LogsView));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions(u8);

impl Permissions {
    /// Returns `true` if the permission was granted, or [`Permission::Admin`] was.
    pub fn allow(self, permission: Permission) -> bool {
        self.0 & (bit(permission) | bit(Permission::Admin)) != 0
    }

    /// Returns `true` if no permission was granted.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the permissions that were granted.
    pub fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.iter().copied().filter(move |permission| self.0 & bit(*permission) != 0)
    }
}

fn bit(permission: Permission) -> u8 {
    1 << permission as u8
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<T: IntoIterator<Item = Permission>>(permissions: T) -> Self {
        Self(permissions.into_iter().fold(0, |bits, permission| bits | bit(permission)))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Permission::as_str)).finish()
    }
}
