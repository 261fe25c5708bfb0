//! The log of changes and their authors.

use std::sync::Arc;

use uuid::Uuid;

use crate::{registry::Permission, store::Change, text::truncated, time::whole_micros};

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::record_jobs::{AddChange, ListChanges};
use super::{Analytics, Grant, QueryError, analytics_source::Source};

/// The largest number of changes of a page.
const MAX_PAGE: u32 = 1_000;
/// The largest numbers of characters of the texts of a change.
const MAX_NAME: usize = 200;
const MAX_SUBJECT: usize = 500;

#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(clippy::unused_async, reason = "only databases wait")
)]
impl Analytics {
    /// Returns a handle to the same store whose changes have an author, such as the name of a user or of an API key.
    ///
    /// The changes of other handles are those of the application.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_tagging::analytics::QueryError> {
    /// use tower_tagging::{analytics::{Analytics, Grant}, store::MemoryStore};
    ///
    /// let analytics = Analytics::new(MemoryStore::new());
    /// analytics.authored_by("ada").activate_key("project").await?;
    /// let changes = analytics.changes(None, 10, &Grant::everything()).await?;
    /// assert_eq!((changes[0].action.as_str(), changes[0].author.as_deref()), ("activate key", Some("ada")));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn authored_by(&self, author: impl Into<String>) -> Self {
        let author = Some(author.into()).filter(|author| !author.is_empty());
        let mut handle = self.clone();
        handle.author = author.map(Arc::from);
        handle
    }

    /// Returns the newest changes that the grant covers, at most 1,000. `before` is the id of the last change of the previous
    /// page.
    ///
    /// The activation of keys and pairs, rebuilt sums, deleted requests, shared views, and exports of the API are changes.
    /// Events and feedback are data. A grant of a whole workspace covers the changes of this workspace, [`Grant::everything`]
    /// covers all changes, and other grants cover none. The newest 10,000 changes of each workspace are kept, as many by callers
    /// of each narrower grant, and as many that concern all workspaces.
    ///
    /// # Errors
    /// Returns [`QueryError::Forbidden`] if the grant does not include [`Permission::AnalyticsView`], and
    /// [`QueryError::Store`] if the store fails.
    pub async fn changes(&self, before: Option<Uuid>, limit: u32, grant: &Grant) -> Result<Vec<Change>, QueryError> {
        grant.require(Permission::AnalyticsView)?;
        let limit = usize::try_from(limit.min(MAX_PAGE)).unwrap_or(usize::MAX);
        let workspace = grant.whole_workspace();
        if workspace.is_none() && !grant.covers_everything() {
            return Ok(Vec::new());
        }
        match &self.source {
            Source::Memory(store) => Ok(store.with_records(|records| records.changes(workspace, before, limit))),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ListChanges(workspace.map(ToOwned::to_owned), before, limit)).await,
        }
    }

    /// Adds a change to the log, by the [author](Self::authored_by) of this handle.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn record_change(&self, mut change: Change) -> Result<(), QueryError> {
        let author = change.author.take().or_else(|| self.author.as_deref().map(ToOwned::to_owned));
        change.author = author.map(|author| truncated(&author, MAX_NAME).to_owned());
        change.action = truncated(&change.action, MAX_NAME).into();
        change.subject = truncated(&change.subject, MAX_SUBJECT).into();
        change.time = whole_micros(change.time);
        match &self.source {
            Source::Memory(store) => store.with_records(|records| records.add_change(change)),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(AddChange(change)).await?,
        }
        Ok(())
    }
}
