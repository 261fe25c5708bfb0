//! The state of a registry at one time.

mod checked_access;
mod credentials;
mod key_entry;
mod key_index;
mod snapshot;
mod workspace_entry;

pub(crate) use self::{
    checked_access::{CheckedAccess, CheckedHeader, KeyHeader},
    key_entry::{CallerRules, KeyEntry},
    key_index::{KeyIndex, SecretEntry},
    snapshot::Snapshot,
    workspace_entry::WorkspaceEntry,
};
