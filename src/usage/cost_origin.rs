/// The way in which the cost of an LLM call follows from its usage.
///
/// Only the usage of single calls can be priced again later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CostOrigin {
    /// A price book prices the usage as that of one call.
    #[default]
    Call,
    /// A price book prices usage that code recorded, as that of one call. The requested model does not matter.
    RecordedCall,
    /// The cost is the sum of several calls, or of several model runs within a call, which were priced one by one.
    SeveralCalls,
    /// The provider does not bill the call.
    Waived,
    /// The provider or a gateway reported the cost.
    Reported,
    /// The cost contains an amount that code recorded.
    RecordedCost,
}

impl CostOrigin {
    /// All origins.
    pub const ALL: &'static [Self] =
        &[Self::Call, Self::RecordedCall, Self::SeveralCalls, Self::Waived, Self::Reported, Self::RecordedCost];

    /// Returns the name in serialized events, such as `recorded_call`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::RecordedCall => "recorded_call",
            Self::SeveralCalls => "several_calls",
            Self::Waived => "waived",
            Self::Reported => "reported",
            Self::RecordedCost => "recorded_cost",
        }
    }

    /// Returns the origin with a name in serialized events.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|origin| origin.as_str() == name)
    }
}
