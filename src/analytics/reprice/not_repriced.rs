use serde::Serialize;

/// The reason why a request has no new cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NotRepriced {
    /// The usage is unknown, only a part of it is known, or a count is larger than rows hold.
    UsageUnknown,
    /// The model is unknown.
    ModelUnknown,
    /// The request has only the sum of calls, or of model runs within a call, that were priced one by one. Or it made a
    /// single call, and was itself a request for another model. Calls that are rolled up can have their own events.
    SeveralCalls,
    /// Code recorded a part of the cost, or all of it.
    RecordedCost,
    /// The provider or a gateway reported the cost, which no price book changes. Another model has its own price.
    ReportedCost,
    /// The new prices have no price for the model.
    NoPrice,
    /// The new prices have no price for some of the usage, such as searches, so the new cost would be too low.
    PartialPrice,
}
