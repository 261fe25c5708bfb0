use crate::store::Feedback;

/// Sums over the feedback on a set of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedbackTotals {
    /// Requests whose trace has feedback.
    pub requests: u64,
    /// Feedback values on the traces of these requests.
    pub entries: u64,
    /// The sum of the values, each multiplied by its weight, in millionths.
    pub weighted_micros: i64,
}

impl FeedbackTotals {
    /// Returns the sums of entries, without the number of requests.
    pub(crate) fn of(entries: &[Feedback]) -> Self {
        let weighted = entries.iter().map(|entry| i64::from(entry.value) * i64::from(entry.weight_micros));
        Self { requests: 0, entries: entries.len() as u64, weighted_micros: weighted.sum() }
    }

    /// Adds other sums.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.entries = self.entries.saturating_add(other.entries);
        self.weighted_micros = self.weighted_micros.saturating_add(other.weighted_micros);
    }

    /// Returns the average of the weighted values. `None` without feedback.
    #[allow(clippy::cast_precision_loss, reason = "an average is not exact")]
    pub fn average(&self) -> Option<f64> {
        (self.entries > 0).then(|| self.weighted_micros as f64 / 1e6 / self.entries as f64)
    }
}
