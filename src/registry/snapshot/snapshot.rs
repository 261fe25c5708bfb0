use std::collections::BTreeSet;

#[cfg(feature = "schema")]
use super::super::coverage::Coverage;
#[cfg(feature = "jwt")]
use super::token_rules::TokenRules;
use super::{
    super::{
        file_set::FileSet,
        login::{SpiffeTags, TagMapping},
        names::Names,
        screening::Screening,
        virtual_keys::VirtualKey,
    },
    checked_access::CheckedAccess,
    key_entry::{CallerRules, KeyEntry},
    key_index::KeyIndex,
    workspace_entry::WorkspaceEntry,
};

/// The state of a registry at one time. It never changes, so that a request sees one state.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Sorted by name.
    pub(crate) keys: Vec<KeyEntry>,
    pub(crate) secrets: KeyIndex,
    /// Sorted by slug.
    pub(crate) workspaces: Vec<WorkspaceEntry>,
    /// Sorted by slug. Their secrets have been read.
    pub(crate) virtual_keys: Vec<VirtualKey>,
    /// The rules for callers without a known key.
    pub(crate) anonymous: CallerRules,
    /// The counts of the tags that contracts name.
    #[cfg(feature = "schema")]
    pub(crate) coverage: Coverage,
    pub(crate) access: CheckedAccess,
    pub(crate) names: Names,
    pub(crate) screening: Screening,
    pub(crate) login: TagMapping,
    pub(crate) spiffe: Option<SpiffeTags>,
    #[cfg(feature = "jwt")]
    pub(crate) tokens: Option<TokenRules>,
    pub(crate) ignored_sections: BTreeSet<String>,
    /// The files of a configuration file.
    pub(crate) files: FileSet,
}

impl Snapshot {
    /// Returns the key with a name.
    pub(crate) fn key(&self, name: &str) -> Option<&KeyEntry> {
        let at = self.keys.binary_search_by(|key| (*key.name).cmp(name)).ok()?;
        self.keys.get(at)
    }

    /// Returns the position of a workspace.
    pub(crate) fn workspace_at(&self, slug: &str) -> Option<usize> {
        self.workspaces.binary_search_by(|workspace| (*workspace.slug).cmp(slug)).ok()
    }

    /// Returns a virtual key.
    pub(crate) fn virtual_key(&self, slug: &str) -> Option<&VirtualKey> {
        let at = self.virtual_keys.binary_search_by(|key| key.slug.as_str().cmp(slug)).ok()?;
        self.virtual_keys.get(at)
    }
}
