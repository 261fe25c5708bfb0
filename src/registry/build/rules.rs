//! The tags and contracts that a caller inherits.

use std::sync::Arc;

#[cfg(feature = "schema")]
use crate::metadata::Scope;
use crate::metadata::Scopes;

#[cfg(feature = "schema")]
use super::super::contract::{Contract, ContractMode};
use super::super::{key_counters::LiveCounters, snapshot::CallerRules};

/// Returns rules without tags and contracts.
pub(super) fn empty(counters: Arc<LiveCounters>) -> CallerRules {
    CallerRules {
        scopes: Scopes::new(),
        #[cfg(feature = "schema")]
        contracts: Arc::from([]),
        counters,
    }
}

/// Returns inherited rules.
pub(super) fn inherited(parent: &CallerRules, counters: Arc<LiveCounters>) -> CallerRules {
    CallerRules {
        scopes: parent.scopes.clone(),
        #[cfg(feature = "schema")]
        contracts: parent.contracts.clone(),
        counters,
    }
}

/// Adds a contract to inherited rules, unless it is off. Its defaults override theirs.
#[cfg(feature = "schema")]
pub(super) fn add_contract(rules: &mut CallerRules, contract: Option<Contract>) {
    let Some(contract) = contract.filter(|contract| contract.mode() != ContractMode::Off) else { return };
    if !contract.defaults().is_empty() {
        rules.scopes.add(Scope::Fallback, contract.defaults().clone());
    }
    rules.contracts = rules.contracts.iter().cloned().chain([Arc::new(contract)]).collect();
}
