use std::collections::BTreeSet;

use crate::metadata::Metadata;

/// The activated keys, as they are stored.
#[derive(Clone, Debug, Default)]
pub(super) struct ActiveKeys(BTreeSet<String>);

impl ActiveKeys {
    /// Returns the tags of activated keys, or `None` if there are none.
    pub(super) fn indexed(&self, metadata: &Metadata) -> Option<Metadata> {
        if self.0.is_empty() {
            return None;
        }
        let indexed: Metadata = metadata.iter().filter(|(key, _)| self.0.contains(*key)).collect();
        (!indexed.is_empty()).then_some(indexed)
    }
}

impl FromIterator<String> for ActiveKeys {
    fn from_iter<I: IntoIterator<Item = String>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}
