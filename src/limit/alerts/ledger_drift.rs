use std::{sync::Arc, time::SystemTime};

use crate::{
    limit::rules::{Amount, LimitRule},
    store::Dimension,
};

/// A group of a budget whose ledger differs from the stored requests.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerDrift {
    /// The rule.
    pub rule: Arc<LimitRule>,
    /// The values of the group. `None` is a missing value.
    pub group: Vec<(Dimension, Option<String>)>,
    /// The start of the window.
    pub from: SystemTime,
    /// The amount that the ledger has.
    pub ledger: Amount,
    /// The amount that the stored requests add up to.
    pub rows: Amount,
}
