/// The origin and the completeness of the usage of an LLM call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageStatus {
    /// The provider reported the usage.
    Reported,
    /// The stream ended before the provider reported its final usage. The counts are those reported until then.
    ///
    /// For the sum of several calls: the counts of one are missing. For a call whose response was dropped, the counts may be
    /// missing altogether.
    Partial,
    /// The provider did not report any usage.
    Absent,
    /// The response could not be read.
    Unparsed,
    /// The service's own code recorded the usage.
    Recorded,
}

impl UsageStatus {
    /// All statuses.
    pub const ALL: &'static [Self] = &[Self::Reported, Self::Partial, Self::Absent, Self::Unparsed, Self::Recorded];

    /// Returns `true` if nothing is missing.
    pub(crate) const fn is_complete(self) -> bool {
        matches!(self, Self::Reported | Self::Recorded)
    }

    /// Returns the status of the sum of two usages.
    ///
    /// It is `Partial` if the counts of one are missing or incomplete.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Reported | Self::Recorded, Self::Reported | Self::Recorded) => Self::Recorded,
            (Self::Absent | Self::Unparsed, Self::Absent | Self::Unparsed) => Self::Unparsed,
            _ => Self::Partial,
        }
    }

    /// Returns the name in serialized events, such as `reported`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Partial => "partial",
            Self::Absent => "absent",
            Self::Unparsed => "unparsed",
            Self::Recorded => "recorded",
        }
    }
}
