//! The state of a registry at one time.

mod checked_access;
mod credentials;
mod key_entry;
mod key_index;
mod snapshot;
#[cfg(feature = "jwt")]
mod token_rules;
mod workspace_entry;

#[cfg(feature = "jwt")]
pub(crate) use self::token_rules::TokenRules;
pub(crate) use self::{
    checked_access::{CheckedAccess, CheckedHeader, KeyHeader},
    key_entry::{CallerRules, KeyEntry},
    key_index::{KeyIndex, SecretEntry},
    snapshot::Snapshot,
    workspace_entry::WorkspaceEntry,
};
