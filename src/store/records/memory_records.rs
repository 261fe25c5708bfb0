use std::{collections::BTreeMap, time::SystemTime};

use uuid::Uuid;

use crate::store::{Change, SavedView, Verification};

use super::{MAX_CHANGES, MAX_VERIFICATIONS, MAX_VIEWS, ViewSaved};

/// The records of a memory store.
#[derive(Debug, Default)]
pub(crate) struct MemoryRecords {
    views: BTreeMap<Uuid, SavedView>,
    changes: BTreeMap<Uuid, Change>,
    /// The oldest first.
    verifications: Vec<Verification>,
    #[cfg(feature = "limit")]
    pub(crate) limits: super::MemoryLimits,
}

impl MemoryRecords {
    pub(crate) fn views(
        &self,
        scope: &str,
        owner: Option<&str>,
        is_of_all_scopes: bool,
        limit: usize,
    ) -> Vec<SavedView> {
        let is_visible = |view: &&SavedView| {
            let is_own = Some(view.owner.as_str()) == owner;
            view.scope == scope && (is_own || view.is_shared) || view.is_shared && is_of_all_scopes
        };
        let mut views: Vec<SavedView> = self.views.values().filter(is_visible).cloned().collect();
        let is_of_others = |view: &SavedView| view.scope != scope || Some(view.owner.as_str()) != owner;
        let place = |view: &SavedView| (is_of_others(view), view.name.clone(), view.id);
        views.sort_by_cached_key(place);
        views.truncate(limit);
        views
    }

    pub(crate) fn view(&self, id: Uuid) -> Option<SavedView> {
        self.views.get(&id).cloned()
    }

    pub(crate) fn add_view(&mut self, view: SavedView) -> ViewSaved {
        if self.is_name_taken(&view) {
            return ViewSaved::NameTaken;
        }
        let is_of_owner = |other: &&SavedView| (&other.scope, &other.owner) == (&view.scope, &view.owner);
        if self.views.values().filter(is_of_owner).count() >= MAX_VIEWS {
            return ViewSaved::TooMany;
        }
        self.views.insert(view.id, view);
        ViewSaved::Saved
    }

    pub(crate) fn rename_view(&mut self, view: &SavedView) -> ViewSaved {
        let is_taken = self.is_name_taken(view);
        match self.views.get_mut(&view.id).filter(|_| !is_taken) {
            Some(stored) => {
                stored.name.clone_from(&view.name);
                ViewSaved::Saved
            }
            None => ViewSaved::NameTaken,
        }
    }

    pub(crate) fn share_view(&mut self, id: Uuid, is_shared: bool) {
        if let Some(stored) = self.views.get_mut(&id) {
            stored.is_shared = is_shared;
        }
    }

    pub(crate) fn delete_view(&mut self, id: Uuid) {
        self.views.remove(&id);
    }

    fn is_name_taken(&self, view: &SavedView) -> bool {
        let place = |view: &SavedView| (view.scope.clone(), view.owner.clone(), view.name.clone());
        self.views.values().any(|other| other.id != view.id && place(other) == place(view))
    }

    pub(crate) fn add_change(&mut self, change: Change) {
        let room = (change.workspace.clone(), change.scope.clone());
        if let Some(stored) = self.changes.get_mut(&change.id) {
            stored.count += change.count;
            stored.subject = change.subject;
        } else {
            self.changes.insert(change.id, change);
        }
        if self.changes.len() <= MAX_CHANGES {
            return;
        }
        let is_own = |change: &Change| (&change.workspace, &change.scope) == (&room.0, &room.1);
        let own = self.changes.iter().rev().filter(|(_, change)| is_own(change));
        let old: Vec<Uuid> = own.skip(MAX_CHANGES).map(|(id, _)| *id).collect();
        for id in old {
            self.changes.remove(&id);
        }
    }

    pub(crate) fn changes(&self, workspace: Option<&str>, before: Option<Uuid>, limit: usize) -> Vec<Change> {
        let changes = self.changes.values().rev();
        let is_listed = |change: &&Change| {
            before.is_none_or(|before| change.id < before)
                && workspace.is_none_or(|slug| change.workspace.as_deref() == Some(slug))
        };
        changes.filter(is_listed).take(limit).cloned().collect()
    }

    pub(crate) fn add_verification(&mut self, verification: Verification) {
        self.verifications.retain(|other| other.from < verification.from || other.to > verification.to);
        self.verifications.push(verification);
        let excess = self.verifications.len().saturating_sub(MAX_VERIFICATIONS);
        self.verifications.drain(..excess);
    }

    pub(crate) fn expire_differences(&mut self, before: SystemTime) {
        self.verifications.retain(|verification| verification.differences == 0 || verification.to > before);
        for verification in self.verifications.iter_mut().filter(|verification| verification.differences > 0) {
            verification.from = verification.from.max(before);
        }
    }

    pub(crate) fn verifications(&self, limit: usize) -> Vec<Verification> {
        self.verifications.iter().rev().take(limit).cloned().collect()
    }

    pub(crate) fn last_verification(&self) -> Option<Verification> {
        let newest = || self.verifications.iter().rev();
        newest().find(|verification| verification.differences > 0).or_else(|| newest().next()).cloned()
    }
}
