use std::collections::BTreeMap;

use super::key_counters::KeyCounters;

/// The counts of all callers. They continue when a registry is reloaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistryReport {
    /// The counts of each API key, by its name.
    pub keys: BTreeMap<String, KeyCounters>,
    /// The counts of each workspace, by its slug.
    pub workspaces: BTreeMap<String, KeyCounters>,
    /// The number of secrets and personal data that were recognized, by kind, such as `emails`.
    pub screened: BTreeMap<String, u64>,
    /// The number of values that the screening of each single tag was applied to, by its key.
    pub screened_tags: BTreeMap<String, u64>,
    /// The counts of callers without a known key.
    pub anonymous: KeyCounters,
}
