use std::collections::BTreeSet;

use crate::metadata::Metadata;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::row::{Dimension, Field};

/// The keys that are active in a new store.
pub(super) const DEFAULT_ACTIVE_KEYS: [&str; 9] =
    ["_user", "team", "feature", "tenant_id", "environment", "user-id", "User-Id", "Feature", "Team"];

/// The fields of which sums are kept.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
const SUMMED_FIELDS: [Field; 13] = [
    Field::Provider,
    Field::Model,
    Field::Operation,
    Field::Route,
    Field::Host,
    Field::Status,
    Field::Outcome,
    Field::IsError,
    Field::Rejection,
    Field::ApiKey,
    Field::VirtualKey,
    Field::CostStatus,
    Field::SpanName,
];

/// Returns the keys that are active in a new store.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn default_active_keys() -> Vec<String> {
    DEFAULT_ACTIVE_KEYS.map(ToOwned::to_owned).to_vec()
}

/// Returns what sums are kept of in a new store: all requests, fields, and active keys.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn first_subjects(active_keys: &[String]) -> impl Iterator<Item = Option<Dimension>> {
    let fields = SUMMED_FIELDS.into_iter().map(|field| Some(field.into()));
    let keys = active_keys.iter().map(|key| Some(Dimension::tag(key)));
    std::iter::once(None).chain(fields).chain(keys)
}

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
