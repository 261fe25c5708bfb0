/// The origin and the completeness of the usage of an LLM call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsageStatus {
    /// The provider reported the usage.
    Reported,
    /// The stream ended before the provider reported its final usage. The counts are those reported until then.
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
