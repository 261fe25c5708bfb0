use std::fmt;

/// A right of an API key in the admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Permission {
    /// `analytics.view`: reads sums and charts.
    AnalyticsView,
    /// `logs.view`: reads single requests.
    LogsView,
    /// `logs.write`: adds to requests, such as feedback.
    LogsWrite,
    /// `logs.export`: exports requests.
    LogsExport,
    /// `keys.list`: lists API keys, workspaces, and virtual keys.
    KeysList,
    /// `admin`: everything.
    Admin,
}

impl Permission {
    /// All permissions.
    pub const ALL: &'static [Self] =
        &[Self::AnalyticsView, Self::LogsView, Self::LogsWrite, Self::LogsExport, Self::KeysList, Self::Admin];

    /// Returns the name in configuration files, such as `analytics.view`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnalyticsView => "analytics.view",
            Self::LogsView => "logs.view",
            Self::LogsWrite => "logs.write",
            Self::LogsExport => "logs.export",
            Self::KeysList => "keys.list",
            Self::Admin => "admin",
        }
    }

    /// Returns the permission with a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.as_str() == name)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
