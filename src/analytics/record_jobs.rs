//! Work on the tables of views, changes, and verifications.

#![cfg(any(feature = "postgres", feature = "sqlite"))]

use std::time::SystemTime;

use uuid::Uuid;

use crate::store::{
    Change, SavedView, Verification,
    records::{self, RecordSession, ViewSaved},
    rollup::RollupSession,
};

use super::{QueryError, jobs::Job};

/// Scope, owner, whether those of all scopes are included, and limit.
pub(super) struct ListViews(pub(super) String, pub(super) Option<String>, pub(super) bool, pub(super) usize);

impl Job for ListViews {
    type Output = Vec<SavedView>;

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<Vec<SavedView>, QueryError> {
        Ok(records::views(session, &self.0, self.1.as_deref(), self.2, self.3).await?)
    }
}

pub(super) struct FindView(pub(super) Uuid);

impl Job for FindView {
    type Output = Option<SavedView>;

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<Option<SavedView>, QueryError> {
        Ok(records::view(session, self.0).await?)
    }
}

pub(super) struct AddView(pub(super) SavedView);

impl Job for AddView {
    type Output = ViewSaved;

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<ViewSaved, QueryError> {
        Ok(records::add_view(session, &self.0).await?)
    }
}

/// Stores the name of a view.
pub(super) struct RenameView(pub(super) SavedView);

impl Job for RenameView {
    type Output = ViewSaved;

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<ViewSaved, QueryError> {
        Ok(records::rename_view(session, &self.0).await?)
    }
}

/// Stores whether a view is shared.
pub(super) struct ShareView(pub(super) Uuid, pub(super) bool);

impl Job for ShareView {
    type Output = ();

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<(), QueryError> {
        Ok(records::share_view(session, self.0, self.1).await?)
    }
}

pub(super) struct DeleteView(pub(super) Uuid);

impl Job for DeleteView {
    type Output = ();

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<(), QueryError> {
        Ok(records::delete_view(session, self.0).await?)
    }
}

pub(super) struct AddChange(pub(super) Change);

impl Job for AddChange {
    type Output = ();

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<(), QueryError> {
        Ok(records::add_change(session, &self.0).await?)
    }
}

/// Workspace, the id before which changes are listed, and limit.
pub(super) struct ListChanges(pub(super) Option<String>, pub(super) Option<Uuid>, pub(super) usize);

impl Job for ListChanges {
    type Output = Vec<Change>;

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<Vec<Change>, QueryError> {
        Ok(records::changes(session, self.0.as_deref(), self.1, self.2).await?)
    }
}

pub(super) struct AddVerification(pub(super) Verification);

impl Job for AddVerification {
    type Output = ();

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<(), QueryError> {
        Ok(records::add_verification(session, &self.0).await?)
    }
}

/// Removes the days before a time from verifications with differences.
pub(super) struct ExpireDifferences(pub(super) SystemTime);

impl Job for ExpireDifferences {
    type Output = ();

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<(), QueryError> {
        Ok(records::expire_differences(session, self.0).await?)
    }
}

pub(super) struct ListVerifications(pub(super) usize);

impl Job for ListVerifications {
    type Output = Vec<Verification>;

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<Vec<Verification>, QueryError> {
        Ok(records::verifications(session, self.0).await?)
    }
}

pub(super) struct LastVerification;

impl Job for LastVerification {
    type Output = Option<Verification>;

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<Option<Verification>, QueryError> {
        Ok(records::last_verification(session).await?)
    }
}

/// What each page of the dashboard shows: views, as [`ListViews`], and the last verification.
#[cfg(feature = "dashboard")]
pub(super) struct PageRecords(pub(super) ListViews);

#[cfg(feature = "dashboard")]
impl Job for PageRecords {
    type Output = (Vec<SavedView>, Option<Verification>);

    async fn run(self, session: &mut (impl RollupSession + RecordSession)) -> Result<Self::Output, QueryError> {
        Ok((self.0.run(session).await?, LastVerification.run(session).await?))
    }
}
