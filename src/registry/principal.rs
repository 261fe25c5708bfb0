use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use http::{HeaderName, request::Parts};

#[cfg(feature = "schema")]
use crate::usage::Money;
use crate::{
    Metadata,
    metadata::{Limits, Scopes},
};

#[cfg(feature = "schema")]
use super::contract::Contract;
#[cfg(feature = "analytics")]
use super::keys::SecretDigest;
use super::{
    callers::Permissions,
    claims::Claims,
    key_counters::LiveCounters,
    principal_status::PrincipalStatus,
    snapshot::{CallerRules, KeyEntry, SecretEntry, Snapshot, WorkspaceEntry},
    virtual_keys::VirtualKey,
};

/// The caller of a request, as a [`Registry`](super::Registry) identified it.
///
/// A principal belongs to the state of the registry at the time of the request. A reload does not change it. Cloning
/// increments a reference count.
#[derive(Clone)]
pub struct Principal {
    snapshot: Arc<Snapshot>,
    status: PrincipalStatus,
    /// The position of the key.
    key: Option<usize>,
    /// The position of the header in `key_headers`, and of the value in the header.
    found: Option<(usize, usize)>,
}

impl Principal {
    pub(crate) fn new(snapshot: Arc<Snapshot>, head: &Parts, now: SystemTime) -> Self {
        let found = snapshot.find_key(&head.headers).and_then(|found| {
            let status = status_of(&snapshot, found.secret, now)?;
            Some((status, found.secret.key, (found.header, found.value)))
        });
        match found {
            Some((status, key, found)) => Self { snapshot, status, key: Some(key), found: Some(found) },
            None if snapshot.has_gateway_key(&head.headers) => Self::without_key(snapshot, PrincipalStatus::Unknown),
            None => Self::without_key(snapshot, PrincipalStatus::Missing),
        }
    }

    /// Returns the caller with a key, which is given by its digest.
    #[cfg(feature = "analytics")]
    pub(crate) fn of_digest(snapshot: Arc<Snapshot>, digest: &SecretDigest, now: SystemTime) -> Self {
        let secret = snapshot.secrets.find_digest(digest);
        let found = secret.and_then(|secret| Some((status_of(&snapshot, secret, now)?, secret.key)));
        match found {
            Some((status, key)) => Self { snapshot, status, key: Some(key), found: None },
            None => Self::without_key(snapshot, PrincipalStatus::Unknown),
        }
    }

    fn without_key(snapshot: Arc<Snapshot>, status: PrincipalStatus) -> Self {
        Self { snapshot, status, key: None, found: None }
    }

    /// Returns the result of looking for the key.
    pub fn status(&self) -> PrincipalStatus {
        self.status
    }

    /// Returns the name of the key, also if it has expired or is disabled.
    pub fn api_key(&self) -> Option<&str> {
        self.api_key_name().map(|name| &**name)
    }

    /// Returns the slug of the key's workspace.
    pub fn workspace(&self) -> Option<&str> {
        self.workspace_slug().map(|slug| &**slug)
    }

    /// Returns the name of the key's workspace for display.
    pub fn workspace_name(&self) -> Option<&str> {
        self.workspace_entry().map(|workspace| workspace.display_name.as_deref().unwrap_or(&workspace.slug))
    }

    /// Returns the rights in the admin API. They are empty unless the status is [`PrincipalStatus::Known`].
    pub fn permissions(&self) -> Permissions {
        let key = self.key().filter(|_| self.status == PrincipalStatus::Known);
        key.map(|key| key.permissions).unwrap_or_default()
    }

    /// Returns the trusted tags of the key and its workspace, and the defaults of the contracts.
    ///
    /// Of several contracts with a default for the same tag, that of the key wins, then that of the workspace.
    pub fn scopes(&self) -> &Scopes {
        &self.rules().scopes
    }

    /// Returns the forced tags of a key with
    /// [`forced_override`](super::RegisteredKey::forced_override). A client's value for them counts only if it is not
    /// empty.
    ///
    /// The same tags are in [`scopes`](Self::scopes) under [`Scope::Fallback`](crate::Scope::Fallback).
    pub fn fallback_if_empty(&self) -> &Metadata {
        const NONE: &Metadata = &Metadata::new();
        self.key().map_or(NONE, |key| &key.fallback_if_empty)
    }

