use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use crate::store::records::RulesRevision;

use super::super::rules::Amount;

/// The state of a limiter from the tables of its store.
#[derive(Debug, Default)]
pub(crate) struct StoredState {
    /// The revision that was read last. It is held while the rules are read, so that an older state never replaces a newer one.
    pub(crate) revision: tokio::sync::Mutex<Option<RulesRevision>>,
    /// The amounts at which alerts are raised, by the names of rules.
    pub(crate) alerts: Mutex<BTreeMap<String, Amount>>,
    /// The virtual keys that were marked as exhausted.
    pub(crate) exhausted: Mutex<BTreeSet<String>>,
}
