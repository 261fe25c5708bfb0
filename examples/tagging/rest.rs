use tower_tagging::{analytics::Amount, store::Totals};

/// Sums that can be subtracted from a total, so that shown rows and the others add up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    cost_nanos: u64,
    priced: u64,
    pub(crate) unpriced: u64,
}

impl Rest {
    pub(crate) fn of(totals: &Totals) -> Self {
        Self {
            requests: totals.requests,
            errors: totals.errors,
            cost_nanos: totals.cost_nanos,
            priced: totals.priced + totals.partially_priced,
            unpriced: totals.unpriced,
        }
    }

    pub(crate) fn subtract(&mut self, other: Self) {
        for (from, part) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.cost_nanos, other.cost_nanos),
            (&mut self.priced, other.priced),
            (&mut self.unpriced, other.unpriced),
        ] {
            *from = from.saturating_sub(part);
        }
    }

    /// Returns the known cost. `None` if there are LLM calls, and no cost of them is known.
    pub(crate) fn cost(&self) -> Option<Amount> {
        let is_unknown = self.unpriced > 0 && self.priced == 0 && self.cost_nanos == 0;
        (!is_unknown).then(|| Amount::NanoUsd(i64::try_from(self.cost_nanos).unwrap_or(i64::MAX)))
    }

    /// Returns the share of the cost of a total, or that of its requests if nothing of it has a cost.
    #[allow(clippy::cast_precision_loss, reason = "a share needs no more precision")]
    pub(crate) fn share_of(&self, total: &Self) -> Option<Amount> {
        let (part, whole) =
            if total.cost_nanos > 0 { (self.cost_nanos, total.cost_nanos) } else { (self.requests, total.requests) };
        (whole > 0).then(|| Amount::Percent(part as f64 / whole as f64 * 100.0))
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more precision")]
    pub(crate) fn error_rate(&self) -> Option<Amount> {
        (self.requests > 0).then(|| Amount::Percent(self.errors as f64 / self.requests as f64 * 100.0))
    }
}
