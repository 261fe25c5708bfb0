//! Pages that callers saved under a name.

use std::time::SystemTime;

use uuid::Uuid;

#[cfg(feature = "dashboard")]
use crate::store::Verification;
use crate::{
    registry::Permission,
    store::{
        Change, SavedView,
        records::{MAX_VIEWS, ViewSaved},
    },
    time::whole_micros,
};

#[cfg(all(feature = "dashboard", any(feature = "postgres", feature = "sqlite")))]
use super::record_jobs::PageRecords;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use super::record_jobs::{AddView, DeleteView, FindView, ListViews, RenameView, ShareView};
use super::{Analytics, Grant, QueryError, analytics_source::Source};

/// The largest number of views of a list.
const MAX_LISTED: usize = 500;
/// The largest number of characters of a name.
const MAX_NAME: usize = 80;
/// The largest number of bytes of a path and a query string together.
const MAX_ADDRESS: usize = 4_096;

#[cfg_attr(
    not(any(feature = "postgres", feature = "sqlite")),
    allow(clippy::unused_async, reason = "only databases wait")
)]
impl Analytics {
    /// Returns the views of the [author](Self::authored_by) of this handle, and then the shared ones of callers who see the same
    /// requests, each ordered by name. At most 500.
    ///
    /// With the permission `admin` and a grant of all requests, these are the shared views of all callers.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    pub async fn saved_views(&self, grant: &Grant) -> Result<Vec<SavedView>, QueryError> {
        let (scope, owner, is_admin) = (grant.scope(), self.author.as_deref(), is_admin(grant));
        match &self.source {
            Source::Memory(store) => {
                Ok(store.with_records(|records| records.views(&scope, owner, is_admin, MAX_LISTED)))
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ListViews(scope, owner.map(ToOwned::to_owned), is_admin, MAX_LISTED)).await,
        }
    }

    /// Returns the first [views](Self::saved_views) of a caller and the [last verification](Self::last_verification), which are
    /// on each page.
    ///
    /// # Errors
    /// Returns [`QueryError::Store`] if the store fails.
    #[cfg(feature = "dashboard")]
    pub(crate) async fn page_records(
        &self,
        grant: &Grant,
        limit: usize,
    ) -> Result<(Vec<SavedView>, Option<Verification>), QueryError> {
        let limit = limit.min(MAX_LISTED);
        match &self.source {
            Source::Memory(_) => {
                let mut views = self.saved_views(grant).await?;
                views.truncate(limit);
                Ok((views, self.last_verification().await?))
            }
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => {
                let owner = self.author.as_deref().map(ToOwned::to_owned);
                self.execute(PageRecords(ListViews(grant.scope(), owner, is_admin(grant), limit))).await
            }
        }
    }

    /// Saves a page with its query string under a name, for the [author](Self::authored_by) of this handle.
    ///
    /// A view that is shared is also for callers who see the same requests: its grant has the same conditions.
    ///
    /// # Errors
    /// Returns [`QueryError::Forbidden`] if this handle has no author, [`QueryError::Invalid`] if the name or the address is
    /// too long or the author has another view with this name, [`QueryError::TooLarge`] if the author has 100 views, and
    /// [`QueryError::Store`] if the store fails.
    pub async fn save_view(
        &self,
        name: &str,
        page: &str,
        query: &str,
        is_shared: bool,
        grant: &Grant,
    ) -> Result<SavedView, QueryError> {
        let Some(owner) = self.author.as_deref() else {
            return Err(QueryError::Forbidden("only callers with a name may save views".to_owned()));
        };
        if page.len() + query.len() > MAX_ADDRESS {
            return Err(QueryError::invalid(format!(
                "the address of the view is too long: expected at most {MAX_ADDRESS} bytes"
            )));
        }
        let view = SavedView {
            id: Uuid::now_v7(),
            name: checked_name(name)?,
            page: page.to_owned(),
            query: query.to_owned(),
            owner: owner.to_owned(),
            workspace: grant.workspace().map(ToOwned::to_owned),
            is_shared,
            created_at: whole_micros(SystemTime::now()),
            scope: grant.scope(),
        };
        let saved = match &self.source {
            Source::Memory(store) => store.with_records(|records| records.add_view(view.clone())),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(AddView(view.clone())).await?,
        };
        check(saved, &view)?;
        if view.is_shared {
            self.record_view("share view", &view, grant).await?;
        }
        Ok(view)
    }

    /// Gives a view another name.
    ///
    /// # Errors
    /// Returns [`QueryError::Forbidden`] unless the [author](Self::authored_by) of this handle owns the view, or it is shared
    /// and the grant is that of an administrator of all requests, and otherwise as [`save_view`](Self::save_view).
    pub async fn rename_view(&self, id: Uuid, name: &str, grant: &Grant) -> Result<(), QueryError> {
        let mut view = self.own_view(id, grant).await?;
        view.name = checked_name(name)?;
        let saved = match &self.source {
            Source::Memory(store) => store.with_records(|records| records.rename_view(&view)),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(RenameView(view.clone())).await?,
        };
        check(saved, &view)?;
        if view.is_shared { self.record_view("rename view", &view, grant).await } else { Ok(()) }
    }

    /// Shares a view with callers who see the same requests as its owner, or ends that.
    ///
    /// # Errors
    /// As [`rename_view`](Self::rename_view).
    pub async fn share_view(&self, id: Uuid, is_shared: bool, grant: &Grant) -> Result<(), QueryError> {
        let view = self.own_view(id, grant).await?;
        if view.is_shared == is_shared {
            return Ok(());
        }
        match &self.source {
            Source::Memory(store) => store.with_records(|records| records.share_view(id, is_shared)),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(ShareView(id, is_shared)).await?,
        }
        self.record_view(if is_shared { "share view" } else { "unshare view" }, &view, grant).await
    }

    /// Deletes a view.
    ///
    /// # Errors
    /// As [`rename_view`](Self::rename_view).
    pub async fn delete_view(&self, id: Uuid, grant: &Grant) -> Result<(), QueryError> {
        let view = self.own_view(id, grant).await?;
        match &self.source {
            Source::Memory(store) => store.with_records(|records| records.delete_view(id)),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(DeleteView(id)).await?,
        }
        if view.is_shared { self.record_view("delete view", &view, grant).await } else { Ok(()) }
    }

    /// Returns a view that the caller may change.
    async fn own_view(&self, id: Uuid, grant: &Grant) -> Result<SavedView, QueryError> {
        let view = match &self.source {
            Source::Memory(store) => store.with_records(|records| records.view(id)),
            #[cfg(any(feature = "postgres", feature = "sqlite"))]
            _ => self.execute(FindView(id)).await?,
        };
        let is_own =
            |view: &SavedView| Some(view.owner.as_str()) == self.author.as_deref() && view.scope == grant.scope();
        // Whether a view of others exists is theirs to know.
        view.filter(|view| is_own(view) || view.is_shared && is_admin(grant)).ok_or_else(|| {
            QueryError::Forbidden("only its owner, or an administrator of all requests, may change a view".to_owned())
        })
    }

    async fn record_view(&self, action: &str, view: &SavedView, grant: &Grant) -> Result<(), QueryError> {
        let change = Change::new(action, &view.name).in_workspace(view.workspace.as_deref());
        self.record_change(change.of_scope(grant.change_scope())).await
    }
}

impl SavedView {
    /// Returns `true` if the owner sees the same requests as a caller.
    #[cfg(feature = "dashboard")]
    pub(crate) fn is_of(&self, grant: &Grant) -> bool {
        self.scope == grant.scope()
    }
}

fn is_admin(grant: &Grant) -> bool {
    grant.covers_everything() && grant.allows(Permission::Admin)
}

fn checked_name(name: &str) -> Result<String, QueryError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(QueryError::invalid(format!(
            "invalid name of a view: expected 1 to {MAX_NAME} visible characters"
        )));
    }
    Ok(name.to_owned())
}

fn check(saved: ViewSaved, view: &SavedView) -> Result<(), QueryError> {
    match saved {
        ViewSaved::Saved => Ok(()),
        ViewSaved::NameTaken => Err(QueryError::invalid(format!(
            "there is a view with the name {:?} already: choose another name, or delete it",
            view.name
        ))),
        ViewSaved::TooMany => {
            Err(QueryError::TooLarge(format!("there are {MAX_VIEWS} views of this owner: delete one of them")))
        }
    }
}
