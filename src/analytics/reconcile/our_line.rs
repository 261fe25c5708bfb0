use serde::Serialize;

use crate::usage::Money;

use super::LineKey;

/// A sum over stored requests, on the same day and for the same model, kind of usage, and service tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OurLine {
    /// The subject of the line. Without a kind of usage, the cost of its requests is not split by kind. Without a service
    /// tier, the tiers of their calls differ or are unknown.
    pub key: LineKey,
    /// The number of requests that contributed to the line.
    pub requests: u64,
    /// The quantity of requests whose cost is known.
    pub quantity: u64,
    /// The known cost.
    pub cost: Money,
    /// The number of requests whose cost is unknown.
    pub unpriced_requests: u64,
    /// The quantity of these requests.
    pub unpriced_quantity: u64,
}

impl OurLine {
    /// Creates a line without requests.
    pub fn new(key: LineKey) -> Self {
        Self { key, requests: 0, quantity: 0, cost: Money::ZERO, unpriced_requests: 0, unpriced_quantity: 0 }
    }

    /// Adds the quantity and the cost of a request.
    pub(super) fn add_priced(&mut self, quantity: u64, cost: Money) {
        self.requests += 1;
        self.quantity = self.quantity.saturating_add(quantity);
        self.cost += cost;
    }

    /// Adds the quantity of a request without a cost.
    pub(super) fn add_unpriced(&mut self, quantity: u64) {
        self.requests += 1;
        self.unpriced_requests += 1;
        self.unpriced_quantity = self.unpriced_quantity.saturating_add(quantity);
    }

    /// Adds another line. The key stays.
    pub(super) fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.quantity = self.quantity.saturating_add(other.quantity);
        self.cost += other.cost;
        self.unpriced_requests = self.unpriced_requests.saturating_add(other.unpriced_requests);
        self.unpriced_quantity = self.unpriced_quantity.saturating_add(other.unpriced_quantity);
    }
}
