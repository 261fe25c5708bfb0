use std::{sync::Arc, time::SystemTime};

use crate::{Metadata, metadata::Scopes};

#[cfg(feature = "schema")]
use super::super::contract::Contract;
use super::super::{
    callers::Permissions, claims::Claims, key_counters::LiveCounters, principal_status::PrincipalStatus,
};

/// An API key in a snapshot.
#[derive(Debug)]
pub(crate) struct KeyEntry {
    pub(crate) name: Arc<str>,
    /// The position of the workspace.
    pub(crate) workspace: Option<usize>,
    pub(crate) permissions: Permissions,
    pub(crate) claims: Option<Claims>,
    pub(crate) disabled: bool,
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) rules: CallerRules,
    /// Tags of the scope `Fallback` that replace empty values of the client.
    pub(crate) fallback_if_empty: Metadata,
}

impl KeyEntry {
    /// Returns whether the key may be used at a time.
    pub(crate) fn status_at(&self, now: SystemTime) -> PrincipalStatus {
        if self.disabled {
            PrincipalStatus::Disabled
        } else if self.expires_at.is_some_and(|end| end <= now) {
            PrincipalStatus::Expired
        } else {
            PrincipalStatus::Known
        }
    }
}

/// The tags and contracts of a key, or of callers without a known key.
#[derive(Debug)]
pub(crate) struct CallerRules {
    pub(crate) scopes: Scopes,
    /// All contracts that apply: the global one, that of the workspace, and that of the key.
    #[cfg(feature = "schema")]
    pub(crate) contracts: Arc<[Arc<Contract>]>,
    pub(crate) counters: Arc<LiveCounters>,
}
