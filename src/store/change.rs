use std::time::SystemTime;

use uuid::Uuid;

/// Something that was changed, when, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The id, which is ordered by time.
    pub id: Uuid,
    /// The time of the change. Of changes that are added up over a day, it is the time of the first one.
    pub time: SystemTime,
    /// The caller who made the change. `None` if the application did on its own.
    pub author: Option<String>,
    /// The kind of the change, such as `activate key`.
    pub action: String,
    /// What was changed, such as the name of the key.
    pub subject: String,
    /// The workspace that the change concerns. `None` if it concerns all of them.
    pub workspace: Option<String>,
    /// The number of things that were changed, such as deleted requests. It is 1 for most changes.
    pub count: u64,
    /// The restriction of the author, if it is narrower than the workspace. Changes with another one have another room in the
    /// log.
    pub(crate) scope: String,
}

impl Change {
    /// Creates a change that happens now, of all workspaces, by the application.
    pub fn new(action: impl Into<String>, subject: impl Into<String>) -> Self {
        Self {
            id: Uuid::now_v7(),
            time: SystemTime::now(),
            author: None,
            action: action.into(),
            subject: subject.into(),
            workspace: None,
            count: 1,
            scope: String::new(),
        }
    }

    /// Sets the workspace that the change concerns.
    #[must_use]
    pub fn in_workspace(mut self, workspace: Option<&str>) -> Self {
        self.workspace = workspace.map(ToOwned::to_owned);
        self
    }

    /// Sets the restriction of the author, which is empty if the author sees the whole workspace, or everything.
    #[cfg(feature = "analytics")]
    pub(crate) fn of_scope(mut self, scope: String) -> Self {
        self.scope = scope;
        self
    }
}
