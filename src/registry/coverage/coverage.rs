use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::usage::Money;

use super::tag_coverage::TagCoverage;

/// The counts of all tags that contracts name.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    keys: BTreeMap<Box<str>, Arc<KeyCoverage>>,
}

/// The counts of one tag.
#[derive(Debug, Default)]
pub(crate) struct KeyCoverage {
    requests: AtomicU64,
    requests_with_tag: AtomicU64,
    /// Costs are in nano-dollars.
    cost: AtomicU64,
    cost_with_tag: AtomicU64,
}

impl Coverage {
    /// Creates counts for these tags. Counts of `previous` continue.
    pub(crate) fn new<'k, K: IntoIterator<Item = &'k str>>(keys: K, previous: Option<&Self>) -> Self {
        let mut coverage = Self::default();
        for key in keys {
            if coverage.get(key).is_none() {
                let counts = previous.and_then(|previous| previous.get(key)).cloned();
                coverage.keys.insert(key.into(), counts.unwrap_or_default());
            }
        }
        coverage
    }

    /// Returns the counts of a tag.
    pub(crate) fn get(&self, key: &str) -> Option<&Arc<KeyCoverage>> {
        self.keys.get(key)
    }

    /// Returns the counts of all tags, ordered by key.
    pub(crate) fn report(&self) -> Vec<TagCoverage> {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let report = self.keys.iter().map(|(key, counts)| TagCoverage {
            key: key.to_string(),
            requests: load(&counts.requests),
            requests_with_tag: load(&counts.requests_with_tag),
            cost: Money::from_nano_usd(load(&counts.cost)),
            cost_with_tag: Money::from_nano_usd(load(&counts.cost_with_tag)),
        });
        report.collect()
    }
}

impl KeyCoverage {
    /// Counts a request to which a contract with the tag applies.
    pub(crate) fn count(&self, has_tag: bool, cost: Option<Money>) {
        let cost = cost.map_or(0, Money::nano_usd);
        let add = |count: &AtomicU64, number: u64| {
            // Never wraps to a small number.
            _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |sum| Some(sum.saturating_add(number)));
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        add(&self.cost, cost);
        if has_tag {
            self.requests_with_tag.fetch_add(1, Ordering::Relaxed);
            add(&self.cost_with_tag, cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Coverage;
    use crate::usage::Money;

    #[test]
    fn counts_requests_and_costs_and_survives_a_change() {
        let coverage = Coverage::new(["team", "_user"], None);
        let cost = Some(Money::from_nano_usd(3));
        let user = coverage.get("_user").unwrap();
        user.count(true, cost);
        user.count(false, cost);
        user.count(false, None);
        let coverage = Coverage::new(["_user", "env"], Some(&coverage));
        let report = coverage.report();
        assert_eq!(report.iter().map(|tag| tag.key.as_str()).collect::<Vec<_>>(), ["_user", "env"]);
        assert_eq!((report[0].requests, report[0].requests_with_tag), (3, 1));
        assert_eq!(report[0].share_of_cost(), Some(0.5));
        assert_eq!((report[1].share_of_requests(), report[1].share_of_cost()), (None, None));
    }
}
