use std::sync::Arc;

use super::{super::rules::LimitRule, LimitSource};

/// A rate limit, or a limit on requests that run at the same time.
#[derive(Clone, Debug)]
pub(crate) struct RateEntry {
    pub(crate) rule: Arc<LimitRule>,
    pub(crate) source: LimitSource,
    /// The requests that the rule rejected in the last 24 hours. `None` if they are not known.
    pub(crate) rejected: Option<u64>,
}
