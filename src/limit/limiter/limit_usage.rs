use std::{sync::Arc, time::SystemTime};

use crate::store::Dimension;

use super::super::rules::{Amount, LimitRule};

/// The usage of a budget by a group of requests in its current window.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LimitUsage {
    /// The rule.
    pub rule: Arc<LimitRule>,
    /// The values of the group. `None` is a missing value.
    pub group: Vec<(Dimension, Option<String>)>,
    /// The text that identifies the group in the ledger.
    pub series: String,
    /// The start of the window.
    pub from: SystemTime,
    /// The end of a calendar window. For a rolling window, the time at which its oldest part is no longer counted.
    pub to: SystemTime,
    /// The limit, with raises and credits.
    pub limit: Amount,
    /// The amount that requests have used.
    pub settled: Amount,
    /// The amount that running requests have reserved.
    pub reserved: Amount,
}
