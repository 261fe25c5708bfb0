use std::sync::Arc;

use super::Tier;

/// The key of stored sums. The order is that of the primary key, in which writers update rows, so that they never deadlock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RollupKey {
    /// The [`Subject`](super::Subject).
    pub(crate) subject: i32,
    pub(crate) tier: Tier,
    /// The number of the bucket since 1970.
    pub(crate) bucket: i64,
    /// The encoded values of the subject's dimensions. Empty if there is no such dimension.
    pub(crate) first: Arc<str>,
    pub(crate) second: Arc<str>,
    /// The encoded workspace.
    pub(crate) workspace: Arc<str>,
}

impl RollupKey {
    /// The names of the columns, in the order of the fields.
    pub(crate) const COLUMNS: [&'static str; 6] = ["subject", "tier", "bucket", "first", "second", "workspace"];
}
