use std::collections::BTreeMap;

use serde::Serialize;

use crate::usage::{Money, SignedMoney};

use super::NotRepriced;

/// The cost of a request by the new prices.
pub(super) struct NewCost {
    pub(super) cost: Money,
    /// The call was priced at its own time and with its own tags, which are unknown.
    pub(super) is_approximate: bool,
}

/// The old and the new cost of a set of requests.
///
/// Only requests with an old and a new cost are compared. The others are counted, and never taken as zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RepricedSums {
    /// LLM calls with an old and a new cost.
    pub requests: u64,
    /// The old cost of these calls.
    pub old: Money,
    /// The new cost of these calls.
    pub new: Money,
    /// The new cost minus the old one.
    pub difference: SignedMoney,
    /// LLM calls without an old cost that have a new one.
    pub newly_priced: u64,
    /// The new cost of these calls. It is not a part of [`new`](Self::new).
    pub newly_priced_cost: Money,
    /// Requests with a new cost whose only LLM call was made by their handler, through a client. They are a part of
    /// [`requests`](Self::requests) and [`newly_priced`](Self::newly_priced).
    ///
    /// Their new cost is approximate: it is that at the time and with the tags of the request. The call itself was priced
    /// after the start of the request, and with its own tags. So the new cost is exact unless a price changes between the
    /// two, or depends on tags.
    pub approximate: u64,
    /// LLM calls without a new cost, by reason.
    pub not_repriced: BTreeMap<NotRepriced, u64>,
    /// The known old cost of these calls. It is not a part of [`old`](Self::old).
    pub not_repriced_cost: Money,
}

impl RepricedSums {
    /// Adds a request. `new` is its new cost, or the reason why there is none.
    pub(super) fn add(&mut self, old: Option<Money>, new: &Result<NewCost, NotRepriced>) {
        self.approximate += u64::from(new.as_ref().is_ok_and(|new| new.is_approximate));
        match (old, new.as_ref().map(|new| new.cost)) {
            (Some(old), Ok(new)) => {
                self.requests += 1;
                self.old += old;
                self.new += new;
                self.difference = SignedMoney::between(self.new, self.old);
            }
            (None, Ok(new)) => {
                self.newly_priced += 1;
                self.newly_priced_cost += new;
            }
            (old, Err(reason)) => {
                *self.not_repriced.entry(*reason).or_default() += 1;
                self.not_repriced_cost += old.unwrap_or_default();
            }
        }
    }
}
