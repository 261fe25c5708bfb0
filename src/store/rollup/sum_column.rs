use super::Totals;

/// A column of stored sums, apart from their key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SumColumn {
    /// The position in [`Totals::SUMS`].
    Sum(usize),
    FirstSeen,
    LastSeen,
    Latency,
    FirstToken,
}

impl SumColumn {
    /// The distributions.
    pub(crate) const HISTOGRAMS: [Self; 2] = [Self::Latency, Self::FirstToken];

    /// Returns all columns in the order in which they are written. The distributions are last.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..Totals::SUMS.len()).map(Self::Sum).chain([Self::FirstSeen, Self::LastSeen]).chain(Self::HISTOGRAMS)
    }

    pub(crate) const fn is_histogram(self) -> bool {
        matches!(self, Self::Latency | Self::FirstToken)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sum(position) => Totals::SUMS.get(position).copied().unwrap_or_default(),
            Self::FirstSeen => "first_seen_micros",
            Self::LastSeen => "last_seen_micros",
            Self::Latency => "latency",
            Self::FirstToken => "first_token",
        }
    }
}
