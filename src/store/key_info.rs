use std::time::SystemTime;

/// The statistics of a metadata key in a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The key, as it is stored.
    pub name: String,
    /// `true` if the key is activated.
    ///
    /// Its tags are then in `indexed_metadata` and have an index.
    pub is_active: bool,
    /// `true` if the key is activated, and `indexed_metadata` of all rows has its tags.
    pub is_indexed: bool,
    /// The number of requests that were stored with a tag of this key.
    ///
    /// It includes requests that were deleted later.
    pub requests: u64,
    /// The time of the latest of these requests.
    ///
    /// `None` if the key was activated before any request had it.
    pub last_seen: Option<SystemTime>,
    /// The approximate number of different values, with a standard error of 3 %.
    ///
    /// Values of deleted requests count too.
    pub distinct_values: u64,
}
