/// The completeness of the cost of an LLM call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostStatus {
    /// The cost covers all usage.
    Priced,
    /// The cost covers a part: the usage is partial, or one of several calls has no price.
    ///
    /// A call whose response was dropped before it reported usage has this status without a cost.
    Partial,
    /// The model has no known price, or the catalog cannot price these counts.
    UnpricedModel,
    /// There is no usage to price.
    NoUsage,
    /// Pricing is switched off.
    Off,
}

impl CostStatus {
    /// All statuses.
    pub const ALL: &'static [Self] = &[Self::Priced, Self::Partial, Self::UnpricedModel, Self::NoUsage, Self::Off];

    /// Returns the name in serialized events, such as `unpriced_model`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priced => "priced",
            Self::Partial => "partial",
            Self::UnpricedModel => "unpriced_model",
            Self::NoUsage => "no_usage",
            Self::Off => "off",
        }
    }
}
