use serde::Serialize;

/// The reason why our cost differs from the billed amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DifferenceReason {
    /// The amounts are rounded differently.
    Rounding,
    /// Some of our requests have no cost.
    UnpricedOnOurSide,
    /// The quantities differ.
    Quantity,
    /// The prices differ.
    Price,
    /// The quantity or the price differs. The report has no quantity, so it is unknown which.
    QuantityOrPrice,
    /// The provider bills usage that we did not record.
    NotRecorded,
    /// Both sides have the usage, but on different service tiers.
    ServiceTier,
    /// Anthropic's cost report lacks the priority tier.
    PriorityTier,
    /// The provider's report lacks the tools that the calls used.
    Tools,
    /// The provider's report lacks usage that we recorded.
    NotBilled,
}