    /// Returns the tags that the client may set. `None` if it may set all.
    pub fn claims(&self) -> Option<&Claims> {
        self.key()?.claims.as_ref()
    }

    /// Returns the contracts that apply: the global one, that of the workspace, and that of the key.
    #[cfg(feature = "schema")]
    pub fn contracts(&self) -> &[Arc<Contract>] {
        &self.rules().contracts
    }

    /// Returns the limits of the workspace. `None` leaves those of the layer.
    pub fn limits(&self) -> Option<Limits> {
        self.workspace_entry()?.limits
    }

    /// Returns the header of the key, and the position of its value among the values of the header.
    pub fn key_header(&self) -> Option<(&HeaderName, usize)> {
        let (header, value) = self.found?;
        Some((&self.snapshot.access.key_headers.get(header)?.name, value))
    }

    /// Returns a virtual key, whether or not the caller may use it.
    pub fn virtual_key(&self, slug: &str) -> Option<&VirtualKey> {
        self.snapshot.virtual_key(slug)
    }

    /// Returns `true` if the caller may use a virtual key: its API key is valid, and its workspace is one of the virtual
    /// key's.
    pub fn may_use(&self, virtual_key: &VirtualKey) -> bool {
        let workspace = self.workspace().filter(|_| self.status == PrincipalStatus::Known);
        workspace.is_some_and(|slug| virtual_key.is_for_workspace(slug))
    }

    /// Counts a request of the key and of its workspace.
    pub(crate) fn count_request(&self) {
        self.count(1, |counters| &counters.requests);
    }

    /// Counts tags of the client that trusted tags shadow.
    pub(crate) fn count_shadowed(&self, tags: u64) {
        self.count(tags, |counters| &counters.shadowed);
    }

    /// Counts tags of the client that the claims do not allow.
    pub(crate) fn count_denied_claims(&self, tags: u64) {
        self.count(tags, |counters| &counters.denied_claims);
    }

    /// Counts a request that is rejected.
    pub(crate) fn count_rejected(&self) {
        self.count(1, |counters| &counters.rejected);
    }

    fn count(&self, number: u64, counter: impl Fn(&LiveCounters) -> &AtomicU64) {
        counter(&self.rules().counters).fetch_add(number, Ordering::Relaxed);
        if let Some(workspace) = self.workspace_entry() {
            counter(&workspace.counters).fetch_add(number, Ordering::Relaxed);
        }
    }

    /// Counts the coverage of the tags that the contracts of the caller name.
    #[cfg(feature = "schema")]
    pub(crate) fn count_coverage(&self, metadata: &Metadata, cost: Option<Money>) {
        let mut counted = Vec::new();
        for key in self.contracts().iter().flat_map(|contract| contract.keys()) {
            if !counted.contains(&key)
                && let Some(counts) = self.snapshot.coverage.get(key)
            {
                counts.count(metadata.get(key).is_some_and(|value| !value.is_empty()), cost);
                counted.push(key);
            }
        }
    }

    /// Returns the state of the registry that the principal belongs to.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns the name of the key, shared.
    pub(crate) fn api_key_name(&self) -> Option<&Arc<str>> {
        self.key().map(|key| &key.name)
    }

    /// Returns the slug of the workspace, shared.
    pub(crate) fn workspace_slug(&self) -> Option<&Arc<str>> {
        self.workspace_entry().map(|workspace| &workspace.slug)
    }

    fn key(&self) -> Option<&KeyEntry> {
        self.snapshot.keys.get(self.key?)
    }

    fn workspace_entry(&self) -> Option<&WorkspaceEntry> {
        self.snapshot.workspaces.get(self.key()?.workspace?)
    }

    fn rules(&self) -> &CallerRules {
        self.key().map_or(&self.snapshot.anonymous, |key| &key.rules)
    }
}

/// Returns the status of a caller with a key. `None` if the key of the secret is missing.
fn status_of(snapshot: &Snapshot, secret: &SecretEntry, now: SystemTime) -> Option<PrincipalStatus> {
    let has_ended = secret.expires_at.is_some_and(|end| end <= now);
    Some(match snapshot.keys.get(secret.key)?.status_at(now) {
        PrincipalStatus::Known if has_ended => PrincipalStatus::Expired,
        status => status,
    })
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("status", &self.status)
            .field("api_key", &self.api_key())
            .field("workspace", &self.workspace())
            .field("permissions", &self.permissions())
            .finish_non_exhaustive()
    }
}
